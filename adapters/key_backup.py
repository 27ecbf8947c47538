"""The backup of keys: key-encryption key, keyring and both key stores in one encrypted file; not the databases.

First line: the header, canonical JSON. Then chunks, each a length (4 bytes, the top bit set on the last) and that many
bytes of SM4-GCM under a key drawn for this file, bound to the header. That key stands in the header, sealed under the
key-encryption key, so a backup opens with the key file's copy or with the officers' recovery shares, and with nothing
else. The content is one JSON object a line: the key file's keys, then the rows of the tables as they are (sealed), the
keyring last, so that it holds every key the rows before it are under; then the number of rows.

A backup is whole or refused: a cut, exchanged or altered chunk does not open, and the last line counts the rows.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, ClassVar, Final

from adapters.kek import KEK_BYTES, KeyEncryptionKeys, kek_check
from adapters.sql.database import Database, Transaction
from crypto.canonical import jcs
from crypto.encoding import b64u_decode, b64u_encode, json_object
from crypto.errors import DecryptionFailed, TrustError
from crypto.sealed import SM4_KEY_BYTES, STREAM_PREFIX_BYTES, TAG_BYTES, ColumnSealer, StreamSealer
from crypto.sm3 import sm3

FORMAT: Final = "edutrust-key-backup"
VERSION: Final = 1
MAX_HEADER_BYTES: Final = 4096
# Rows are some kilobytes; a chunk of them is held in memory once plain and once sealed.
CHUNK_BYTES: Final = 256 * 1024
MAX_CHUNK_BYTES: Final = 4 * CHUNK_BYTES
ROWS_A_QUERY: Final = 500
_LAST: Final = 1 << 31


class KeyBackupRefused(TrustError):
    """A backup that is damaged, of another version, under another key, or a place that is not empty."""

    code: ClassVar[str] = "keys.backup_refused"


@dataclass(frozen=True, slots=True)
class BackedTable:
    """A table whose rows a backup holds. `sealed` names the column whose values are under the keyring, if any."""

    schema: str
    table: str
    key: tuple[str, ...]
    sealed: str | None


# The keyring comes last; see above.
BACKED_TABLES: Final[tuple[BackedTable, ...]] = (
    BackedTable("credentials", "signing_key", ("kid",), "sealed"),
    BackedTable("idp", "signing_key", ("owner", "kid"), "sealed_private"),
    BackedTable("idp", "key_officer", ("name",), "sealed"),
    BackedTable("idp", "key_encryption_key", ("kid",), None),
    BackedTable("idp", "data_key", ("purpose", "kid"), None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """What a backup says of itself before it is opened."""

    kek: str
    check: bytes
    created_at: int
    deployment: str
    wrapped_key: bytes = field(repr=False)
    prefix: bytes
    line: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup was found to hold."""

    kek: dict[str, bytes] = field(repr=False)
    rows: int
    officers: tuple[Mapping[str, Any], ...] = field(repr=False)
    data_keys: tuple[Mapping[str, Any], ...] = field(repr=False)


