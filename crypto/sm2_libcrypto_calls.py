"""The calls into OpenSSL's libcrypto (3.0 or newer) that SM2 needs, by cffi in ABI mode: no compiler, the GIL released.

The library of the operating system is loaded, because the one inside the `cryptography` wheels is built without SM2.
Every method frees what it allocates, wipes what was secret, and leaves the thread's error queue empty: the queue is
shared with the interpreter's own ssl module.
"""

from __future__ import annotations

import ctypes.util
import sys
from contextlib import ExitStack
from typing import Any, Final

from cffi import FFI

from crypto.errors import DecryptionFailed, KeyRefused, SignatureInvalid, TrustError
from crypto.sm2_curve import PRIVATE_BYTES, PUBLIC_BYTES

# Tried in this order after the name the loader's own search gives.
KNOWN_SONAMES: Final = (
    "libcrypto.so.3",
    "libcrypto.so.4",
    "libcrypto.so",
    "libcrypto.3.dylib",
    "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib",
    "/usr/local/opt/openssl@3/lib/libcrypto.3.dylib",
    "libcrypto-3-x64.dll",
    "libcrypto-3-arm64.dll",
)
# 1.1.1 has SM2 behind another interface and is past its end of life.
MIN_VERSION: Final = 0x30000000
# DER of an SM2 signature is at most 72 bytes; the library is told the size of the buffer.
_SIGNATURE_BUFFER_BYTES: Final = 80
# DER of a ciphertext is at most 117 bytes longer than its plaintext; the library is told the size of the buffer.
_CIPHERTEXT_MARGIN_BYTES: Final = 128
# NID_sm2 of obj_mac.h; numbers there never change.
_NID_SM2: Final = 1172
# BN_FLG_CONSTTIME of bn.h
_CONSTANT_TIME: Final = 0x04
# POINT_CONVERSION_UNCOMPRESSED and the octet it writes (SEC 1 §2.3.3)
_UNCOMPRESSED_PREFIX: Final = b"\x04"

_DECLARATIONS: Final = """
    typedef struct evp_pkey_st EVP_PKEY;
    typedef struct evp_pkey_ctx_st EVP_PKEY_CTX;
    unsigned long OpenSSL_version_num(void);
    const char *OpenSSL_version(int type);
    EVP_PKEY *d2i_PUBKEY(EVP_PKEY **out, const unsigned char **in, long length);
    EVP_PKEY *d2i_AutoPrivateKey(EVP_PKEY **out, const unsigned char **in, long length);
    int i2d_PUBKEY(const EVP_PKEY *key, unsigned char **out);
    int i2d_PrivateKey(const EVP_PKEY *key, unsigned char **out);
    void EVP_PKEY_free(EVP_PKEY *key);
    EVP_PKEY_CTX *EVP_PKEY_CTX_new(EVP_PKEY *key, void *engine);
    EVP_PKEY_CTX *EVP_PKEY_CTX_new_from_name(void *libctx, const char *name, const char *propquery);
    void EVP_PKEY_CTX_free(EVP_PKEY_CTX *ctx);
    int EVP_PKEY_keygen_init(EVP_PKEY_CTX *ctx);
    int EVP_PKEY_keygen(EVP_PKEY_CTX *ctx, EVP_PKEY **out);
    int EVP_PKEY_sign_init(EVP_PKEY_CTX *ctx);
    int EVP_PKEY_sign(EVP_PKEY_CTX *ctx, unsigned char *sig, size_t *siglen, const unsigned char *tbs, size_t tbslen);
    int EVP_PKEY_verify_init(EVP_PKEY_CTX *ctx);
    int EVP_PKEY_verify(EVP_PKEY_CTX *ctx, const unsigned char *sig, size_t siglen,
                        const unsigned char *tbs, size_t tbslen);
    int EVP_PKEY_encrypt_init(EVP_PKEY_CTX *ctx);
    int EVP_PKEY_encrypt(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *outlen, const unsigned char *in, size_t inlen);
    int EVP_PKEY_decrypt_init(EVP_PKEY_CTX *ctx);
    int EVP_PKEY_decrypt(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *outlen, const unsigned char *in, size_t inlen);
    void OPENSSL_cleanse(void *data, size_t length);
    void ERR_clear_error(void);

    typedef struct ec_group_st EC_GROUP;
    typedef struct ec_point_st EC_POINT;
    typedef struct bignum_st BIGNUM;
    typedef struct bignum_ctx BN_CTX;
    BN_CTX *BN_CTX_secure_new(void);
    void BN_CTX_free(BN_CTX *ctx);
    BIGNUM *BN_secure_new(void);
    BIGNUM *BN_bin2bn(const unsigned char *data, int length, BIGNUM *out);
    void BN_set_flags(BIGNUM *number, int flags);
    void BN_clear_free(BIGNUM *number);
    EC_GROUP *EC_GROUP_new_by_curve_name(int nid);
    void EC_GROUP_free(EC_GROUP *group);
    EC_POINT *EC_POINT_new(const EC_GROUP *group);
    void EC_POINT_clear_free(EC_POINT *point);
    int EC_POINT_oct2point(const EC_GROUP *group, EC_POINT *point, const unsigned char *data, size_t length, BN_CTX *ctx);
    size_t EC_POINT_point2oct(const EC_GROUP *group, const EC_POINT *point, int form,
                              unsigned char *out, size_t length, BN_CTX *ctx);
    int EC_POINT_mul(const EC_GROUP *group, EC_POINT *out, const BIGNUM *base_scalar,
                     const EC_POINT *point, const BIGNUM *point_scalar, BN_CTX *ctx);
"""

