"""The stores and keys of one deployment, opened in order and closed in the opposite one.

`open_parts` is the lower half of the composition root: it knows which database, key and service each room is given, and
nothing of HTTP. The commands that need no pages (seeding, `ledger fsck`) stop here; `app.py` builds the pages on top.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from adapters.chain.configured import bind_submitter, configured_evm
from adapters.chain.file import FileAnchor
from adapters.kek import read_kek
from adapters.ledger_service import AuditService, LedgerService
from adapters.observe.counted import CountedAccessStore
from adapters.observe.ledger_meter import LedgerMeter
from adapters.observe.meters import Meters
from adapters.operator_keys import OperatorKeys
from adapters.passwords import PasswordPool
from adapters.publication import LogFolder, Publisher
from adapters.redis.preferred import PreferredTransientStore
from adapters.redis.server import RedisServer
from adapters.redis.transient import RedisTransientStore
from adapters.settings import Settings
from adapters.sm2_backend import checked_backend
from adapters.sql.database import Database
from adapters.sql.engine import open_database
from adapters.sql.idp_access import SqlAccessStore
from adapters.sql.idp_authority import SqlAuthorityStore
from adapters.sql.idp_keys import SqlKeyStore
from adapters.sql.idp_registry import SqlRegistryStore
from adapters.sql.idp_transient import SqlTransientStore
from adapters.sql.keyring import ColumnKeyRing, DataKeys, check_key_encryption_keys, open_keyring
from adapters.sql.ledger_anchors import SqlAnchorTransactions
from adapters.sql.ledger_audit import SqlAuditStore
from adapters.sql.ledger_figures import SqlLedgerFigures, WatchedChain
from adapters.sql.ledger_open import open_audit_database, open_ledger_database
from adapters.sql.ledger_store import SqlLedgerStore
from adapters.sql.resealing import Resealer
from crypto.keys import SigningKey
from crypto.keystore import KeyStore
from crypto.password import PasswordScheme
from crypto.sealed import BlindIndex, ColumnSealer, RingSealer
from crypto.sm2 import Sm2Backend
from crypto.suites import Alg, Purpose
from idp.keys import StoredIdpKeys, open_idp_keys
from idp.transient import TransientStore
from ledger.anchor import AnchorDriver
from ledger.anchoring_chain import TransactionAnchor
from ledger.anchoring_transactions import AnchorTransactions
from ledger.checkpoint import LogIdentity
from ledger.publication_document import LogDocument
from ledger.receipt import LogTrust

Clock = Callable[[], int]
RandomBytes = Callable[[int], bytes]
MoreAnchors = Callable[[SigningKey, AnchorTransactions], Sequence[AnchorDriver]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything below the pages. The idp database also holds the keyring and the operator's keys."""

    settings: Settings
    clock: Clock
    random_bytes: RandomBytes
    backend: Sm2Backend
    keyring: dict[str, DataKeys]
    column_ring: ColumnKeyRing
    column_sealer: ColumnSealer
    resealer: Resealer
    idp_database: Database
    credentials_database: Database
    registry: SqlRegistryStore
    authority: SqlAuthorityStore
    access: SqlAccessStore
    transient: TransientStore
    redis: RedisServer | None
    keystore: KeyStore
    idp_keys: StoredIdpKeys
    passwords: PasswordPool
    ledger: LedgerService
    audit: AuditService
    log_trust: LogTrust
    log_folder: LogFolder
    ledger_figures: SqlLedgerFigures
    meters: Meters


@asynccontextmanager
async def open_parts(
    settings: Settings,
    *,
    clock: Clock,
    random_bytes: RandomBytes,
    more_anchors: MoreAnchors | None = None,
) -> AsyncIterator[Parts]:
    """Open everything below the pages; close it all, whatever happens, at the end.

    `more_anchors`, given the witness key and the record of transactions, adds places of anchoring beside the file and the configured chains. Raises `KekRefused`, `KeyringRefused`, `SelfTestFailed`,
    `StoreUnavailable`, and what the ledger raises when its signed head and its rows disagree.
    """
    backend = checked_backend(settings.sm2_backend)
    kek = read_kek(settings.kek_file)

    def kek_sealer() -> ColumnSealer:
        now_in_file = read_kek(settings.kek_file)
        return ColumnSealer(now_in_file.by_kid, now_in_file.active, random_bytes)

    async with AsyncExitStack() as stack:
        idp_database = await open_database(settings.database_url, "idp")
        stack.push_async_callback(idp_database.close)
        credentials_database = await open_database(settings.database_url, "credentials")
        stack.push_async_callback(credentials_database.close)
        keyring = await open_keyring(idp_database, kek_sealer(), now=clock(), random_bytes=random_bytes)
        await check_key_encryption_keys(idp_database, kek, now=clock())
        ring = ColumnKeyRing(idp_database, kek=kek_sealer, clock=clock, monotonic=time.monotonic)
        await ring.refresh()
        await stack.enter_async_context(ring.kept_fresh())
        sealer = RingSealer(ring, random_bytes)
        keystore = SqlKeyStore(idp_database)
        operator = OperatorKeys(keystore, sealer=sealer, backend=backend)
        passwords = PasswordPool(PasswordScheme(settings.password_scheme), random_bytes=random_bytes)
        stack.callback(passwords.close)
        redis = _redis(stack, settings)
        meters = Meters()
        log = await _open_ledger(stack, settings, operator, clock, more_anchors, meters.ledger)
        yield Parts(
            settings=settings,
            clock=clock,
            random_bytes=random_bytes,
            backend=backend,
            keyring=keyring,
            column_ring=ring,
            column_sealer=sealer,
            resealer=Resealer({"idp": idp_database, "credentials": credentials_database}, sealer),
            idp_database=idp_database,
            credentials_database=credentials_database,
            registry=SqlRegistryStore(
                idp_database,
                sealer=sealer,
                index=BlindIndex(keyring["blind-index"].current),
                random_bytes=random_bytes,
                region=settings.region,
            ),
            authority=SqlAuthorityStore(idp_database, region=settings.region, random_bytes=random_bytes),
            access=CountedAccessStore(idp_database, region=settings.region, meter=meters.acts),
            transient=_transient_store(redis, idp_database, clock, random_bytes),
            redis=redis,
            keystore=keystore,
            idp_keys=await open_idp_keys(keystore, sealer=sealer, backend=backend, clock=clock),
            passwords=passwords,
            ledger=log.ledger,
            audit=log.audit,
            log_trust=log.trust,
            log_folder=log.folder,
            ledger_figures=log.figures,
            meters=meters,
        )


