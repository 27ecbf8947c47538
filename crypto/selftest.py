"""Known-answer tests of every algorithm in use, run before the service answers anyone (GM/T 0028 §7.11).

The answers are published ones; signing, which has no fixed answer, is tested by verifying what was signed and by
refusing what was changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from crypto.errors import DecryptionFailed, SignatureInvalid, TrustError
from crypto.hash_batch import HashBatch, select_hash_batch
from crypto.keys import generate_signing_key
from crypto.otp import GmOtpAlgorithm, gm_dynamic_password, hotp
from crypto.sealed import sm4_gcm_open, sm4_gcm_seal
from crypto.sm2 import SM2_DEFAULT_ID, Sm2Backend, Sm2PrivateKey
from crypto.sm2_ciphertext import ciphertext_from_der, ciphertext_to_der, sm2_kdf
from crypto.sm3 import hmac_sm3, sm3
from crypto.suites import Alg

if TYPE_CHECKING:
    from collections.abc import Callable

# GB/T 32905-2016 Annex A.1
_SM3_ABC: Final = bytes.fromhex("66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")
# As many at once as the widest processor takes side by side, and some more.
_SIDE_BY_SIDE: Final = 40
# The tree of eight leaves with which Certificate Transparency's implementations test theirs (RFC 6962 §2.1)
_TREE_LEAVES: Final = tuple(
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
)
_TREE_ROOT: Final = bytes.fromhex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
# GB/T 32907-2016 Annex A.1
_SM4_KEY: Final = bytes.fromhex("0123456789abcdeffedcba9876543210")
_SM4_BLOCK: Final = bytes.fromhex("681edf34d206965e86b3e94f536e4246")
# RFC 8998 Appendix A.1
_GCM_IV: Final = bytes.fromhex("00001234567800000000abcd")
_GCM_AAD: Final = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
_GCM_PLAIN: Final = b"".join(bytes.fromhex(f"{pair}") * 8 for pair in ("aa", "bb", "cc", "dd", "ee", "ff", "ee", "aa"))
_GCM_SEALED: Final = bytes.fromhex(
    "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
    "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    "83de3541e4c2b58177e065a9bf7b62ec"
)
# GM/T 0003.5-2012 Annex A (GB/T 32918.5-2017 Annex A)
_SM2_PUBLIC: Final = bytes.fromhex(
    "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020"
    "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
)
_SM2_SIGNATURE: Final = bytes.fromhex(
    "f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"
    "b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"
)
_SM2_MESSAGE: Final = b"message digest"
# GM/T 0003.5-2012 Annex C (GB/T 32918.5-2017 Annex C): the key of Annex A, the nonce, C1 = [k]G, (x2, y2) = [d]C1.
_SM2_PRIVATE: Final = bytes.fromhex("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8")
_SM2_NONCE: Final = bytes.fromhex("59276e27d506861a16680f3ad9c02dccef3cc1fa3cdbe4ce6d54b80deac1bc21")
_SM2_C1: Final = bytes.fromhex(
    "04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73"
    "e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0"
)
_SM2_SHARED: Final = bytes.fromhex(
    "335e18d751e51f040e27d468138b7ab1dc86ad7f981d7d416222fd6ab3ed230d"
    "ab743ebcfb22d64f7b6ab791f70658f25b48fa93e54064fdbfbed3f0bd847ac9"
)
_SM2_C3: Final = bytes.fromhex("59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766")
_SM2_C2: Final = bytes.fromhex("21886ca989ca9c7d58087307ca93092d651efa")
_SM2_KEY_STREAM: Final = bytes.fromhex("44e60fdbf0bae81437665374bef26749046c9e")
_SM2_PLAINTEXT: Final = b"encryption standard"
# RFC 4226 Appendix D, counter 0
_HOTP_SECRET: Final = b"12345678901234567890"
# HMAC-SM3 with the key 01 … 20: the widely published sample; hashlib and the cryptography library agree on it.
_HMAC_KEY: Final = bytes(range(1, 33))
_HMAC_DATA: Final = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq" * 2
_HMAC_ANSWER: Final = bytes.fromhex("ca05e144ed05d1857840d1f318a4a8669e559fc8391f414485bfdf7bb408963a")
# The published sample answers of GM/T 0021
_GM_OTP_KEY: Final = bytes.fromhex("1234567890abcdef1234567890abcdef")


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One algorithm's result. `detail` names what was computed, or the code of the refusal."""

    name: str
    ok: bool
    detail: str


def run_selftests(backend: Sm2Backend) -> tuple[SelfTest, ...]:
    """Run every test with the backend the service will use; the caller refuses to serve unless all are ok."""
    sm3_batch, sha256_batch = select_hash_batch("sm3"), select_hash_batch("sha256")
    return (
        _run("sm3", "GB/T 32905 A.1", lambda: sm3(b"abc") == _SM3_ABC),
        _run("sm3-batch", f"GB/T 32905 A.1 by {sm3_batch.name}", lambda: _sm3_batch(sm3_batch)),
        _run("sha256-batch", f"a published tree by {sha256_batch.name}", lambda: _sha256_batch(sha256_batch)),
        _run("hmac-sm3", "published sample, key 01 … 20", lambda: hmac_sm3(_HMAC_KEY, _HMAC_DATA) == _HMAC_ANSWER),
        _run("sm4", "GB/T 32907 A.1", _sm4),
        _run("sm4-gcm", "RFC 8998 A.1", _sm4_gcm),
        _run("sm2-verify", f"GM/T 0003.5 Annex A by {backend.version}", lambda: _sm2_verify(backend)),
        _run("sm2-sign", f"pairwise by {backend.version}", lambda: _pairwise(Alg.SGD_SM3_SM2, backend)),
        _run("sm2-multiply", f"GM/T 0003.5 Annex C by {backend.version}", lambda: _sm2_multiply(backend)),
        _run("sm2-kdf", "GM/T 0003.5 Annex C", lambda: sm2_kdf(_SM2_SHARED, len(_SM2_C2)) == _SM2_KEY_STREAM),
        _run("sm2-decrypt", f"GM/T 0003.5 Annex C by {backend.version}", lambda: _sm2_decrypt(backend)),
        _run("sm2-encrypt", f"pairwise by {backend.version}", lambda: _sm2_encrypt(backend)),
        _run("es256", "pairwise", lambda: _pairwise(Alg.ES256, backend)),
        _run("ed25519", "pairwise", lambda: _pairwise(Alg.EDDSA, backend)),
        _run("hotp", "RFC 4226 Appendix D", lambda: hotp(_HOTP_SECRET, 0, digits=6) == "755224"),
        _run("gm-dynamic-password", "GM/T 0021 samples", _gm_otp),
    )


