"""The whole service behind a real port with TLS, and the relying party's own address beside it."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.kek import create_kek
from adapters.parts import Parts
from adapters.server import service
from adapters.settings import Settings, check_settings
from idp.clients.registration import parse_clients
from idp.model import Account, AccountState
from idp.registry.contact import ContactStatement, NameParts, PostalAddress, Provable
from idp.registry.model import Source
from idp.registry.names import parse_person_name
from tests.idp.registry.people import FIRST, id_number, request, school_row
from tests.services.ports import free_port
from tests.services.tables import make_tables

PASSWORD = "correct horse battery"
SECRET = "s" * 43
START_S = 60
ANSWER_S = 60
STATED = ContactStatement(
    email="lin@mail.example.edu.cn",
    phone="15400000001",
    address=PostalAddress("重庆市沙坪坝区大学城中路1号\n3栋", "重庆市", "沙坪坝区", "401331"),
    locale="zh-CN",
    zoneinfo="Asia/Shanghai",
)
NAME_PARTS = NameParts(parse_person_name("𠮷禾"), parse_person_name("张"))
# One person for everything, and one a mode for the request that names both context classes: whoever is asked for a
# second factor enrols one, and is another person afterwards.
USERNAMES = ("lin", "two-factors-query", "two-factors-form")


@dataclass(frozen=True, slots=True)
class Received:
    """One request that reached the relying party."""

    method: str
    path: str
    media_type: str
    body: str


class PartyServer:
    """Listens where the relying party says it listens, and keeps what comes. `documents` are what it answers, by path.

    With `tls` it is `https://localhost:…`, as an address must be that the provider fetches.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.received: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self.documents: dict[str, tuple[str, bytes]] = {}
        kept, documents = self.received, self.documents

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                kept.put(Received(self.command, self.path, self.headers.get("content-type") or "", body))
                media_type, document = documents.get(self.path, ("text/plain", b""))
                self.send_response(200)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            do_GET = do_POST = answer  # noqa: N815  # the names are the base class's

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.authority = f"127.0.0.1:{self._server.server_port}"
        self.origin = f"http://{self.authority}"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.authority = f"localhost:{self._server.server_port}"
            self.origin = f"https://{self.authority}"

    def drain(self) -> list[Received]:
        """Return what has come since the last time."""
        found = []
        while not self.received.empty():
            found.append(self.received.get())
        return found

    @contextmanager
    def listening(self) -> Iterator[PartyServer]:
        """Listen while the block lasts."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@dataclass(frozen=True, slots=True)
class Live:
    """What a relying party is told: the issuer, whom to trust for TLS, and its own server."""

    issuer: str
    trust: ssl.SSLContext
    party: PartyServer
    clients: list[httpx.Client] = field(default_factory=list)

    def client(self, **headers: str) -> httpx.Client:
        """Open an HTTP client of one test."""
        made = httpx.Client(verify=self.trust, trust_env=False, headers=headers, timeout=ANSWER_S)
        self.clients.append(made)
        return made

    def close_clients(self) -> None:
        """Close what the test opened."""
        while self.clients:
            self.clients.pop().close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed(Live):
    """With the party's server that has TLS, and the folder of the deployment, where commands find it."""

    web: PartyServer
    folder: Path


