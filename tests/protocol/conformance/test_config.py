"""The Config plan: OpenID Connect Discovery 1.0."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.protocol.conformance.party import DISCOVERY_PATH, Party

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}  # RFC 7518 §6.2.2, §6.3.2, §6.4.1
SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?")  # RFC 5646 §2.1.1, in its recommended case


def test_oidcc_discovery_endpoint_verification(platform: Party) -> None:
    answer = platform.http.get(platform.live.issuer + DISCOVERY_PATH)
    assert answer.status_code == 200
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    document = answer.json()

    # The issuer is the address the document was fetched under, with nothing added (§4.3).
    assert document["issuer"] == platform.live.issuer
    parts = urlsplit(document["issuer"])
    assert (parts.scheme, parts.query, parts.fragment) == ("https", "", "")

    # What §3 requires, and the values a provider must offer.
    assert "code" in document["response_types_supported"]
    assert "authorization_code" in document.get("grant_types_supported", ["authorization_code", "implicit"])
    assert document["subject_types_supported"]
    assert set(document["subject_types_supported"]) <= {"pairwise", "public"}
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert document["claims_supported"]
    assert "openid" in document["scopes_supported"]
    assert all(SCOPE_TOKEN.fullmatch(scope) for scope in document["scopes_supported"])
    assert all(LANGUAGE_TAG.fullmatch(tag) for tag in document["ui_locales_supported"])
    assert document["code_challenge_methods_supported"] == ["S256"]
    for name in ("claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported"):
        assert isinstance(document[name], bool)

    # Every endpoint is there, under https.
    for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"):
        assert name in document
    for name, address in document.items():
        if name.endswith(("_endpoint", "_uri")):
            assert address.startswith("https://"), name

    keys = platform.http.get(document["jwks_uri"]).json()["keys"]
    assert keys
    for key in keys:
        assert not PRIVATE_MEMBERS & key.keys()
        assert key["kty"] in {"RSA", "EC", "OKP"}
        assert key["kid"]
        assert key["use"] == "sig"
    assert len({key["kid"] for key in keys}) == len(keys)
