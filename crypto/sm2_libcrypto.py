"""SM2 through OpenSSL's libcrypto (3.0 or newer), reached by cffi in ABI mode: no compiler, the GIL released.

The library of the operating system is loaded, because the one inside the `cryptography` wheels is built without SM2.
Z and e are computed here (`sm2_curve`), so that the library signs and verifies 32-byte digests and nothing depends on
how a version of it handles user IDs.
"""

from __future__ import annotations

import ctypes.util
import sys
from typing import Any, Final

from cffi import FFI

from crypto.errors import KeyRefused, SignatureInvalid, TrustError
from crypto.sm2_curve import (
    PRIVATE_BYTES,
    PUBLIC_BYTES,
    SM2_DEFAULT_ID,
    N,
    digest_of,
    signature_from_der,
    signature_to_der,
    validate_private,
    validate_public,
    z_of,
)

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
    void ERR_clear_error(void);
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


class _Libcrypto:
    """The loaded library. `lib` and `ffi` are untyped by nature; nothing of theirs leaves this module."""

    def __init__(self) -> None:
        self.ffi = FFI()
        self.ffi.cdef(_DECLARATIONS)
        self.lib: Any = self._open()
        version: Any = self.ffi.string(self.lib.OpenSSL_version(0))
        self.version = bytes(version).decode("ascii", "replace")

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
        buffer = self.ffi.new("unsigned char[]", _SPKI_PREFIX + public)
        cursor = self.ffi.new("const unsigned char **", buffer)
        return self.own(self.lib.d2i_PUBKEY(self.ffi.NULL, cursor, len(_SPKI_PREFIX) + PUBLIC_BYTES))

    def load_private(self, private: bytes) -> Any:
        buffer = self.ffi.new("unsigned char[]", _PKCS8_PREFIX + private)
        cursor = self.ffi.new("const unsigned char **", buffer)
        try:
            return self.own(self.lib.d2i_AutoPrivateKey(self.ffi.NULL, cursor, len(_PKCS8_PREFIX) + PRIVATE_BYTES))
        finally:
            self.ffi.memmove(buffer, bytes(len(_PKCS8_PREFIX) + PRIVATE_BYTES), len(_PKCS8_PREFIX) + PRIVATE_BYTES)

    def der(self, encode: Any, pkey: Any) -> bytes:
        size = int(encode(pkey, self.ffi.NULL))
        if size <= 0:
            self.lib.ERR_clear_error()
            raise LibcryptoUnavailable(field="libcrypto", rule="encode")
        buffer = self.ffi.new("unsigned char[]", size)
        encode(pkey, self.ffi.new("unsigned char **", buffer))
        return bytes(self.ffi.buffer(buffer, size))

    def public_bytes(self, pkey: Any) -> bytes:
        der = self.der(self.lib.i2d_PUBKEY, pkey)
        if not der.startswith(_SPKI_PREFIX) or len(der) != len(_SPKI_PREFIX) + PUBLIC_BYTES:
            raise LibcryptoUnavailable(field="libcrypto", rule="public_form")
        return der[len(_SPKI_PREFIX) :]

    def generate(self) -> bytes:
        ctx = self.lib.EVP_PKEY_CTX_new_from_name(self.ffi.NULL, b"SM2", self.ffi.NULL)
        out = self.ffi.new("EVP_PKEY **")
        try:
            if self.lib.EVP_PKEY_keygen_init(ctx) != 1 or self.lib.EVP_PKEY_keygen(ctx, out) != 1:
                self.lib.ERR_clear_error()
                raise LibcryptoUnavailable(field="libcrypto", rule="keygen")
        finally:
            self.lib.EVP_PKEY_CTX_free(ctx)
        der = self.der(self.lib.i2d_PrivateKey, self.own(out[0]))
        start = der.find(_EC_PRIVATE_D)
        if start < 0:
            raise LibcryptoUnavailable(field="libcrypto", rule="private_form")
        return der[start + len(_EC_PRIVATE_D) :][:PRIVATE_BYTES]

    def sign(self, pkey: Any, digest: bytes) -> bytes:
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


class _PublicKey:
    """A prepared public key: the library's handle and Z of the default ID."""

    __slots__ = ("_library", "_pkey", "_z", "public")

    def __init__(self, library: _Libcrypto, public: bytes) -> None:
        validate_public(public)
        self.public = public
        self._library = library
        self._pkey = library.load_public(public)
        self._z = z_of(public, SM2_DEFAULT_ID)

    def verify(self, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Raise `SignatureInvalid` unless the 64 bytes r‖s verify."""
        der = signature_to_der(signature)
        z = self._z if user_id == SM2_DEFAULT_ID else z_of(self.public, user_id)
        self._library.verify(self._pkey, digest_of(z, message), der)


class _PrivateKey:
    """A prepared private key. Each signature has its own context, so threads may share the key."""

    __slots__ = ("_library", "_pkey", "_z", "public")

    def __init__(self, library: _Libcrypto, private: bytes) -> None:
        validate_private(private)
        self._library = library
        self._pkey = library.load_private(private)
        self.public = library.public_bytes(self._pkey)
        self._z = z_of(self.public, SM2_DEFAULT_ID)

    def sign(self, message: bytes, user_id: bytes) -> bytes:
        """Return 64 bytes r‖s."""
        z = self._z if user_id == SM2_DEFAULT_ID else z_of(self.public, user_id)
        return signature_from_der(self._library.sign(self._pkey, digest_of(z, message)))


class LibcryptoBackend:
    """SM2 by OpenSSL's libcrypto. The constructor loads the library and raises `LibcryptoUnavailable` without one."""

    name: Final = "libcrypto"
    signs: Final = True

    def __init__(self) -> None:
        self._library = _Libcrypto()
        self.version = self._library.version

    def generate(self) -> bytes:
        """Return a new private key from the library's own generator."""
        while True:
            private = self._library.generate()
            if int.from_bytes(private, "big") != N - 1:
                validate_private(private)
                return private

    def public_of(self, private: bytes) -> bytes:
        """Return 64 bytes x‖y of a private key."""
        return _PrivateKey(self._library, private).public

    def private_key(self, private: bytes) -> _PrivateKey:
        """Prepare a private key."""
        return _PrivateKey(self._library, private)

    def public_key(self, public: bytes) -> _PublicKey:
        """Prepare a public key."""
        return _PublicKey(self._library, public)

    def sign(self, private: bytes, message: bytes, user_id: bytes) -> bytes:
        """Sign once with a key that is not kept."""
        return self.private_key(private).sign(message, user_id)

    def verify(self, public: bytes, message: bytes, signature: bytes, user_id: bytes) -> None:
        """Verify once with a key that is not kept."""
        self.public_key(public).verify(message, signature, user_id)