async def write_backup(
    out: IO[bytes],
    databases: Mapping[str, Database],
    kek: KeyEncryptionKeys,
    *,
    now: int,
    deployment: str,
    random_bytes: Callable[[int], bytes],
) -> int:
    """Write a backup; return the number of rows.

    Raises `KeyBackupRefused` (rule keyring_turned) where a key was destroyed meanwhile: then make it anew.
    """
    key, prefix = random_bytes(SM4_KEY_BYTES), random_bytes(STREAM_PREFIX_BYTES)
    header = {
        "check": kek_check(kek.active, kek.by_kid[kek.active]).hex(),
        "created_at": now,
        "deployment": deployment,
        "format": FORMAT,
        "kek": kek.active,
        "prefix": b64u_encode(prefix),
        "version": VERSION,
        "wrapped_key": b64u_encode(
            ColumnSealer(kek.by_kid, kek.active, random_bytes).seal(key, aad=_key_aad(prefix, now))
        ),
    }
    line = jcs(header)
    out.write(line + b"\n")
    chunks = _ChunkWriter(out, StreamSealer(key, prefix, aad=sm3(line)))
    for name, value in kek.by_kid.items():
        chunks.add({"kek": name, "key": value.hex()})
    rows = 0
    named: set[str] = set()
    known: set[str] = set()
    for table in BACKED_TABLES:
        async for row in _every_row(databases[table.schema], table):
            if table.sealed is not None and row[table.sealed]:
                named.add(ColumnSealer.key_of(bytes(row[table.sealed])))
            if table.table == "data_key" and row["destroyed_at"] is None:
                known.add(row["kid"])
            chunks.add({"row": _to_json(row), "table": f"{table.schema}.{table.table}"})
            rows += 1
    if not named <= known:
        raise KeyBackupRefused(field="keyring", rule="keyring_turned")
    chunks.add({"end": rows})
    chunks.finish()
    return rows


def read_header(source: IO[bytes]) -> Header:
    """Read the first line. Raises `KeyBackupRefused`: not_a_backup or version."""
    line = source.readline(MAX_HEADER_BYTES)
    try:
        value: dict[str, Any] = json_object(line.removesuffix(b"\n"), field="header")
        form = (value["format"], value["version"])
        found = Header(
            kek=str(value["kek"]),
            check=bytes.fromhex(value["check"]),
            created_at=int(value["created_at"]),
            deployment=str(value["deployment"]),
            wrapped_key=b64u_decode(value["wrapped_key"]),
            prefix=b64u_decode(value["prefix"]),
            line=line.removesuffix(b"\n"),
        )
    except (TrustError, KeyError, TypeError, ValueError):
        raise KeyBackupRefused(field="file", rule="not_a_backup") from None
    if form != (FORMAT, VERSION):
        raise KeyBackupRefused(field="file", rule="version")
    return found


def check_backup(source: IO[bytes], header: Header, kek: Mapping[str, bytes]) -> Contents:
    """Open the whole file after its header and say what it holds, writing nothing.

    Raises `KeyBackupRefused`: other_key, or damaged.
    """
    held: dict[str, bytes] = {}
    small: dict[str, list[Mapping[str, Any]]] = {"idp.key_officer": [], "idp.data_key": []}
    rows = 0
    ended: int | None = None
    for line in _lines(source, header, kek):
        if ended is not None:
            raise KeyBackupRefused(field="file", rule="damaged")
        if "kek" in line:
            held[line["kek"]] = bytes.fromhex(line["key"])
        elif "row" in line:
            rows += 1
            if line["table"] in small:
                small[line["table"]].append(_from_json(line["row"]))
        else:
            ended = line["end"]
    if ended != rows or not held or any(len(key) != KEK_BYTES for key in held.values()):
        raise KeyBackupRefused(field="file", rule="damaged")
    return Contents(held, rows, tuple(small["idp.key_officer"]), tuple(small["idp.data_key"]))


async def require_empty(databases: Mapping[str, Database]) -> None:
    """Raise `KeyBackupRefused` (rule not_empty) where any table of a backup has a row."""
    for table in BACKED_TABLES:
        if await databases[table.schema].fetch_one(f"SELECT 1 AS one FROM {table.table} LIMIT 1"):  # noqa: S608  # names from the list above
            raise KeyBackupRefused(field="database", rule="not_empty")


async def restore_rows(
    source: IO[bytes], header: Header, kek: Mapping[str, bytes], databases: Mapping[str, Database]
) -> int:
    """Write the rows of a file that `check_backup` has found whole, one transaction a database; return their number."""
    tables = {f"{table.schema}.{table.table}": table for table in BACKED_TABLES}
    written = 0
    start = source.tell()
    for schema in ("credentials", "idp"):
        source.seek(start)
        async with databases[schema].transaction() as tx:
            for line in _lines(source, header, kek):
                table = tables.get(line.get("table", ""))
                if table is not None and table.schema == schema:
                    await _insert(tx, table, _from_json(line["row"]))
                    written += 1
    return written


