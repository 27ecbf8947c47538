"""A sign-in under the national profile with nothing but httpx and gmssl: SM2 to prove the platform, SM2 to verify the ID token.

pip install httpx gmssl
ISSUER=... CLIENT_ID=... CLIENT_KEY=<64 hex digits> REDIRECT_URI=... python sign_in.py

It prints an address; open it in a browser, sign in, and paste the address the browser came to.
"""

import base64
import hashlib
import json
import os
import secrets
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
from gmssl.sm2 import CryptSM2
from gmssl.sm3 import sm3_hash

ISSUER, CLIENT_ID = os.environ["ISSUER"], os.environ["CLIENT_ID"]
CLIENT_KEY, REDIRECT_URI = os.environ["CLIENT_KEY"], os.environ["REDIRECT_URI"]
ORDER = int(CryptSM2(private_key="", public_key="").ecc_table["n"], 16)
server = httpx.get(f"{ISSUER}/.well-known/openid-configuration").json()
assert server["issuer"] == ISSUER


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def sm3(data):
    return bytes.fromhex(sm3_hash(list(data)))


def client_assertion():
    """RFC 7523 with SM2: signed anew for every request."""
    now = int(time.time())
    claims = {
        "iss": CLIENT_ID,
        "sub": CLIENT_ID,
        "aud": ISSUER,
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_hex(16),
    }
    parts = ({"alg": "SGD_SM3_SM2", "typ": "JWT"}, claims)
    signing_input = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    # gmssl's own nonces come from `random`, which anybody can foretell: bring one from the system.
    nonce = f"{secrets.randbelow(ORDER - 1) + 1:064x}"
    key = CryptSM2(private_key=CLIENT_KEY, public_key="")
    key.public_key = key._kg(int(CLIENT_KEY, 16), key.ecc_table["g"])  # Z holds the signer's own point
    return f"{signing_input}.{encoded(bytes.fromhex(key.sign_with_sm3(signing_input.encode(), nonce)))}"


def verified(token, keys):
    """Return header and claims of a token signed with SM2 by one of these keys."""
    signing_input, _, signature = token.rpartition(".")
    header, claims = (json.loads(decoded(part)) for part in signing_input.split("."))
    assert header["alg"] == "SGD_SM3_SM2" and header["typ"] == "JWT"
    [key] = [key for key in keys if key["kid"] == header["kid"]]
    assert (key["kty"], key["alg"]) == ("EC", "SGD_SM3_SM2")
    point = (decoded(key["x"]) + decoded(key["y"])).hex()
    raw = decoded(signature)
    assert len(raw) == 64 and encoded(raw) == signature  # r and s, 32 bytes each; not DER
    r, s = int(raw[:32].hex(), 16), int(raw[32:].hex(), 16)
    assert 1 <= r < ORDER and 1 <= s < ORDER and (r + s) % ORDER
    # Z with the default identity 1234567812345678, then SM3, as GB/T 32918.2 has it.
    assert CryptSM2(private_key="", public_key=point).verify_with_sm3(raw.hex(), signing_input.encode())
    return header, claims


verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
request = {
    "response_type": "code",
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "scope": "openid profile",
    "state": state,
    "nonce": nonce,
    # PKCE stays SHA-256: RFC 7636 has no other method that is safe.
    "code_challenge": encoded(hashlib.sha256(verifier.encode()).digest()),
    "code_challenge_method": "S256",
}
print(f"{server['authorization_endpoint']}?{urlencode(request)}", flush=True)
answer = {name: values[0] for name, values in parse_qs(urlsplit(input()).query).items()}
assert (answer["state"], answer["iss"]) == (state, ISSUER)

form = {
    "grant_type": "authorization_code",
    "code": answer["code"],
    "redirect_uri": REDIRECT_URI,
    "code_verifier": verifier,
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "client_assertion": client_assertion(),
}
tokens = httpx.post(server["token_endpoint"], data=form).raise_for_status().json()
# SM2 keys have an address of their own: libraries that do not know the curve refuse a whole set in which it occurs.
keys = httpx.get(server["national_jwks_uri"]).json()["keys"]
header, claims = verified(tokens["id_token"], keys)
assert (claims["iss"], claims["aud"], claims["nonce"]) == (ISSUER, CLIENT_ID, nonce)
assert claims["exp"] > time.time() - 60
assert claims["at_hash"] == encoded(sm3(tokens["access_token"].encode())[:16])  # the left half of SM3

headers = {"Authorization": f"Bearer {tokens['access_token']}"}
userinfo = httpx.get(server["userinfo_endpoint"], headers=headers).json()
assert userinfo["sub"] == claims["sub"]
print(json.dumps({"header": header, "claims": claims, "userinfo": userinfo, "token": tokens["id_token"]}))
