"""`crypto._kernel` as an adversary calls it: wrong types, lengths and counts, no leak, no crash, many threads, a fork.

Everything here goes past `crypto.sm2_kernel`, whose checks would hide a fault of the extension.
"""

from __future__ import annotations

import copy
import gc
import hashlib
import pickle
import random
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import pytest

from crypto.sm2 import SM2_DEFAULT_ID
from tests.crypto.conftest import backend_named
from tests.crypto.sm2_arithmetic import G, N, affine, b32, encode, negate
from tests.scale import report, trials

PRIVATE: Final = b32(0x1234567890ABCDEF << 128 | 0xFEDCBA)
MESSAGE: Final = b"message digest"
# The kernel keeps tables for so many keys, and builds one after so many verifications.
MAX_TABLES: Final = 64
USES: Final = 24
TABLE_KIB: Final = 256


@pytest.fixture(scope="module")
def kernel() -> Any:
    """Return the extension itself; untyped, because the tests call it as no typed program could."""
    backend: Any = backend_named("kernel")
    return backend._kernel


@pytest.fixture
def private(kernel: Any) -> Any:
    return kernel.PrivateKey(PRIVATE)


@pytest.fixture
def public(kernel: Any, private: Any) -> Any:
    return kernel.PublicKey(private.public)


class Bytes(bytes):
    """A subclass is still bytes, whatever it says of itself."""

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, _: Any) -> Any:
        raise AssertionError


