"""`edutrust run` over HTTPS with its platforms and people in two files, driven by a program that runs no JavaScript."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.services.ports import free_port

EDUTRUST = [sys.executable, "-m", "adapters.cli"]
START_S = 120
CALLBACK = "https://lab.example/callback"
SECRET = "Zq3vXo9cT1mK7bWd5RyLh2PsNf8UaGj4EiVxB6tQ0wM"
PASSWORD = "correct horse battery"
CLIENTS = [
    {
        "client_id": "lab-basic",
        "client_name": "Conformance lab",
        "client_secret": SECRET,
        "redirect_uris": [CALLBACK],
        "scope": "openid profile",
        "require_pkce": False,
    }
]
USERS = [
    {"username": "lab", "password": PASSWORD, "display_name": "Lab Person", "second_factor": "none"},
    {"username": "two", "password": PASSWORD, "display_name": "Two Factors", "second_factor": "required"},
]


@dataclass(frozen=True, slots=True)
class Running:
    """A started service: its address, and what trusts its certificate."""

    issuer: str
    trusts: ssl.SSLContext


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value), "utf-8")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Start the command on a fresh data folder, exactly as the operations guide says."""
    folder = tmp_path_factory.mktemp("static")
    data, port = folder / "data", free_port()
    cert_file, key_file = make_certificate(folder)
    issuer = f"https://localhost:{port}"
    made = subprocess.run([*EDUTRUST, "keys", "init", "--data-dir", str(data)], capture_output=True, check=False)
    assert made.returncode == 0, made.stderr
    process = subprocess.Popen(
        [
            *[*EDUTRUST, "run", "--data-dir", str(data), "--host", "127.0.0.1", "--port", str(port)],
            *["--issuer", issuer, "--tls-cert", str(cert_file), "--tls-key", str(key_file)],
            *["--clients", str(write(folder / "clients.json", CLIENTS))],
            *["--users", str(write(folder / "users.json", USERS))],
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline().decode()
        assert first == f"READY {issuer}\n", first
        yield Running(issuer, ssl.create_default_context(cafile=str(cert_file)))
    finally:
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        assert process.wait(timeout=30) == 0


@pytest.fixture
def browser(running: Running) -> Iterator[httpx.Client]:
    """Return a program with a cookie jar; it follows no redirect by itself."""
    with httpx.Client(verify=running.trusts, trust_env=False, timeout=30) as client:
        yield client


@dataclass
class Form:
    """A form of a page: where it posts to and the fields it came with."""

    action: str
    fields: dict[str, str]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            assert given["method"] == "post"
            self.found.append(Form(given["action"], {}))
        elif tag == "input" and self.found and given.get("name") and given.get("type") not in {"checkbox", "submit"}:
            self.found[-1].fields[given["name"]] = given.get("value", "")


def form_to(page: httpx.Response, action: str) -> Form:
    """Return the page's form that posts to `action`."""
    assert page.status_code == 200, page.text[:400]
    forms = _Forms()
    forms.feed(page.text)
    (form,) = [form for form in forms.found if urlsplit(form.action).path == action]
    return form


def send(browser: httpx.Client, page: httpx.Response, form: Form, typed: Mapping[str, str]) -> httpx.Response:
    answer = browser.post(
        urljoin(str(page.url), form.action),
        data={**form.fields, **typed},
        headers={"Origin": f"{page.url.scheme}://{page.url.netloc.decode()}", "Referer": str(page.url)},
    )
    return follow(browser, answer)


def follow(browser: httpx.Client, answer: httpx.Response) -> httpx.Response:
    """Follow redirects within the service; stop where the platform begins."""
    while answer.is_redirect:
        to = urljoin(str(answer.url), answer.headers["location"])
        if to.startswith(CALLBACK):
            break
        answer = browser.get(to)
    return answer


def authorize(browser: httpx.Client, running: Running, **more: str) -> httpx.Response:
    query = {
        "response_type": "code",
        "client_id": "lab-basic",
        "redirect_uri": CALLBACK,
        "scope": "openid profile",
        "state": "a state",
        "nonce": "a nonce",
        **more,
    }
    return follow(browser, browser.get(f"{running.issuer}/authorize?{urlencode(query)}"))


def sign_in(browser: httpx.Client, page: httpx.Response, username: str) -> httpx.Response:
    return send(browser, page, form_to(page, "/signin/password"), {"username": username, "password": PASSWORD})


def tokens_of(browser: httpx.Client, running: Running, redirect: httpx.Response, **more: str) -> dict[str, Any]:
    answered = parse_qs(urlsplit(redirect.headers["location"]).query)
    assert answered["state"] == ["a state"]
    assert answered["iss"] == [running.issuer]
    answer = browser.post(
        f"{running.issuer}/token",
        data={"grant_type": "authorization_code", "code": answered["code"][0], "redirect_uri": CALLBACK, **more},
        auth=("lab-basic", SECRET),
    )
    assert answer.status_code == 200, answer.text
    tokens: dict[str, Any] = answer.json()
    return tokens


def test_a_password_alone_leads_through_plain_forms_to_tokens_and_userinfo(
    running: Running, browser: httpx.Client
) -> None:
    discovery = browser.get(f"{running.issuer}/.well-known/openid-configuration").json()
    assert discovery["issuer"] == running.issuer

    consent = sign_in(browser, authorize(browser, running), "lab")
    allowed = send(browser, consent, form_to(consent, "/signin/consent"), {})
    assert allowed.status_code in {302, 303}
    tokens = tokens_of(browser, running, allowed)

    keys = KeySet.import_key_set(browser.get(discovery["jwks_uri"]).json())
    claims = jwt.decode(tokens["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (running.issuer, "lab-basic", "a nonce")
    assert (claims["acr"], claims["amr"]) == ("urn:edutrust:acr:1", ["pwd"])
    assert claims["exp"] > time.time() > claims["auth_time"] - 60

    userinfo = browser.get(
        discovery["userinfo_endpoint"], headers={"Authorization": f"Bearer {tokens['access_token']}"}
    ).json()
    assert userinfo["sub"] == claims["sub"]
    assert userinfo["name"] == "Lab Person"

    # Signed in and consented: the next request goes straight through, also where no page may be shown.
    verifier = "v" * 43
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    again = authorize(browser, running, prompt="none", code_challenge=challenge, code_challenge_method="S256")
    assert again.is_redirect
    assert tokens_of(browser, running, again, code_verifier=verifier)["token_type"] == "Bearer"


def test_a_platform_that_asks_for_two_factors_gets_no_less_from_a_person_with_a_password_only(
    running: Running, browser: httpx.Client
) -> None:
    page = sign_in(browser, authorize(browser, running, acr_values="urn:edutrust:acr:2"), "lab")
    assert form_to(page, "/signin/enrol").fields


def test_a_person_without_the_exception_is_asked_for_the_second_factor(running: Running, browser: httpx.Client) -> None:
    page = sign_in(browser, authorize(browser, running), "two")
    assert form_to(page, "/signin/enrol").fields


def test_cookies_are_for_https_only(running: Running, browser: httpx.Client) -> None:
    authorize(browser, running)
    assert browser.cookies.jar
    assert all(cookie.secure for cookie in browser.cookies.jar)


# Starts that cannot succeed


def fails(folder: Path, *arguments: str) -> list[str]:
    """Run a start that must fail before it makes anything; return its lines."""
    data = folder / "data"
    done = subprocess.run(
        [*EDUTRUST, "run", "--data-dir", str(data), "--port", str(free_port()), *arguments],
        capture_output=True,
        check=False,
        timeout=START_S,
    )
    said = done.stderr.decode()
    assert done.returncode == 1
    assert "Traceback" not in said
    assert not data.exists()
    return said.splitlines()


def test_every_mistake_of_both_files_is_one_sentence_and_nothing_is_made(tmp_path: Path) -> None:
    clients = write(tmp_path / "clients.json", [*CLIENTS, {**CLIENTS[0], "client_id": "b", "scope": "openid"}])
    users = write(tmp_path / "users.json", [{**USERS[0], "password": "short", "second_factor": "never"}])
    assert fails(tmp_path, "--clients", str(clients), "--users", str(users)) == [
        f"{clients}: entry 1: client_id: form: a small letter, then 2 to 39 small letters, digits or hyphens.",
        f"{users}: entry 0: password: length: 8 to 256 characters.",
        f"{users}: entry 0: second_factor: unknown_value: must be none or required.",
    ]


def test_a_certificate_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    cert_file, key_file = make_certificate(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, others_key = make_certificate(other)
    for pair in ((key_file, cert_file), (cert_file, others_key)):
        (line,) = fails(tmp_path, "--tls-cert", str(pair[0]), "--tls-key", str(pair[1]))
        assert "PEM" in line


def test_the_demo_takes_no_files(tmp_path: Path) -> None:
    (line,) = fails(tmp_path, "--demo", "--users", str(write(tmp_path / "users.json", USERS)))
    assert "--demo" in line
