"""One process of the real service for the tests, its clock set by whoever started it.

Arguments: a JSON object with `settings` (as `check_settings` takes them), `clients` and `users` (static files, may be
null) and `clock` (a file of eight bytes: the seconds this process's clock is ahead of the machine's). Everything else is
what `edutrust run` does.
"""

from __future__ import annotations

import json
import mmap
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import uvloop

import adapters.app
import adapters.server
from adapters.app import Application
from adapters.parts import Parts
from adapters.server import listening_socket, run_service
from adapters.settings import check_settings
from adapters.static_files import bring_in, read_static_files
from idp.model import Acr


def main() -> None:
    """Serve until told to stop."""
    given = json.loads(sys.argv[1])
    settings = check_settings(given["settings"])
    with Path(given["clock"]).open("rb") as file:
        ahead = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    furthest = 0

    def seconds_ahead() -> int:
        return int.from_bytes(ahead[:8], "little", signed=True)

    def now() -> float:
        return time.time() + seconds_ahead()

    def monotonic() -> float:
        nonlocal furthest
        furthest = max(furthest, seconds_ahead())  # a clock put back does not take this one back
        return time.monotonic() + furthest

    # The planted clocks. The second is what the limits a network go by: time that passes here passes for them, too.
    vars(adapters.server)["time"] = SimpleNamespace(time=now, monotonic=time.monotonic)
    vars(adapters.app)["time"] = SimpleNamespace(monotonic=monotonic)
    static = read_static_files(*(None if given[name] is None else Path(given[name]) for name in ("clients", "users")))

    async def prepare(parts: Parts) -> Mapping[str, Acr]:
        return await bring_in(parts, static)

    async def ready(_parts: Parts, _application: Application) -> None:
        print("READY", flush=True)  # noqa: T201  # what the starter waits for

    listener = listening_socket(settings.host, settings.port)
    uvloop.run(run_service(settings, ready, listener=listener, write_log=sys.stderr.write, prepare=prepare))


if __name__ == "__main__":
    main()