# SubjectPublicKeyInfo { id-ecPublicKey, curve 1.2.156.10197.1.301 } up to the 64 bytes x‖y (RFC 5480, GM/T 0006).
_SPKI_PREFIX: Final = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")
# PrivateKeyInfo around ECPrivateKey { 1, d } without the optional public key (RFC 5958, RFC 5915).
_PKCS8_PREFIX: Final = bytes.fromhex("3041020100301306072a8648ce3d020106082a811ccf5501822d042730250201010420")
# How OpenSSL writes ECPrivateKey { 1, d, … }: SEQUENCE, INTEGER 1, OCTET STRING of 32 bytes.
_EC_PRIVATE_D: Final = bytes.fromhex("0201010420")


class LibcryptoUnavailable(TrustError):
    """No libcrypto with SM2 is to be had on this machine, or it failed in a way that is not about the input."""

    code = "crypto.libcrypto_unavailable"


class Libcrypto:
    """The loaded library. `lib` and `ffi` are untyped by nature; of theirs only key handles leave this module."""

    def __init__(self) -> None:
        self.ffi = FFI()
        self.ffi.cdef(_DECLARATIONS)
        self.lib: Any = self._open()
        version: Any = self.ffi.string(self.lib.OpenSSL_version(0))
        self.version = bytes(version).decode("ascii", "replace")
        group = self.lib.EC_GROUP_new_by_curve_name(_NID_SM2)
        if group == self.ffi.NULL:
            self.lib.ERR_clear_error()
            raise LibcryptoUnavailable(field="libcrypto", rule="curve")
        # Only read after this, so threads share it.
        self._group = self.ffi.gc(group, self.lib.EC_GROUP_free)

    def _open(self) -> Any:
        found = ctypes.util.find_library("crypto")
        # Pythons from python.org bring the library their ssl module uses; macOS has no other.
        beside_python = (f"{sys.base_prefix}/lib/libcrypto.3.dylib", f"{sys.base_prefix}/lib/libcrypto.so.3")
        for soname in ((found,) if found is not None else ()) + KNOWN_SONAMES + beside_python:
            try:
                lib: Any = self.ffi.dlopen(soname)
                if int(lib.OpenSSL_version_num()) < MIN_VERSION:
                    continue
            except (OSError, AttributeError):
                continue
            ctx = lib.EVP_PKEY_CTX_new_from_name(self.ffi.NULL, b"SM2", self.ffi.NULL)
            if ctx == self.ffi.NULL:
                # A build without SM2, such as the ones some distributions ship.
                lib.ERR_clear_error()
                continue
            lib.EVP_PKEY_CTX_free(ctx)
            return lib
        raise LibcryptoUnavailable(field="libcrypto", rule="not_found_or_without_sm2")

    def own(self, pkey: Any) -> Any:
        """Take over a key; it is freed with the handle."""
        if pkey == self.ffi.NULL:
            self.lib.ERR_clear_error()
            raise KeyRefused(field="sm2", rule="refused_by_library")
        return self.ffi.gc(pkey, self.lib.EVP_PKEY_free)

    def load_public(self, public: bytes) -> Any:
        """Return the handle of x‖y; raise `KeyRefused` where the library refuses it."""
        buffer = self.ffi.new("unsigned char[]", _SPKI_PREFIX + public)
        cursor = self.ffi.new("const unsigned char **", buffer)
        return self.own(self.lib.d2i_PUBKEY(self.ffi.NULL, cursor, len(_SPKI_PREFIX) + PUBLIC_BYTES))

    def load_private(self, private: bytes) -> Any:
        """Return the handle of d; raise `KeyRefused` where the library refuses it."""
        buffer = self.ffi.new("unsigned char[]", _PKCS8_PREFIX + private)
        cursor = self.ffi.new("const unsigned char **", buffer)
        try:
            return self.own(self.lib.d2i_AutoPrivateKey(self.ffi.NULL, cursor, len(_PKCS8_PREFIX) + PRIVATE_BYTES))
        finally:
            self.lib.OPENSSL_cleanse(buffer, len(buffer))

    def _taken(self, buffer: Any, size: int) -> bytes:
        """Return the first bytes of a buffer that may hold a secret, and wipe it."""
        data = bytes(self.ffi.buffer(buffer, size))
        self.lib.OPENSSL_cleanse(buffer, len(buffer))
        return data

    def der(self, encode: Any, pkey: Any) -> bytes:
        """Return what one of the library's i2d functions writes."""
        size = int(encode(pkey, self.ffi.NULL))
        if size <= 0:
            self.lib.ERR_clear_error()
            raise LibcryptoUnavailable(field="libcrypto", rule="encode")
        buffer = self.ffi.new("unsigned char[]", size)
        encode(pkey, self.ffi.new("unsigned char **", buffer))
        return self._taken(buffer, size)

    def public_bytes(self, pkey: Any) -> bytes:
        """Return x‖y of a handle."""
        der = self.der(self.lib.i2d_PUBKEY, pkey)
        if not der.startswith(_SPKI_PREFIX) or len(der) != len(_SPKI_PREFIX) + PUBLIC_BYTES:
            raise LibcryptoUnavailable(field="libcrypto", rule="public_form")
        return der[len(_SPKI_PREFIX) :]

    def generate(self) -> tuple[bytes, bytes]:
        """Return a new private key, d in [1, n − 1], and its public key."""
        ctx = self.lib.EVP_PKEY_CTX_new_from_name(self.ffi.NULL, b"SM2", self.ffi.NULL)
        out = self.ffi.new("EVP_PKEY **")
        try:
            if self.lib.EVP_PKEY_keygen_init(ctx) != 1 or self.lib.EVP_PKEY_keygen(ctx, out) != 1:
                self.lib.ERR_clear_error()
                raise LibcryptoUnavailable(field="libcrypto", rule="keygen")
        finally:
            self.lib.EVP_PKEY_CTX_free(ctx)
        pkey = self.own(out[0])
        der = self.der(self.lib.i2d_PrivateKey, pkey)
        start = der.find(_EC_PRIVATE_D)
        if start < 0:
            raise LibcryptoUnavailable(field="libcrypto", rule="private_form")
        return der[start + len(_EC_PRIVATE_D) :][:PRIVATE_BYTES], self.public_bytes(pkey)

    def sign(self, pkey: Any, digest: bytes) -> bytes:
        """Return the signature of e as DER."""
        ctx = self.lib.EVP_PKEY_CTX_new(pkey, self.ffi.NULL)
        buffer = self.ffi.new("unsigned char[]", _SIGNATURE_BUFFER_BYTES)
        size = self.ffi.new("size_t *", _SIGNATURE_BUFFER_BYTES)
        try:
            if (
                ctx == self.ffi.NULL
                or self.lib.EVP_PKEY_sign_init(ctx) != 1
                or self.lib.EVP_PKEY_sign(ctx, buffer, size, digest, len(digest)) != 1
            ):
                self.lib.ERR_clear_error()
                raise LibcryptoUnavailable(field="libcrypto", rule="sign")
        finally:
            self.lib.EVP_PKEY_CTX_free(ctx)
        return bytes(self.ffi.buffer(buffer, size[0]))

    def verify(self, pkey: Any, digest: bytes, der: bytes) -> None:
        """Raise `SignatureInvalid` unless the DER signs e."""
        ctx = self.lib.EVP_PKEY_CTX_new(pkey, self.ffi.NULL)
        try:
            if ctx == self.ffi.NULL or self.lib.EVP_PKEY_verify_init(ctx) != 1:
                self.lib.ERR_clear_error()
                raise LibcryptoUnavailable(field="libcrypto", rule="verify")
            if self.lib.EVP_PKEY_verify(ctx, der, len(der), digest, len(digest)) != 1:
                # The queue belongs to the thread and is shared with the interpreter's own ssl module.
                self.lib.ERR_clear_error()
                raise SignatureInvalid
        finally:
            self.lib.EVP_PKEY_CTX_free(ctx)

    def encrypt(self, pkey: Any, plaintext: bytes) -> bytes:
        """Return the ciphertext as DER."""
        ctx = self.lib.EVP_PKEY_CTX_new(pkey, self.ffi.NULL)
        buffer = self.ffi.new("unsigned char[]", len(plaintext) + _CIPHERTEXT_MARGIN_BYTES)
        size = self.ffi.new("size_t *", len(buffer))
        try:
            if (
                ctx == self.ffi.NULL
                or self.lib.EVP_PKEY_encrypt_init(ctx) != 1
                or self.lib.EVP_PKEY_encrypt(ctx, buffer, size, plaintext, len(plaintext)) != 1
            ):
                self.lib.ERR_clear_error()
                raise LibcryptoUnavailable(field="libcrypto", rule="encrypt")
        finally:
            self.lib.EVP_PKEY_CTX_free(ctx)
        return bytes(self.ffi.buffer(buffer, size[0]))

    def decrypt(self, pkey: Any, der: bytes, length: int) -> bytes:
        """Open DER whose plaintext has this length; raise `DecryptionFailed` for whatever does not open."""
        ctx = self.lib.EVP_PKEY_CTX_new(pkey, self.ffi.NULL)
        buffer = self.ffi.new("unsigned char[]", length)
        size = self.ffi.new("size_t *", length)
        try:
            if ctx == self.ffi.NULL or self.lib.EVP_PKEY_decrypt_init(ctx) != 1:
                self.lib.ERR_clear_error()
                raise LibcryptoUnavailable(field="libcrypto", rule="decrypt")
            opened = self.lib.EVP_PKEY_decrypt(ctx, buffer, size, der, len(der)) == 1 and int(size[0]) == length
            plaintext = self._taken(buffer, length)
            if not opened:
                self.lib.ERR_clear_error()
                raise DecryptionFailed
            return plaintext
        finally:
            self.lib.EVP_PKEY_CTX_free(ctx)

    def multiply(self, scalar: bytes, point: bytes | None) -> bytes:
        """Return [k]P, or [k]G without a point, as x‖y, for k in [1, n − 1] and a point of the curve.

        One scalar at a time goes the library's blinded, constant-time ladder.
        """
        ffi, lib, group = self.ffi, self.lib, self._group
        with ExitStack() as held:
            ctx = self._held(held, lib.BN_CTX_secure_new(), lib.BN_CTX_free)
            number = self._held(held, lib.BN_secure_new(), lib.BN_clear_free)
            lib.BN_set_flags(number, _CONSTANT_TIME)
            result = self._held(held, lib.EC_POINT_new(group), lib.EC_POINT_clear_free)
            done = lib.BN_bin2bn(scalar, len(scalar), number) != ffi.NULL
            if point is None:
                done = done and lib.EC_POINT_mul(group, result, number, ffi.NULL, ffi.NULL, ctx) == 1
            else:
                factor = self._held(held, lib.EC_POINT_new(group), lib.EC_POINT_clear_free)
                done = (
                    done
                    and lib.EC_POINT_oct2point(group, factor, _UNCOMPRESSED_PREFIX + point, 1 + len(point), ctx) == 1
                    and lib.EC_POINT_mul(group, result, ffi.NULL, factor, number, ctx) == 1
                )
            buffer = ffi.new("unsigned char[]", 1 + PUBLIC_BYTES)
            if (
                not done
                or lib.EC_POINT_point2oct(group, result, _UNCOMPRESSED_PREFIX[0], buffer, len(buffer), ctx)
                != 1 + PUBLIC_BYTES
            ):
                lib.ERR_clear_error()
                raise LibcryptoUnavailable(field="libcrypto", rule="multiply")
            return self._taken(buffer, 1 + PUBLIC_BYTES)[1:]

    def _held(self, held: ExitStack, pointer: Any, free: Any) -> Any:
        if pointer == self.ffi.NULL:
            self.lib.ERR_clear_error()
            raise LibcryptoUnavailable(field="libcrypto", rule="memory")
        held.callback(free, pointer)
        return pointer