async def _insert(tx: Transaction, table: BackedTable, row: Mapping[str, Any]) -> None:
    # Column names come from a file only we could have sealed; they are held to their form all the same.
    if not all(name.isidentifier() and name.islower() and name.isascii() for name in row):
        raise KeyBackupRefused(field="file", rule="damaged")
    names = ", ".join(row)
    values = ", ".join(f"${position}" for position in range(1, len(row) + 1))
    await tx.execute(f"INSERT INTO {table.table} ({names}) VALUES ({values})", *row.values())  # noqa: S608  # checked above


async def _every_row(database: Database, table: BackedTable) -> AsyncIterator[Mapping[str, Any]]:
    keys = ", ".join(table.key)
    marks = ", ".join(f"${position + 2}" for position in range(len(table.key)))
    after: tuple[str, ...] = ()
    while True:
        where = f"WHERE ({keys}) > ({marks})" if after else ""
        rows = await database.fetch(
            f"SELECT * FROM {table.table} {where} ORDER BY {keys} LIMIT $1",  # noqa: S608  # names from the list above
            ROWS_A_QUERY,
            *after,
        )
        for row in rows:
            yield row
        if len(rows) < ROWS_A_QUERY:
            return
        after = tuple(rows[-1][name] for name in table.key)


def _lines(source: IO[bytes], header: Header, kek: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    if header.kek not in kek:
        raise KeyBackupRefused(field="kek", rule="other_key")
    try:
        key = ColumnSealer(kek, header.kek, bytes).open(
            header.wrapped_key, aad=_key_aad(header.prefix, header.created_at)
        )
        stream = StreamSealer(key, header.prefix, aad=sm3(header.line))
    except TrustError:
        raise KeyBackupRefused(field="kek", rule="other_key") from None
    rest = b""
    for plain in _chunks(source, stream):
        *lines, rest = (rest + plain).split(b"\n")
        for line in lines:
            found: dict[str, Any] = json_object(line, field="line")
            yield found
    if rest:
        raise KeyBackupRefused(field="file", rule="damaged")


def _chunks(source: IO[bytes], stream: StreamSealer) -> Iterator[bytes]:
    last = False
    while not last:
        head = int.from_bytes(source.read(4), "big")
        last, size = head >= _LAST, head & _LAST - 1
        if not TAG_BYTES <= size <= MAX_CHUNK_BYTES:
            raise KeyBackupRefused(field="file", rule="damaged")
        try:
            yield stream.open(source.read(size), last=last)
        except DecryptionFailed:
            raise KeyBackupRefused(field="file", rule="damaged") from None
    if source.read(1):
        raise KeyBackupRefused(field="file", rule="damaged")


class _ChunkWriter:
    """Gathers lines into chunks."""

    def __init__(self, out: IO[bytes], stream: StreamSealer) -> None:
        self._out = out
        self._stream = stream
        self._waiting = bytearray()

    def add(self, value: Mapping[str, Any]) -> None:
        self._waiting += json.dumps(value, separators=(",", ":")).encode() + b"\n"
        while len(self._waiting) >= CHUNK_BYTES:
            self._write(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]

    def finish(self) -> None:
        self._write(bytes(self._waiting), last=True)

    def _write(self, plain: bytes, *, last: bool) -> None:
        sealed = self._stream.seal(plain, last=last)
        self._out.write((len(sealed) | (_LAST if last else 0)).to_bytes(4, "big") + sealed)


def _to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"b": b64u_encode(bytes(value))} if isinstance(value, bytes | memoryview) else value
        for name, value in row.items()
    }


def _from_json(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: b64u_decode(value["b"]) if isinstance(value, dict) else value for name, value in row.items()}


def _key_aad(prefix: bytes, created_at: int) -> bytes:
    return f"key_backup/{b64u_encode(prefix)}/{created_at}".encode()