def _redis(stack: AsyncExitStack, settings: Settings) -> RedisServer | None:
    if settings.redis_url is None:
        return None
    server = RedisServer(settings.redis_url, monotonic=time.monotonic)
    stack.push_async_callback(server.close)
    return server


def _transient_store(
    server: RedisServer | None, database: Database, clock: Clock, random_bytes: RandomBytes
) -> TransientStore:
    sql = SqlTransientStore(database, clock=clock, random_bytes=random_bytes)
    if server is None:
        return sql
    redis = RedisTransientStore(server, clock=clock, random_bytes=random_bytes)
    return PreferredTransientStore(redis, sql, monotonic=time.monotonic)


@dataclass(frozen=True, slots=True)
class _OpenLog:
    ledger: LedgerService
    audit: AuditService
    trust: LogTrust
    folder: LogFolder
    figures: SqlLedgerFigures


async def _open_ledger(
    stack: AsyncExitStack,
    settings: Settings,
    operator: OperatorKeys,
    clock: Clock,
    more_anchors: MoreAnchors | None,
    meter: LedgerMeter,
) -> _OpenLog:
    now = clock()
    owner = f"log:{settings.log_origin}"
    _, sm2_key = await operator.ensure(owner, Purpose.CHECKPOINT, Alg.SGD_SM3_SM2, now=now)
    _, ed25519_key = await operator.ensure(owner, Purpose.CHECKPOINT, Alg.EDDSA, now=now)
    _, witness = await operator.ensure(f"witness:{settings.log_origin}", Purpose.ANCHOR, Alg.SGD_SM3_SM2, now=now)
    identity = LogIdentity(settings.log_origin, sm2_key.public, ed25519_key.public)
    drivers: list[AnchorDriver] = [FileAnchor(settings.data_dir / "anchors", witness=witness, clock=clock)]
    database = open_ledger_database(settings.database_url)
    stack.callback(database.close)
    transactions = SqlAnchorTransactions(database)
    drivers.extend(configured_evm(settings, transactions, witness=witness, clock=clock, at_end=stack.callback))
    if more_anchors is not None:
        drivers.extend(more_anchors(witness, transactions))
    for driver in drivers:
        if isinstance(driver, TransactionAnchor):
            bind_submitter(driver, transactions, origin=settings.log_origin, log_key=sm2_key, now=now)
    audit_database = open_audit_database(settings.database_url)
    stack.callback(audit_database.close)
    store = SqlLedgerStore(database, settings.log_origin)
    folder = LogFolder(settings.log_folder)
    ledger = LedgerService(
        store,
        identity=identity,
        sm2_key=sm2_key,
        ed25519_key=ed25519_key,
        clock=clock,
        drivers=drivers,
        publisher=Publisher(store, folder, LogDocument(identity, {witness.kid: witness.public})),
        meter=meter,
    )
    await ledger.start()
    stack.push_async_callback(ledger.close)
    audit = AuditService(SqlAuditStore(audit_database, f"{settings.log_origin}/audit"))
    audit.start()
    stack.push_async_callback(audit.close)
    trust = LogTrust({settings.log_origin: identity}, {witness.kid: witness.public})
    figures = SqlLedgerFigures(database, settings.log_origin, [_watched(driver) for driver in drivers])
    return _OpenLog(ledger, audit, trust, folder, figures)


def _watched(driver: AnchorDriver) -> WatchedChain:
    return WatchedChain(driver.chain, driver.port.submitter if isinstance(driver, TransactionAnchor) else None)