def registrations(origin: str) -> list[dict[str, object]]:
    """Return the clients of the plans as a static file names them."""

    def client(client_id: str, **changes: object) -> dict[str, object]:
        made = {
            "client_id": client_id,
            "name_zh": "一致性测试",
            "name_en": "Conformance",
            "redirect_uris": [f"{origin}/callback"],
            "post_logout_redirect_uris": [f"{origin}/signed-out"],
            "backchannel_logout_uri": f"{origin}/backchannel",
            "client_secret": SECRET,
            "grant_types": ["authorization_code", "refresh_token"],
            "scopes_required": ["openid", "profile"],
            "scopes_optional": ["email", "phone", "address", "edu", "offline_access"],
            # The modules ask without a code challenge, but for the one that is about it; and one without a nonce, too.
            "require_pkce": False,
            "require_nonce": False,
            **changes,
        }
        return {name: value for name, value in made.items() if value is not None}

    return [
        client("conformance"),
        client("conformance-two"),
        client("conformance-post", token_endpoint_auth_method="client_secret_post"),
        client(
            "conformance-front",
            backchannel_logout_uri=None,
            frontchannel_logout_uri=f"{origin}/frontchannel?of=the%20platform",
            frontchannel_logout_session_required=True,
        ),
        client(
            "conformance-device",
            name_zh="教室大屏",
            name_en="Classroom screen",
            redirect_uris=None,
            post_logout_redirect_uris=None,
            backchannel_logout_uri=None,
            sector_identifier="screen.example",
            grant_types=["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
            require_pkce=None,
        ),
    ]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for `localhost`, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "tls.pem", folder / "tls.key"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_path, key_path


@contextmanager
def living(folder: Path) -> Iterator[Deployed]:
    """Run the service and the relying party's server while the block lasts."""
    cert, key = certificate(folder)
    port = free_port()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    with (
        PartyServer().listening() as party,
        PartyServer(tls).listening() as web,
        pytest.MonkeyPatch.context() as environment,
    ):
        environment.setenv("SSL_CERT_FILE", str(cert))  # whom the provider trusts when it fetches an address
        settings = check_settings(
            {
                "issuer": f"https://localhost:{port}",
                "port": port,
                "data_dir": str(folder),
                "outbound_allowed": [party.authority, web.authority],
                "second_factor_for_all": False,
                "tls_cert": str(cert),
                "tls_key": str(key),
            }
        )
        create_kek(settings.kek_file, random_bytes=os.urandom)
        make_tables(settings.database_url)
        running = _Running(settings, party.origin)
        running.start()
        try:
            trust = ssl.create_default_context(cafile=str(cert))
            yield Deployed(settings.issuer, trust, party, web=web, folder=folder)
        finally:
            running.stop()


class _Running:
    """The service in a thread with an event loop of its own."""

    def __init__(self, settings: Settings, origin: str) -> None:
        self._settings = settings
        self._origin = origin
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="service")
        self._ready = threading.Event()
        self._server: uvicorn.Server | None = None

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(START_S)
        assert self._server is not None
        assert self._server.started, "the service did not start"

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join()

    async def _serve(self) -> None:
        settings = self._settings
        try:
            async with service(settings, write_log=lambda _line: None) as (parts, application):
                await _people_and_clients(parts, self._origin)
                config = uvicorn.Config(
                    application.asgi,
                    host="127.0.0.1",
                    port=settings.port,
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    proxy_headers=False,
                    lifespan="off",
                    ssl_certfile=str(settings.tls_cert),
                    ssl_keyfile=str(settings.tls_key),
                )
                self._server = uvicorn.Server(config)
                serving = asyncio.create_task(self._server.serve())
                while not self._server.started and not serving.done():  # noqa: ASYNC110  # uvicorn offers a flag
                    await asyncio.sleep(0.01)
                self._ready.set()
                await serving
        finally:
            self._ready.set()


async def _people_and_clients(parts: Parts, origin: str) -> None:
    now = parts.clock()
    await parts.access.register_clients(parse_clients(json.dumps(registrations(origin)).encode()), now)
    await parts.registry.import_schools([school_row(2, FIRST.value)], source=Source.OFFICIAL_LIST, now=now)
    hashed = await parts.passwords.hash(PASSWORD)
    for sequence, username in enumerate(USERNAMES, start=1):
        enrolment = await parts.registry.enrol_person(request("张·𠮷禾", number=id_number(sequence)), now=now)
        number = enrolment.person.number.value
        proven = {Provable.EMAIL: True, Provable.PHONE: False}
        await parts.registry.state_contact(enrolment.person.number, STATED, proven=proven, now=now)
        await parts.registry.set_name_parts(enrolment.person.number, NAME_PARTS, now=now)
        await parts.access.create_account(Account(number, username, AccountState.ACTIVE, hashed), now)