def _run(name: str, detail: str, test: Callable[[], bool]) -> SelfTest:
    try:
        return SelfTest(name, test(), detail)
    except TrustError as refused:
        return SelfTest(name, ok=False, detail=refused.code)
    except Exception as broken:  # noqa: BLE001  # a library that fails in an unforeseen way is what this is here to find
        return SelfTest(name, ok=False, detail=type(broken).__name__)


def _sm3_batch(batch: HashBatch) -> bool:
    return batch.digests([b"abc"] * _SIDE_BY_SIDE) == _SM3_ABC * _SIDE_BY_SIDE


def _sha256_batch(batch: HashBatch) -> bool:
    trees = batch.merkle_leaves(_TREE_LEAVES * _SIDE_BY_SIDE)
    for _ in range(len(_TREE_LEAVES).bit_length() - 1):
        trees = batch.merkle_nodes(trees)
    return trees == _TREE_ROOT * _SIDE_BY_SIDE


def _sm4() -> bool:
    # A single block, to test the cipher itself; no mode is involved.
    encryptor = Cipher(algorithms.SM4(_SM4_KEY), modes.ECB()).encryptor()  # noqa: S305  # see the line above
    return encryptor.update(_SM4_KEY) + encryptor.finalize() == _SM4_BLOCK


def _sm4_gcm() -> bool:
    sealed = sm4_gcm_seal(_SM4_KEY, _GCM_IV, _GCM_PLAIN, aad=_GCM_AAD)
    return sealed == _GCM_SEALED and sm4_gcm_open(_SM4_KEY, _GCM_IV, sealed, aad=_GCM_AAD) == _GCM_PLAIN


def _sm2_verify(backend: Sm2Backend) -> bool:
    key = backend.public_key(_SM2_PUBLIC)
    key.verify(_SM2_MESSAGE, _SM2_SIGNATURE, SM2_DEFAULT_ID)
    rows = [(_SM2_MESSAGE, _SM2_SIGNATURE), (_SM2_MESSAGE + b".", _SM2_SIGNATURE)]
    if key.verify_many(rows, SM2_DEFAULT_ID) != (True, False):
        return False
    try:
        key.verify(_SM2_MESSAGE + b".", _SM2_SIGNATURE, SM2_DEFAULT_ID)
    except SignatureInvalid:
        return True
    return False


def _sm2_multiply(backend: Sm2Backend) -> bool:
    return backend.multiply_base(_SM2_NONCE) == _SM2_C1 and backend.multiply(_SM2_PRIVATE, _SM2_C1) == _SM2_SHARED


def _sm2_decrypt(backend: Sm2Backend) -> bool:
    key = backend.private_key(_SM2_PRIVATE)
    ciphertext = b"\x04" + _SM2_C1 + _SM2_C3 + _SM2_C2
    return (
        key.public == _SM2_PUBLIC
        and ciphertext_from_der(ciphertext_to_der(ciphertext)) == ciphertext
        and key.decrypt(ciphertext) == _SM2_PLAINTEXT
        and _refuses_changed(key, ciphertext)
    )


def _sm2_encrypt(backend: Sm2Backend) -> bool:
    ciphertext = backend.encrypt(_SM2_PUBLIC, _SM2_PLAINTEXT)
    key = backend.private_key(_SM2_PRIVATE)
    return key.decrypt(ciphertext) == _SM2_PLAINTEXT and _refuses_changed(key, ciphertext)


def _refuses_changed(key: Sm2PrivateKey, ciphertext: bytes) -> bool:
    try:
        # The last byte belongs to C2, so only the comparison with C3 can tell.
        key.decrypt(ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,)))
    except DecryptionFailed:
        return True
    return False


def _pairwise(alg: Alg, backend: Sm2Backend) -> bool:
    key = generate_signing_key(alg, backend=backend)
    signature = key.sign(_SM2_MESSAGE)
    key.public.verify(_SM2_MESSAGE, signature)
    try:
        key.public.verify(_SM2_MESSAGE + b".", signature)
    except SignatureInvalid:
        return True
    return False


def _gm_otp() -> bool:
    return (
        gm_dynamic_password(
            _GM_OTP_KEY,
            algorithm=GmOtpAlgorithm.SM3,
            time_factor=1313998979,
            event_factor=1234,
            challenge=b"5678",
            digits=6,
        )
        == "814095"
        and gm_dynamic_password(
            _GM_OTP_KEY,
            algorithm=GmOtpAlgorithm.SM4,
            time_factor=1340783053,
            event_factor=1234,
            challenge=b"5678",
            digits=6,
        )
        == "446720"
    )
