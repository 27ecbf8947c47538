"""A bounded set of connections to one Redis server, one round trip a command.

Commands go over `redis.asyncio`'s connections, not through its client and pool: a connection must tell which server
process it reached before a key is made for it (`Epoch`), its release must not be something a cancellation can
interrupt, and one deadline for everything is cheaper than one a read and one a write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    SSLConnection,
    parse_url,
)
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionLost
from redis.exceptions import NoScriptError, RedisError

from crypto.errors import TrustError

CONNECTIONS_MAX: Final = 16
"""Of one process. A command is answered within a fraction of a millisecond: 16 carry more than one process can ask."""

DEADLINE_S: Final = 1.0
"""For one command with everything it waits for: a thousand times the usual, so that a busy moment of our own process is not
taken for an outage; and a sign-in that waits it out is still quick."""

IDLE_MAX_S: Final = 30.0
"""A connection unused for longer is replaced: firewalls and `timeout` of redis.conf cut idle ones silently (60 s and up)."""

Argument = bytes | str | int


class RedisUnavailable(TrustError):
    """Redis cannot be reached, is full, read-only or too slow. Carries neither its address nor its answer."""

    code: ClassVar[str] = "store.unavailable"


@dataclass(frozen=True, slots=True)
class Epoch:
    """One life of a server: from a start or promotion to its end.

    A restart may load yesterday's file, a promoted replica may have missed the last deletions: either would give back
    what was taken. Keys contain the epoch, so what an earlier life left behind is not found again.
    """

    run_id: bytes
    replication_id: bytes
    version: str
    eviction_policy: str

    @property
    def seed(self) -> bytes:
        """What distinguishes this life from every other: 80 hexadecimal digits."""
        return self.run_id + self.replication_id


def epoch_of(info: bytes) -> Epoch:
    """Parse an INFO answer. Raises `RedisUnavailable` when it does not say who answered, or a replica did."""
    fields = dict(line.split(":", 1) for line in info.decode("ascii", "replace").splitlines() if ":" in line)
    run_id, replication_id = fields.get("run_id", ""), fields.get("master_replid", "")
    if len(run_id) != 40 or len(replication_id) != 40:
        raise RedisUnavailable(rule="identity")
    if fields.get("role") != "master":
        raise RedisUnavailable(rule="replica")
    return Epoch(
        run_id.encode(),
        replication_id.encode(),
        fields.get("redis_version", "?"),
        fields.get("maxmemory_policy", "unknown"),
    )


@dataclass(slots=True)
class _Line:
    connection: AbstractConnection
    epoch: Epoch
    used_at: float


class RedisServer:
    """Sends commands. `command` of each call is made for the epoch of the connection that will carry it."""

    def __init__(self, url: str, *, monotonic: Callable[[], float]) -> None:
        """Connect nothing yet. `url` as in the setting `redis_url`, already checked."""
        options: dict[str, Any] = dict(parse_url(url))
        self._make: type[AbstractConnection] = options.pop("connection_class", Connection)
        if self._make is SSLConnection:
            options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
        self._options: Mapping[str, Any] = options
        self._monotonic = monotonic
        self._idle: list[_Line] = []
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)

    def __repr__(self) -> str:
        return "RedisServer()"  # never the address: it may hold the password

    async def call(self, command: Callable[[Epoch], tuple[Argument, ...]]) -> Any:
        """Send one command and return its answer. Raises `RedisUnavailable` within `DEADLINE_S`."""
        return await self._within_deadline(lambda epoch: (command(epoch), None))

    async def call_script(self, script: Script, command: Callable[[Epoch], tuple[Argument, ...]]) -> Any:
        """Run a script by its digest, by its text where the server does not know it yet. Raises `RedisUnavailable`."""

        def both(epoch: Epoch) -> tuple[tuple[Argument, ...], tuple[Argument, ...]]:
            rest = command(epoch)
            return ("EVALSHA", script.sha1, *rest), ("EVAL", script.text, *rest)

        return await self._within_deadline(both)

    async def epoch(self) -> Epoch:
        """Reach the server and return who answered. Raises `RedisUnavailable`."""
        found: list[Epoch] = []

        def ping(epoch: Epoch) -> tuple[Argument, ...]:
            found.append(epoch)
            return ("GET", "edutrust:t:none")  # a command the store's own permissions contain

        await self.call(ping)
        return found[-1]

    async def close(self) -> None:
        """Close what is idle; commands under way close their own."""
        await self._drop_idle()

    async def _within_deadline(
        self, command: Callable[[Epoch], tuple[tuple[Argument, ...], tuple[Argument, ...] | None]]
    ) -> Any:
        try:
            async with asyncio.timeout(DEADLINE_S), self._places:
                line = self._idle_line()
                if line is not None:
                    try:
                        return await self._exchange(line, command)
                    except RedisConnectionLost:
                        # Cut while idle, most likely by a restart; the others are, too. Asking again is safe: nobody
                        # got an answer, and no command does twice what may be done once.
                        await self._drop_idle()
                return await self._exchange(await self._connect(), command)
        except (RedisError, OSError, TimeoutError) as error:
            # Not chained: a library's text may quote the address.
            raise RedisUnavailable(rule=type(error).__name__) from None

    async def _exchange(
        self, line: _Line, command: Callable[[Epoch], tuple[tuple[Argument, ...], tuple[Argument, ...] | None]]
    ) -> Any:
        """Send, receive, keep the connection; whatever else happens, cancellation too, it is not used again."""
        connection = line.connection
        first, if_unknown = command(line.epoch)
        try:
            await connection.send_command(*first)
            try:
                answer = await connection.read_response()
            except NoScriptError:
                if if_unknown is None:
                    raise
                await connection.send_command(*if_unknown)
                answer = await connection.read_response()
        except BaseException:
            # An answer still on its way would be read as the answer to somebody else's command.
            await connection.disconnect(nowait=True)
            raise
        line.used_at = self._monotonic()
        self._idle.append(line)
        return answer

    def _idle_line(self) -> _Line | None:
        return self._idle.pop() if self._idle and self._monotonic() - self._idle[-1].used_at < IDLE_MAX_S else None

    async def _connect(self) -> _Line:
        await self._drop_stale()
        connection = self._make(
            **self._options,
            protocol=2,
            driver_info=None,  # its two commands would ask for one more permission
            socket_timeout=None,  # one deadline for all, above
            socket_connect_timeout=DEADLINE_S,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            await connection.connect()  # type: ignore[no-untyped-call]  # redis-py leaves this one unannotated
            await connection.send_command("INFO")
            return _Line(connection, epoch_of(await connection.read_response()), self._monotonic())
        except BaseException:
            await connection.disconnect(nowait=True)
            raise

    async def _drop_stale(self) -> None:
        oldest = self._monotonic() - IDLE_MAX_S
        stale = [line for line in self._idle if line.used_at <= oldest]
        self._idle = [line for line in self._idle if line.used_at > oldest]
        for line in stale:
            await line.connection.disconnect(nowait=True)

    async def _drop_idle(self) -> None:
        dropped, self._idle = self._idle, []
        for line in dropped:
            await line.connection.disconnect(nowait=True)


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the digest the server knows it by (SHA-1 by Redis's definition; it protects nothing)."""

    text: str
    sha1: str
