"""A relying party that registers itself as the modules of the Dynamic plan do."""

from __future__ import annotations

import json
import secrets
import time
from contextlib import redirect_stdout
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

from adapters.cli import main
from tests.protocol.conformance.live import Deployed
from tests.protocol.conformance.party import Party

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def config_of(live: Deployed) -> list[str]:
    """Return the arguments by which a command finds the deployment that serves."""
    config = live.folder / "edutrust.toml"
    config.write_text(f'issuer = "{live.issuer}"\ndata_dir = "{live.folder}"\n', "utf-8")
    return ["--config", str(config)]


class Registrar:
    """Registers with the initial access token that the operator gave away for this run."""

    def __init__(self, live: Deployed, token: str) -> None:
        self.live = live
        self.token = token
        self.http = live.client()

    def post(self, **metadata: Any) -> httpx.Response:
        """Register with exactly these metadata."""
        endpoint = Party(self.live).metadata["registration_endpoint"]
        return self.http.post(endpoint, json=metadata, headers={"authorization": f"Bearer {self.token}"})

    def register(self, **metadata: Any) -> RegisteredParty:
        """Register an ordinary client with a name of its own; check the answer (RFC 7591 §3.2.1)."""
        asked = {
            "client_name": f"Conformance {secrets.token_hex(4)}",
            "redirect_uris": [f"{self.live.web.origin}/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            **metadata,
        }
        answer = self.post(**asked)
        assert answer.status_code == 201, answer.text
        assert "no-store" in answer.headers["cache-control"]
        body: dict[str, Any] = answer.json()
        assert body["client_id"]
        for name, value in asked.items():
            if name != "jwks":
                assert body[name] == value, name
        return RegisteredParty(self.live, body)


class RegisteredParty(Party):
    """A relying party by what the provider answered when it registered."""

    def __init__(self, live: Deployed, body: dict[str, Any]) -> None:
        super().__init__(live, body["client_id"])
        self.deployed = live
        self.body = body
        self.redirect_uri = body["redirect_uris"][0]
        self.key: RSAKey | None = None

    def token(self, form: dict[str, str]) -> httpx.Response:
        """Authenticate by the secret it was given, or by its key."""
        endpoint = self.metadata["token_endpoint"]
        if self.key is None:
            return self.http.post(endpoint, data=form, auth=(self.client_id, self.body["client_secret"]))
        return self.http.post(endpoint, data={**form, **self.assertion(self.live.issuer)})

    def assertion(self, audience: str) -> dict[str, str]:
        """Sign a client assertion with the key of the moment (RFC 7523 §3)."""
        assert self.key is not None
        now = int(time.time())
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": audience, "iat": now, "exp": now + 60}
        header = {"alg": "RS256", "kid": self.key.kid}
        signed = jwt.encode(header, {**claims, "jti": secrets.token_urlsafe(16)}, self.key)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}

    def publish_key(self, path: str) -> RSAKey:
        """Make a new key and put it, alone, where the registration says."""
        key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})
        self.deployed.web.documents[path] = ("application/json", key_set(key))
        return key


def key_set(*keys: RSAKey) -> bytes:
    """Return a public key set, without `alg`, as the suite writes them."""
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


def given_token(live: Deployed) -> str:
    """Have the operator give an initial access token away, by the command, once a run."""
    kept = live.folder / "initial-token"
    if not kept.exists():
        arguments = ["clients", "initial-token", *config_of(live), "--uses", "200", "--policy", "trial"]
        with kept.open("w", encoding="utf-8") as file, redirect_stdout(file):
            assert main(arguments) == 0
    return kept.read_text("utf-8").splitlines()[0]
