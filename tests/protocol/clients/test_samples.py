"""The guide's samples: what it shows is what stands in docs/samples, and what stands there was run against the service."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.protocol.clients import guide, programs
from tests.protocol.clients.programs import NODE_FOLDER, came_back
from tests.protocol.clients.service import Service
from tests.protocol.conformance.person import Person

CLIENT = {
    "CLIENT_ID": "my-platform",
    "CLIENT_SECRET": "Zq3vXo9cT1mK7bWd5RyLh2PsNf8UaGj4EiVxB6tQ0wM",
    "PLATFORM": guide.PLATFORM,
    "REDIRECT_URI": f"{guide.PLATFORM}/callback",
}
START_TRIES = 600
# The samples that this machine can run; Spring's need a Java machine and are shown as settings.
RUN = {"python-authlib/app.py", "node-openid-client/app.mjs", "curl/sign-in.sh"}


def test_the_guide_shows_every_sample_letter_by_letter() -> None:
    there = {
        str(path.relative_to(guide.SAMPLES)): path.read_text("utf-8")
        for path in guide.SAMPLES.rglob("*")
        if path.is_file() and path.suffix in {".py", ".mjs", ".sh", ".yml", ".java"}
    }
    assert guide.shown() == there
    assert there.keys() >= RUN


@contextmanager
def platform(service: Service, command: Sequence[str]) -> Iterator[None]:
    """Run a sample platform until the block ends."""
    process = subprocess.Popen(
        list(command), env={**service.environment, **CLIENT}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        for _ in range(START_TRIES):
            assert process.poll() is None, process.stdout.read().decode()
            try:
                httpx.get(f"{guide.PLATFORM}/signed-out", trust_env=False)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate()


def walk(service: Service, person: Person) -> None:
    """Sign in at a sample platform, refresh, sign out, all by its own pages."""
    said = page(person, f"{guide.PLATFORM}/login")
    assert said["userinfo"]["nickname"] == "Test lin"
    assert said["userinfo"]["sub"] == said["id_token"]["sub"]
    assert said["id_token"]["iss"] == service.issuer
    assert "offline_access" in said["scope"]
    assert person.http.get(f"{guide.PLATFORM}/refresh").json() == {"renewed": True}
    assert page(person, f"{guide.PLATFORM}/logout") == {"signed_out": True}
    # An answer to a question that this browser never asked.
    strange = person.http.get(f"{guide.PLATFORM}/callback?code=sac_x&state=x&iss={service.issuer}")
    assert strange.status_code == 400


def page(person: Person, address: str) -> dict[str, Any]:
    back = came_back(person, address)
    assert back.startswith(guide.PLATFORM)
    answer = person.http.get(back)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_python_sample_signs_in_refreshes_and_signs_out(service: Service, person: Person) -> None:
    command = [sys.executable, "-W", "ignore", str(guide.SAMPLES / "python-authlib" / "app.py")]
    with platform(service, command):
        walk(service, person)


def test_the_node_sample_signs_in_refreshes_and_signs_out(
    service: Service, person: Person, node_program: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Node looks for the library beside the program, as after `npm install` there.
    folder = tmp_path_factory.mktemp("node-sample")
    (folder / "node_modules").symlink_to(NODE_FOLDER / "node_modules")
    (folder / "app.mjs").write_text((guide.SAMPLES / "node-openid-client" / "app.mjs").read_text("utf-8"), "utf-8")
    with platform(service, [node_program, str(folder / "app.mjs")]):
        walk(service, person)


def test_the_curl_walk_signs_in_refreshes_and_gives_the_tokens_back(service: Service, person: Person) -> None:
    process = subprocess.Popen(
        ["bash", str(guide.SAMPLES / "curl" / "sign-in.sh")],
        env={**service.environment, **CLIENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    said, complaints = process.communicate(came_back(person, address) + "\n", timeout=60)
    assert process.returncode == 0, complaints
    tokens, userinfo, before, after = (json.loads(line) for line in said.splitlines())
    assert tokens["token_type"] == "Bearer"
    assert all(tokens[name].endswith("…") for name in ("access_token", "refresh_token", "id_token"))
    assert userinfo["nickname"] == "Test lin"
    assert before["active"] is True
    assert before["sub"] == userinfo["sub"]
    assert after == {"active": False}


def test_the_settings_for_spring_name_what_the_service_answers(service: Service) -> None:
    import yaml

    settings: Any = yaml.safe_load((guide.SAMPLES / "java-spring" / "application.yml").read_text("utf-8"))
    client = settings["spring"]["security"]["oauth2"]["client"]
    registered = client["registration"]["edutrust"]
    metadata = service.live.client().get(f"{service.issuer}/.well-known/openid-configuration").json()
    assert registered["client-authentication-method"] in metadata["token_endpoint_auth_methods_supported"]
    assert registered["authorization-grant-type"] in metadata["grant_types_supported"]
    assert set(registered["scope"].split(",")) <= set(metadata["scopes_supported"])
    assert registered["provider"] in client["provider"]


def test_npm_installs_what_the_lock_file_lists_and_it_names_no_registry() -> None:
    programs.install()
    lock = json.loads((NODE_FOLDER / "package-lock.json").read_text("utf-8"))
    listed = {name: entry for name, entry in lock["packages"].items() if name}
    assert {"node_modules/openid-client", "node_modules/oauth4webapi"} <= listed.keys()
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in listed.values())
