"""Every case of `sm2_cases.json` on every backend of this machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crypto.encoding import rs_to_der
from crypto.errors import EncodingRefused, KeyRefused, SignatureInvalid, TrustError
from crypto.sm2 import Sm2Backend, signature_from_der, signature_to_der
from crypto.sm2_ciphertext import ciphertext_from_der, ciphertext_to_der
from tests.crypto import sm2_arithmetic as plain
from tests.crypto.conftest import backend_named
from tests.crypto.sm2_cases import FILE, VALID, Case, case_id, cases, of_kind
from tests.crypto.sm2_cases_make import made, text

ENOUGH = 300


def each(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", of_kind(kind), ids=case_id)


def check(case: Case, run: Callable[[], bytes | None]) -> None:
    """Run a case: the output or the refusal is the one of the file, and a refusal names argument and rule."""
    if case.result == VALID:
        assert run() == case.out
        return
    code, _, field = case.result.partition(" ")
    with pytest.raises(TrustError) as refused:
        run()
    assert (refused.value.code, refused.value.field or "") == (code, field)
    if isinstance(refused.value, (KeyRefused, EncodingRefused)):
        assert refused.value.rule
    else:
        assert refused.value.rule is None, "one error, whatever differed"


def test_there_are_enough_of_them_and_each_says_how_it_was_made() -> None:
    assert len(cases()) >= ENOUGH
    positives = sum(case.result == VALID for case in cases())
    assert min(positives, len(cases()) - positives) >= ENOUGH
    assert all(case.how for case in cases())
    assert len({case.id for case in cases()}) == len(cases())


def test_the_file_is_what_the_plain_arithmetic_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == text(made())


@each("verify")
def test_signatures_of_messages(backend: Sm2Backend, case: Case) -> None:
    public, user_id, message, signature = (case.inputs[name] for name in ("public", "user_id", "message", "signature"))
    check(case, lambda: backend.verify(public, message, signature, user_id))
    if case.result == VALID:
        assert backend.public_key(public).verify_many([(message, signature)], user_id) == (True,)
    elif case.result == SignatureInvalid.code:
        assert backend.public_key(public).verify_many([(message, signature)], user_id) == (False,)


@each("verify")
def test_signatures_of_messages_under_a_key_that_has_its_table(case: Case) -> None:
    # The kernel gives a key that verifies often a table, and then goes another way.
    backend = backend_named("kernel")
    public, user_id, message, signature = (case.inputs[name] for name in ("public", "user_id", "message", "signature"))
    key = backend.public_key(public)
    key.verify_many([(b"", bytes(64))] * 50, b"")
    check(case, lambda: key.verify(message, signature, user_id))
    if case.result in {VALID, SignatureInvalid.code}:
        rows = [(b"", bytes(64)), (message, signature), (message + b"!", signature)]
        assert key.verify_many(rows, user_id) == (False, case.result == VALID, False)


def test_a_batch_gives_each_row_its_own_verdict(backend: Sm2Backend) -> None:
    by_key: dict[tuple[bytes, bytes], list[Case]] = {}
    for case in of_kind("verify"):
        if case.result in {VALID, SignatureInvalid.code}:
            by_key.setdefault((case.inputs["public"], case.inputs["user_id"]), []).append(case)
    rows = max(by_key.values(), key=len)
    public, user_id = rows[0].inputs["public"], rows[0].inputs["user_id"]
    mixed = [(case.inputs["message"], case.inputs["signature"]) for case in rows]
    # Every third row is the signature of another row's message.
    mixed[::3] = [(message + b"!", signature) for message, signature in mixed[::3]]
    expected = tuple(at % 3 != 0 and case.result == VALID for at, case in enumerate(rows))
    assert backend.public_key(public).verify_many(mixed, user_id) == expected
    assert backend.public_key(public).verify_many([], user_id) == ()


@each("public_key")
def test_public_keys(backend: Sm2Backend, case: Case) -> None:
    def prepared() -> None:
        assert backend.public_key(case.inputs["public"]).public == case.inputs["public"]

    check(case, prepared)
    if case.result != VALID:
        check(case, lambda: backend.encrypt(case.inputs["public"], b"m"))
        check(case, lambda: backend.verify(case.inputs["public"], b"m", bytes(63) + b"\1", b""))


@each("public_of")
def test_private_keys(backend: Sm2Backend, case: Case) -> None:
    check(case, lambda: backend.public_of(case.inputs["private"]))
    check(case, lambda: backend.private_key(case.inputs["private"]).public)
    if case.result != VALID:
        check(case, lambda: backend.sign(case.inputs["private"], b"m", b""))
        check(case, lambda: backend.decrypt(case.inputs["private"], b"\4" + bytes(97)))


@each("decrypt")
def test_ciphertexts(backend: Sm2Backend, case: Case) -> None:
    check(case, lambda: backend.decrypt(case.inputs["private"], case.inputs["ciphertext"]))


@each("decrypt")
def test_the_plain_arithmetic_agrees_about_ciphertexts(case: Case) -> None:
    private, ciphertext = int.from_bytes(case.inputs["private"], "big"), case.inputs["ciphertext"]
    if case.result.startswith("crypto.encoding_refused"):
        assert plain.decrypt(private, ciphertext) is None or len(ciphertext) > 1 << 16
    else:
        assert plain.decrypt(private, ciphertext) == case.out


@each("multiply")
def test_products(backend: Sm2Backend, case: Case) -> None:
    check(case, lambda: backend.multiply(case.inputs["scalar"], case.inputs["point"]))


@each("multiply_base")
def test_products_of_the_generator(backend: Sm2Backend, case: Case) -> None:
    check(case, lambda: backend.multiply_base(case.inputs["scalar"]))


@each("signature_der")
def test_signatures_in_der(case: Case) -> None:
    check(case, lambda: signature_from_der(case.inputs["der"]))
    if case.out is not None:
        assert signature_to_der(case.out) == rs_to_der(case.out) == case.inputs["der"]


@each("ciphertext_der")
def test_ciphertexts_in_der(case: Case) -> None:
    check(case, lambda: ciphertext_from_der(case.inputs["der"]))
    if case.out is not None:
        assert ciphertext_to_der(case.out) == case.inputs["der"]