def callables(kernel: Any) -> dict[str, tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Return each function and method with arguments it takes."""
    private = kernel.PrivateKey(PRIVATE)
    public = kernel.PublicKey(private.public)
    signature = private.sign(MESSAGE, SM2_DEFAULT_ID)
    return {
        "PublicKey": (kernel.PublicKey, (private.public,)),
        "PublicKey.verify": (public.verify, (MESSAGE, signature, SM2_DEFAULT_ID)),
        "PublicKey.verify_many": (public.verify_many, ([(MESSAGE, signature)], SM2_DEFAULT_ID)),
        "PublicKey.encrypt": (public.encrypt, (MESSAGE,)),
        "PublicKey.prepare": (public.prepare, ()),
        "PrivateKey": (kernel.PrivateKey, (PRIVATE,)),
        "PrivateKey.sign": (private.sign, (MESSAGE, SM2_DEFAULT_ID)),
        "PrivateKey.sign_many": (private.sign_many, ([MESSAGE, b""], SM2_DEFAULT_ID)),
        "PrivateKey.decrypt": (private.decrypt, (public.encrypt(MESSAGE),)),
        "generate": (kernel.generate, ()),
        "verify": (kernel.verify, (private.public, MESSAGE, signature, SM2_DEFAULT_ID)),
        "multiply_base": (kernel.multiply_base, (PRIVATE,)),
        "multiply": (kernel.multiply, (PRIVATE, private.public)),
        "multiply_two": (kernel.multiply_two, (PRIVATE, PRIVATE, private.public)),
        "sm3": (kernel.sm3, (MESSAGE,)),
        "hmac_sm3": (kernel.hmac_sm3, (MESSAGE, MESSAGE)),
        "merkle_nodes": (kernel.merkle_nodes, (bytes(128),)),
        "merkle_levels": (kernel.merkle_levels, (bytes(96),)),
        "hash_many": (kernel.hash_many, ([MESSAGE, b""], b"\x00")),
        "sha256_merkle_nodes": (kernel.sha256_merkle_nodes, (bytes(128),)),
        "sha256_merkle_levels": (kernel.sha256_merkle_levels, (bytes(96),)),
        "sha256_hash_many": (kernel.sha256_hash_many, ([MESSAGE, b""], b"\x00")),
        "cpu": (kernel.cpu, ()),
    }


def test_every_callable_of_the_kernel_is_tested_here(kernel: Any) -> None:
    def methods(owner: Any) -> Iterator[str]:
        return (name for name in vars(owner) if not name.startswith("_") and callable(getattr(owner, name)))

    there = set(methods(kernel))
    there |= {f"{owner.__name__}.{name}" for owner in (kernel.PublicKey, kernel.PrivateKey) for name in methods(owner)}
    assert there == set(callables(kernel))


def test_an_argument_that_is_not_bytes_is_a_type_error(kernel: Any) -> None:
    wrong: list[Any] = [
        None,
        1,
        1.5,
        "text",
        bytearray(64),
        memoryview(bytes(64)),
        [],
        (),
        {},
        object(),
        [1],
        [(b"", b"", b"")],
    ]
    wrong += [[(b"", "text")], [[b"", b""]], [None], Exception]
    for function, arguments in callables(kernel).values():
        function(*arguments)
        for place in range(len(arguments)):
            for value in wrong:
                if value == [] and isinstance(arguments[place], list):
                    continue
                given = [*arguments[:place], value, *arguments[place + 1 :]]
                with pytest.raises(TypeError):
                    function(*given)


def test_too_few_or_too_many_arguments_are_a_type_error(kernel: Any) -> None:
    for function, arguments in callables(kernel).values():
        wrong: list[tuple[Any, ...]] = [(*arguments, b""), (*arguments, b"", b"", b"", b"")]
        wrong += [arguments[:count] for count in range(len(arguments))]
        for given in wrong:
            with pytest.raises(TypeError):
                function(*given)
        with pytest.raises(TypeError):
            function(*arguments, nonsense=1)


@pytest.mark.parametrize(
    ("name", "place", "lengths"),
    [
        ("PublicKey", 0, (0, 1, 63, 65, 128, 1 << 20)),
        ("PrivateKey", 0, (0, 31, 33, 64, 1 << 20)),
        ("PublicKey.encrypt", 0, (0,)),
        ("PrivateKey.decrypt", 0, (0, 1, 64, 96, 97)),
        ("verify", 0, (0, 63, 65)),
        ("multiply_base", 0, (0, 31, 33)),
        ("multiply", 0, (0, 31, 33)),
        ("multiply", 1, (0, 63, 65)),
        ("multiply_two", 0, (0, 31, 33)),
        ("multiply_two", 1, (0, 31, 33)),
        ("multiply_two", 2, (0, 63, 65)),
        ("merkle_nodes", 0, (1, 32, 63, 65, 127)),
        ("merkle_levels", 0, (1, 31, 33, 63, 65)),
        ("hash_many", 1, (2, 100)),
        ("sha256_merkle_nodes", 0, (1, 32, 63, 65, 127)),
        ("sha256_merkle_levels", 0, (1, 31, 33, 63, 65)),
        ("sha256_hash_many", 1, (2, 100)),
        ("PublicKey.verify", 2, (8192, 1 << 20)),
        ("PublicKey.verify_many", 1, (8192,)),
        ("PrivateKey.sign", 1, (8192,)),
        ("PrivateKey.sign_many", 1, (8192,)),
        ("verify", 3, (8192,)),
    ],
)
def test_a_length_that_cannot_be_is_a_value_error_that_names_the_argument(
    kernel: Any, name: str, place: int, lengths: tuple[int, ...]
) -> None:
    function, arguments = callables(kernel)[name]
    for length in lengths:
        given = [*arguments[:place], bytes(length), *arguments[place + 1 :]]
        with pytest.raises(ValueError, match=r"length|form") as refused:
            function(*given)
        assert len(refused.value.args) == 2


def test_a_signature_of_another_length_does_not_verify(kernel: Any, public: Any) -> None:
    for length in (0, 63, 65, 128, 1 << 20):
        assert public.verify(MESSAGE, bytes(length), SM2_DEFAULT_ID) is False
        assert kernel.verify(public.public, MESSAGE, bytes(length), SM2_DEFAULT_ID) is False
        assert public.verify_many([(MESSAGE, bytes(length))], SM2_DEFAULT_ID) == b"\x00"


def test_keys_out_of_range_and_points_off_the_curve_are_refused(kernel: Any) -> None:
    for scalar in (0, N - 1, N, (1 << 256) - 1):
        with pytest.raises(ValueError, match="range"):
            kernel.PrivateKey(b32(scalar))
    for point in (bytes(64), b"\xff" * 64, encode((G[0], G[1] ^ 1))):
        with pytest.raises(ValueError, match="off_curve"):
            kernel.PublicKey(point)
        with pytest.raises(ValueError, match="off_curve"):
            kernel.multiply(PRIVATE, point)
        with pytest.raises(ValueError, match="off_curve"):
            kernel.verify(point, MESSAGE, bytes(64), SM2_DEFAULT_ID)
    with pytest.raises(ValueError, match="infinity"):
        kernel.multiply_two(b32(3), b32(1), encode(negate(affine(3))))


def test_long_inputs_are_taken_whole(kernel: Any, private: Any, public: Any) -> None:
    message = bytes(range(256)) * 4096 * 8  # 8 MiB
    signature = private.sign(message, SM2_DEFAULT_ID)
    assert public.verify(message, signature, SM2_DEFAULT_ID)
    assert not public.verify(message[:-1], signature, SM2_DEFAULT_ID)
    assert public.verify_many([(message, signature), (message[1:], signature)], SM2_DEFAULT_ID) == b"\x01\x00"
    sealed = public.encrypt(message)
    assert private.decrypt(sealed) == message
    assert private.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1])) is None


def test_a_subclass_of_bytes_is_taken_for_the_bytes_it_holds(kernel: Any, private: Any, public: Any) -> None:
    signature = private.sign(Bytes(MESSAGE), Bytes(SM2_DEFAULT_ID))
    assert public.verify(MESSAGE, Bytes(signature), SM2_DEFAULT_ID)
    assert public.verify_many([(Bytes(MESSAGE), Bytes(signature))], SM2_DEFAULT_ID) == b"\x01"
    assert kernel.sm3(Bytes(MESSAGE)) == kernel.sm3(MESSAGE)
    assert kernel.hash_many([Bytes(MESSAGE)], b"") == kernel.sm3(MESSAGE)
    assert kernel.sha256_hash_many([Bytes(MESSAGE)], b"") == hashlib.sha256(MESSAGE).digest()
    assert kernel.merkle_levels(Bytes(bytes(64)))[1] == kernel.merkle_nodes(bytes(64))


def test_the_key_types_cannot_be_derived_from_changed_copied_pickled_or_made_empty(
    kernel: Any, private: Any, public: Any
) -> None:
    for key in (private, public):
        kind: Any = type(key)
        with pytest.raises(TypeError):
            type("Derived", (kind,), {})
        with pytest.raises(TypeError):
            kind.extra = 1
        with pytest.raises(AttributeError):
            key.extra = 1
        with pytest.raises(AttributeError):
            key.public = b""
        with pytest.raises(TypeError):
            copy.copy(key)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(key, protocol)
        with pytest.raises(TypeError):
            object.__new__(kind)
        with pytest.raises(TypeError):
            kind()
    assert PRIVATE.hex() not in repr(private)
    assert not hasattr(private, "private")


def test_refusals_keep_no_reference_to_what_was_refused(kernel: Any, private: Any, public: Any) -> None:
    given: list[Any] = [
        b"\x01" * 64,
        Bytes(b"\x02" * 32),
        bytes(8192),
        # Made now: a literal may be anybody's.
        str(bytes(8192), "ascii"),
        [(b"", b"")],
        (b"message", b"signature"),
    ]
    given += [b"\x00" * 32, [given[4], None], [given[5], None]]
    counts = [sys.getrefcount(value) for value in given]

    def refuse_all(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        for place in range(len(arguments)):
            for value in given:
                for _ in range(3):
                    with suppress(TypeError, ValueError):
                        function(*arguments[:place], value, *arguments[place + 1 :])

    for function, arguments in callables(kernel).values():
        refuse_all(function, arguments)
    gc.collect()
    assert [sys.getrefcount(value) for value in given] == counts
    assert sys.getrefcount(private) == sys.getrefcount(public)


def _all_operations(kernel: Any) -> None:
    private = kernel.PrivateKey(PRIVATE)
    public = kernel.PublicKey(private.public)
    signature = private.sign(MESSAGE, SM2_DEFAULT_ID)
    public.verify(MESSAGE, signature, SM2_DEFAULT_ID)
    public.verify_many([(MESSAGE, signature), (b"", b"")], SM2_DEFAULT_ID)
    private.sign_many([MESSAGE, b""], SM2_DEFAULT_ID)
    private.decrypt(public.encrypt(MESSAGE))
    kernel.generate()
    kernel.hash_many([MESSAGE, b""], b"\x00")
    kernel.merkle_nodes(bytes(64))
    kernel.merkle_levels(bytes(32 * 40))
    kernel.sha256_hash_many([MESSAGE, b""], b"\x00")
    kernel.sha256_merkle_nodes(bytes(64))
    kernel.sha256_merkle_levels(bytes(32 * 40))
    refused: list[Callable[[], Any]] = [
        lambda: kernel.PrivateKey(bytes(32)),
        lambda: kernel.PublicKey(bytes(64)),
        lambda: private.decrypt(bytes(97)),
        lambda: private.decrypt(b"\x04" + bytes(200)),
        lambda: public.verify_many([(b"", b""), None], b""),
        lambda: private.sign_many([b"", None], SM2_DEFAULT_ID),
        lambda: kernel.hash_many([b"", None], b""),
        lambda: kernel.sha256_hash_many([b"", None], b""),
        lambda: kernel.sha256_merkle_levels(bytes(33)),
    ]
    for call in refused:
        with pytest.raises((TypeError, ValueError)):
            call()


def test_no_operation_leaks_memory(kernel: Any) -> None:
    def resident() -> int:
        with open("/proc/self/statm") as statm:  # noqa: PTH123 - not a file to open by path
            return int(statm.read().split()[1]) * resource.getpagesize()

    def rounds(count: int) -> None:
        for at in range(count):
            _all_operations(kernel)
            if at % 50 == 0:
                kernel.PublicKey(encode(G)).prepare()

    if not sys.platform.startswith("linux"):
        pytest.skip("resident memory is read from /proc")
    count = trials(1500, full=200_000)
    rounds(300)
    gc.collect()
    before = resident()
    rounds(count)
    gc.collect()
    grown = resident() - before
    # One leaked reference a round would be 33 bytes and more, a leaked table 256 KiB each fifty rounds.
    assert grown < max(count * 16, 512 * 1024)
    report("kernel-leaks", target=f"flat over {count} rounds", actual=f"{grown} bytes", seed=0)


def test_a_key_gets_its_table_after_some_verifications_and_says_so(kernel: Any, private: Any, public: Any) -> None:
    signature = private.sign(MESSAGE, SM2_DEFAULT_ID)
    for _ in range(USES - 1):
        assert public.verify(MESSAGE, signature, SM2_DEFAULT_ID)
    assert not public.prepared
    assert public.verify(MESSAGE, signature, SM2_DEFAULT_ID)
    assert public.prepared
    few = kernel.PublicKey(private.public)
    assert few.verify_many([(MESSAGE, signature)] * 3, SM2_DEFAULT_ID) == b"\x01" * 3
    assert not few.prepared
    assert few.verify_many([(MESSAGE, signature)] * USES, SM2_DEFAULT_ID) == b"\x01" * USES
    assert few.prepared


def test_beyond_so_many_tables_keys_verify_without_one(kernel: Any, private: Any) -> None:
    signature = private.sign(MESSAGE, SM2_DEFAULT_ID)
    rows = [(MESSAGE, signature), (b"another", signature)] * USES
    keys = [kernel.PublicKey(private.public) for _ in range(MAX_TABLES + 8)]
    for key in keys:
        assert key.verify_many(rows, SM2_DEFAULT_ID) == b"\x01\x00" * USES
    assert sum(key.prepared for key in keys) <= MAX_TABLES
    last = keys[-1]
    assert not last.prepared
    for _ in range(2 * USES):
        assert last.verify(MESSAGE, signature, SM2_DEFAULT_ID)
        assert not last.verify(b"another", signature, SM2_DEFAULT_ID)
    assert not last.prepared
    last.prepare()  # asked for by name
    assert last.prepared
    del key, last, keys
    fresh = kernel.PublicKey(private.public)
    fresh.verify_many(rows, SM2_DEFAULT_ID)
    assert fresh.prepared  # those of the others went with them


def test_threads_share_keys_while_tables_are_built(kernel: Any) -> None:
    rounds = trials(12, full=500)
    for _ in range(rounds):
        private = kernel.PrivateKey(PRIVATE)
        public = kernel.PublicKey(private.public)
        start = threading.Barrier(8)

        def work(which: int, private: Any = private, public: Any = public, start: Any = start) -> bool:
            start.wait()
            good = True
            for _ in range(10):
                signature = private.sign(MESSAGE, SM2_DEFAULT_ID)
                if which % 4 == 0:
                    public.prepare()
                good &= public.verify(MESSAGE, signature, SM2_DEFAULT_ID)
                good &= not public.verify(b"another", signature, SM2_DEFAULT_ID)
                good &= (
                    public.verify_many([(MESSAGE, signature), (b"", signature)] * 13, SM2_DEFAULT_ID)
                    == b"\x01\x00" * 13
                )
                good &= private.decrypt(public.encrypt(MESSAGE)) == MESSAGE
            return good

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(8)))
        assert public.prepared


def test_lists_changed_by_another_thread_meanwhile_do_no_harm(kernel: Any, private: Any, public: Any) -> None:
    """The rows are held by the call: a list emptied while the GIL is released frees nothing under its feet."""
    stop = threading.Event()
    size = 200_000
    signatures = [private.sign(bytes([at]) * size, SM2_DEFAULT_ID) for at in range(8)]
    contents = [bytes([at]) * size for at in range(8)]
    digests = {kernel.sm3(content) for content in contents}
    sha256_digests = {hashlib.sha256(content).digest() for content in contents}
    rows: list[tuple[bytes, bytes]] = []
    messages: list[bytes] = []

    def disturb() -> None:
        dice = random.Random(1)
        while not stop.is_set():
            order = dice.sample(range(8), 8)
            rows.clear()
            messages.clear()
            # The memory just freed gets other contents: whoever still reads there sees another message.
            rows.extend((bytes([at]) * size, signatures[at]) for at in order)
            messages.extend(bytes([at]) * size for at in order)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for _ in range(trials(40, full=5000)):
            assert all(public.verify_many(rows, SM2_DEFAULT_ID))
            signed = private.sign_many(messages, SM2_DEFAULT_ID)
            for start in range(0, len(signed), 64):
                one = signed[start : start + 64]
                assert any(public.verify(content, one, SM2_DEFAULT_ID) for content in contents)
            for hash_many, right in ((kernel.hash_many, digests), (kernel.sha256_hash_many, sha256_digests)):
                hashed = hash_many(messages, b"")
                assert {hashed[at : at + 32] for at in range(0, len(hashed), 32)} <= right
    finally:
        stop.set()
        thread.join()
