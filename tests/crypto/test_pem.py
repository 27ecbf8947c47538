from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import EncodingRefused, TrustError
from crypto.pem import MAX_PEM_BLOCKS, MAX_PEM_BYTES, PemBlock, looks_like_pem, pem_block, pem_blocks, pem_encode

LABELS = st.from_regex(r"[A-Z0-9]([A-Z0-9 -]{0,10}[A-Z0-9])?", fullmatch=True)
BLOCK = pem_encode("PUBLIC KEY", bytes(range(100)))


def rule_of(data: bytes) -> str | None:
    try:
        pem_blocks(data, field="file")
    except EncodingRefused as refused:
        return refused.rule if refused.field == "file" else "another field"
    return None


@given(st.lists(st.tuples(LABELS, st.binary(min_size=1, max_size=200)), min_size=1, max_size=4))
def test_blocks_come_back(written: list[tuple[str, bytes]]) -> None:
    data = b"".join(pem_encode(label, content) for label, content in written)
    assert pem_blocks(data, field="file") == tuple(PemBlock(label, content) for label, content in written)
    assert looks_like_pem(data)


def test_lines_may_end_in_crlf_and_the_last_may_lack_its_end() -> None:
    expected = pem_blocks(BLOCK, field="file")
    assert pem_blocks(BLOCK.replace(b"\n", b"\r\n"), field="file") == expected
    assert pem_blocks(BLOCK.rstrip(b"\n"), field="file") == expected


def altered(old: bytes, new: bytes) -> bytes:
    assert old in BLOCK
    return BLOCK.replace(old, new, 1)


FIRST_LINE = BLOCK.split(b"\n")[1]
REFUSED = {
    "pem_missing": [b""],
    "pem_text_outside": [
        b"\n" + BLOCK,
        b" " + BLOCK,
        b"Bag Attributes\n" + BLOCK,
        BLOCK + b"\n",
        BLOCK + b"\n" + BLOCK,
        BLOCK + b"text\n",
        altered(b"BEGIN PUBLIC", b"BEGIN  PUBLIC").replace(b"-----BEGIN  ", b"----BEGIN "),
        altered(b"-----BEGIN PUBLIC KEY-----", b"-----BEGIN PUBLIC KEY----- "),
        altered(b"-----BEGIN PUBLIC KEY-----", b"-----BEGIN public key-----"),
        altered(b"-----BEGIN PUBLIC KEY-----", b"-----BEGIN -----"),
    ],
    "pem_end": [
        altered(b"-----END PUBLIC KEY-----\n", b""),
        altered(b"-----END PUBLIC", b"-----END PRIVATE"),
        altered(b"-----END PUBLIC KEY-----", b"-----END PUBLIC KEY----- "),
        altered(b"-----END PUBLIC KEY-----", b"-----END PUBLIC KEY"),
    ],
    "pem_headers": [
        altered(b"KEY-----\n", b"KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"),
        altered(b"KEY-----\n", b"KEY-----\nComment: mine\n"),
    ],
    "pem_empty": [
        b"-----BEGIN X-----\n-----END X-----\n",
        b"-----BEGIN X-----\n\n-----END X-----\n",
        altered(b"\n-----END", b"\n\n-----END"),
    ],
    "pem_line_length": [
        altered(FIRST_LINE, FIRST_LINE[:32] + b"\n" + FIRST_LINE[32:]),
        altered(FIRST_LINE + b"\n", FIRST_LINE),
        altered(FIRST_LINE, FIRST_LINE + b" "),
        altered(FIRST_LINE, b" " + FIRST_LINE),
        altered(FIRST_LINE, b"\n" + FIRST_LINE),
        altered(FIRST_LINE + b"\n", FIRST_LINE + b"\r"),
    ],
    "base64": [
        altered(FIRST_LINE[:1], b"*"),
        altered(FIRST_LINE[:4], b"AA=="),
        altered(b"==\n", b"=\n"),
    ],
    "base64_canonical": [altered(b"w==\n", b"x==\n")],
    "pem_characters": [altered(b"-----\n", "-----\u00a0\n".encode()), b"\xff\xfe"],
    "pem_too_many_blocks": [BLOCK * (MAX_PEM_BLOCKS + 1)],
    "pem_too_large": [b"-" * (MAX_PEM_BYTES + 1)],
}


@pytest.mark.parametrize(("rule", "data"), [(rule, data) for rule, files in REFUSED.items() for data in files])
def test_a_file_in_another_form_is_refused_by_its_rule(rule: str, data: bytes) -> None:
    assert rule_of(data) == rule


def test_one_block_of_one_label_is_asked_for() -> None:
    assert pem_block(BLOCK, "PUBLIC KEY", field="file") == bytes(range(100))
    with pytest.raises(EncodingRefused) as two:
        pem_block(BLOCK + BLOCK, "PUBLIC KEY", field="file")
    assert two.value.rule == "pem_one_block"
    with pytest.raises(EncodingRefused) as other:
        pem_block(BLOCK, "PRIVATE KEY", field="file")
    assert other.value.rule == "pem_label"


@given(st.binary(max_size=300))
def test_whatever_bytes_come_only_a_refusal_comes_out(data: bytes) -> None:
    looks_like_pem(data)
    with pytest.raises(TrustError):
        pem_blocks(data, field="file")


@given(st.integers(0, len(BLOCK) - 1), st.integers(0, 255))
def test_a_mutated_file_is_refused_or_holds_other_bytes(at: int, octet: int) -> None:
    changed = BLOCK[:at] + bytes((octet,)) + BLOCK[at + 1 :]
    try:
        blocks = pem_blocks(changed, field="file")
    except EncodingRefused:
        return
    assert changed == BLOCK or blocks != pem_blocks(BLOCK, field="file")
