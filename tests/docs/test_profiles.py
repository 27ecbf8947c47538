"""The profiles' vectors, read from the documents: the product accepts them, and so does code that is not the product's."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from gmssl.sm3 import sm3_hash

from adapters.cli import main
from credentials.bundle import Bundle
from credentials.errors import Unreadable
from credentials.formats import sd_jwt
from credentials.formats.key_binding import ExpectedBinding, verify_key_binding
from credentials.trust import parse_trust
from credentials.verification import verify_bundle, verify_receipt_file
from crypto.encoding import b64u_encode
from crypto.keys import public_from_jwk
from crypto.suites import Alg, Purpose, policy
from tests.docs.jose_vectors import PROFILES, read_from
from tests.docs.make_vectors import JUDGED_AT


def vector(name: str) -> dict[str, Any]:
    return read_from(PROFILES / name)


def gmssl_sm3(data: bytes) -> bytes:
    return bytes.fromhex(sm3_hash(list(data)))


def raw(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# sd-jwt-sm3.md


def test_the_products_verifier_accepts_credential_and_presentation() -> None:
    stated, rules = vector("sd-jwt-sm3.md"), policy(Purpose.CREDENTIAL)
    key = public_from_jwk(stated["issuer_jwk"], alg=Alg.SGD_SM3_SM2)
    whole = sd_jwt.verify(
        sd_jwt.parse(stated["issued"]), keys={key.kid: key}, policy=rules, required_claims=frozenset({"iss", "vct"})
    )
    assert whole.claims["certificate_number"] == "105321202605000001"
    shown = sd_jwt.parse(stated["presentation"])
    verified = sd_jwt.verify(shown, keys={key.kid: key}, policy=rules, required_claims=frozenset({"cnf"}))
    assert {name: verified.claims[name] for name in verified.revealed.disclosed_names} == stated["disclosed"]
    expected = ExpectedBinding(stated["audience"], stated["nonce"], 0)
    binding = policy(Purpose.KEY_BINDING)
    verify_key_binding(shown, verified.payload, policy=binding, now=JUDGED_AT, expected=expected)


def test_every_digest_of_the_document_is_sm3_by_another_library() -> None:
    stated = vector("sd-jwt-sm3.md")
    issuer_jwt, *disclosures = stated["issued"].rstrip("~").split("~")
    payload = json.loads(raw(issuer_jwt.split(".")[1]))
    assert payload["_sd_alg"] == "sm3"
    digests = {b64u_encode(gmssl_sm3(one.encode())) for one in disclosures}
    assert digests < set(payload["_sd"])  # all of them, and a decoy
    before, _, key_binding = stated["presentation"].rpartition("~")
    claims = json.loads(raw(key_binding.split(".")[1]))
    assert claims["sd_hash"] == b64u_encode(gmssl_sm3(f"{before}~".encode()))


# bundle.md


def _file(name: str) -> bytes:
    return (PROFILES / "vectors" / name).read_bytes()


def test_the_bundle_beside_the_document_is_valid_as_it_says() -> None:
    verdict = verify_bundle(_file("bundle.json"), trust=parse_trust(_file("trust.json")), now=JUDGED_AT, status=None)
    assert (verdict.verdict, verdict.as_of) == ("valid", 1_782_865_800)
    assert verdict.facts == vector("bundle.md")["facts"]
    named = {check.name.value for check in verdict.checks}
    steps = (PROFILES / "bundle.md").read_text("utf-8")
    assert all(f". **{name}" in steps for name in named | {"document"})


def test_the_receipt_beside_the_document_is_the_bundles_own_and_valid() -> None:
    assert json.loads(_file("bundle.json"))["receipt"] == json.loads(_file("receipt.json"))
    assert verify_receipt_file(_file("receipt.json"), trust=parse_trust(_file("trust.json"))).verdict == "valid"


def test_a_strangers_code_gets_from_the_entry_to_both_roots() -> None:
    stated, receipt = vector("bundle.md"), json.loads(_file("receipt.json"))
    bundle = json.loads(_file("bundle.json"))
    jwt = bundle["presentation"].partition("~")[0]
    assert stated["commitment"] == b64u_encode(gmssl_sm3(raw(bundle["opening"]) + jwt.encode()))
    assert raw(receipt["body"]).decode() == stated["body"]
    assert json.loads(stated["body"])["commitment"] == stated["commitment"]
    origin, size, root_sha256, root_sm3, _ = stated["checkpoint"].split("\n")[:5]
    assert (origin, receipt["checkpoint"]) == (receipt["origin"], stated["checkpoint"])
    for name, digest, root in (
        ("sm3", gmssl_sm3, root_sm3.removeprefix("sm3 ")),
        ("sha256", lambda data: hashlib.sha256(data).digest(), root_sha256),
    ):
        node = digest(b"\x00" + raw(receipt["body"]))
        assert node.hex() == stated[f"leaf_{name}"]
        index, last = receipt["index"], int(size) - 1
        for sibling in map(raw, receipt[f"{name}_path"]):
            if index & 1 or index == last:
                node = digest(b"\x01" + sibling + node)
                while not index & 1 and index:
                    index, last = index >> 1, last >> 1
            else:
                node = digest(b"\x01" + node + sibling)
            index, last = index >> 1, last >> 1
        assert (last, base64.b64encode(node).decode()) == (0, root)


def test_the_key_ids_of_the_note_are_those_the_document_derives() -> None:
    stated, [log] = vector("bundle.md"), json.loads(_file("trust.json"))["logs"]
    sm2_key = b"\xffedutrust/sm2-with-sm3/1\x04" + raw(log["sm2"]["x"]) + raw(log["sm2"]["y"])
    ed25519_key = b"\x01" + raw(log["ed25519"]["x"])
    ids = [hashlib.sha256(log["origin"].encode() + b"\n" + key).digest()[:4] for key in (sm2_key, ed25519_key)]
    assert [one.hex() for one in ids] == [stated["key_id_sm2"], stated["key_id_ed25519"]]
    lines = stated["checkpoint"].splitlines()[-2:]
    assert [base64.b64decode(line.rpartition(" ")[2])[:4] for line in lines] == ids


def test_a_bundle_with_one_blank_more_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        Bundle.parse(_file("bundle.json") + b"\n")


@pytest.mark.parametrize(("name", "changed", "code"), [
    ("bundle.json", None, 0), ("receipt.json", None, 0), ("bundle.json", "status", 1), ("trust.json", None, 2),
])  # fmt: skip
def test_the_command_answers_with_the_documents_exit_codes(
    name: str, changed: str | None, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _file(name)
    if changed is not None:
        # The last character of a signature's first half: still base64url, another signature.
        value = json.loads(data)[changed]
        at = data.index(value.encode()) + len(value) - 40
        data = data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]
    path = tmp_path / name
    path.write_bytes(data)
    assert main(["verify", str(path), "--trust", str(PROFILES / "vectors" / "trust.json"), "--offline"]) == code
    assert capsys.readouterr()


def test_a_trust_file_of_somebody_else_gives_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trust.json"
    path.write_bytes(b'{"type":"edutrust-trust/1"}')
    assert main(["verify", str(PROFILES / "vectors" / "bundle.json"), "--trust", str(path), "--offline"]) == 3
    assert capsys.readouterr()
