"""The settings of one service: read once, checked all together, frozen.

A TOML file and `EDUTRUST_…` variables (which win) name the same settings. Every mistake found is reported at once, each
naming the setting and the rule, so that an operator mends a file in one go. Nothing else in the product reads the
environment.
"""

from __future__ import annotations

import ipaddress
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from adapters.anchor_chains import CONFIRMATIONS, ChainsRefused, read_chains
from crypto.errors import TrustError
from crypto.jwk import SM2_CURVE, SM2_CURVES_WRITTEN
from crypto.password import PasswordScheme

ENVIRONMENT_PREFIX: Final = "EDUTRUST_"
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# The province a demo or a first trial stands for where none is named (GB/T 2260; the demo province is 500000).
DEFAULT_REGION: Final = "500000"
CHECKPOINT_EVERY_S: Final = 3600
"""A log in which nothing happens is signed again this often: a follower who allows two hours sees it alive."""
SM2_BACKENDS: Final = ("auto", "kernel", "libcrypto")
WORKERS_MAX: Final = 64
"""More than the cores of one machine bring nothing, and each share of a limit on attempts would become too small."""
CPU_MODES: Final = ("auto", "portable", "avx2", "avx512")
_ALLOWED_HOST: Final = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}")
_REDIS_DATABASE: Final = re.compile(r"/?|/[0-9]{1,4}")
_CHAIN: Final = re.compile(r"0x[0-9a-fA-F]{40}")


class SettingsRefused(TrustError):
    """Settings that cannot be used. `problems` lists each with its setting, its rule and a sentence."""

    code: ClassVar[str] = "settings.refused"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(field=problems[0].setting, rule=problems[0].rule)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{problem.setting}: {problem.sentence}" for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the setting, the rule it breaks, and a sentence for the operator."""

    setting: str
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chooses.

    `issuer` is the public address without a final slash; platforms, cookies and log are named by it, so it never changes.
    `database_url` is `sqlite:///<folder>` or `postgresql://…`; `redis_url`, if any, holds short-lived state beside it.
    `workers` server processes answer on the one port. `metrics` is the `host:port` that answers scrapes, if any does.
    `outbound_allowed` lists `host:port` pairs on private networks that may be fetched; nothing else there ever is.
    `trusted_proxies` are networks whose X-Forwarded-* headers are believed. `region` is the six-digit division this
    deployment serves. `cpu` has worked when the kernel loaded; it stands here because it is one of the names.
    """

    issuer: str
    host: str
    port: int
    workers: int
    data_dir: Path
    database_url: str = field(repr=False)  # both may hold a password
    redis_url: str | None = field(repr=False)
    kek_file: Path
    region: str
    region_name_zh: str
    region_name_en: str
    root_name_zh: str
    root_name_en: str
    log_origin: str
    checkpoint_every_s: int
    outbound_allowed: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    tls_cert: Path | None
    tls_key: Path | None
    second_factor_for_all: bool
    password_scheme: str
    sm2_curve: str
    sm2_backend: str
    cpu: str
    filing_number: str | None
    police_filing_number: str | None
    evm_rpc_url: str | None
    evm_contract: str | None
    evm_chain_id: int | None
    evm_key_file: Path | None
    evm_confirmations: int
    anchor_chains: Path | None
    metrics: str | None

    @property
    def embedded(self) -> bool:
        """Whether the databases are files of this machine."""
        return self.database_url.startswith("sqlite:///")

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Where the first process answers scrapes; every further one answers on the port after."""
        if self.metrics is None:
            return None
        host, _, port = self.metrics.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def log_folder(self) -> Path:
        """Where the log is published as files."""
        return self.data_dir / "log"


class _Reader:
    """Reads values by name and remembers every problem."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.problems: list[Problem] = []

    def refuse(self, setting: str, rule: str, sentence: str) -> None:
        self.problems.append(Problem(setting, rule, sentence))

    def text(self, setting: str, default: str) -> str:
        value = self._given.get(setting, default)
        if not isinstance(value, str):
            self.refuse(setting, "text", "must be text in quotation marks.")
            return default
        return value

    def optional_text(self, setting: str) -> str | None:
        return self.text(setting, "") or None

    def optional_path(self, setting: str) -> Path | None:
        text = self.text(setting, "")
        return Path(text) if text else None

    def number(self, setting: str, default: int, *, least: int, most: int) -> int:
        value = self._given.get(setting, default)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if type(value) is not int or not least <= value <= most:
            self.refuse(setting, "range", f"must be a whole number from {least} to {most}.")
            return default
        return value

    def flag(self, setting: str, *, default: bool) -> bool:
        value = self._given.get(setting, default)
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower(), value)
        if not isinstance(value, bool):
            self.refuse(setting, "flag", "must be true or false.")
            return default
        return value

    def texts(self, setting: str) -> tuple[str, ...]:
        value = self._given.get(setting, [])
        if isinstance(value, str):
            value = [part for part in (one.strip() for one in value.split(",")) if part]
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.refuse(setting, "list", "must be a list of texts.")
            return ()
        return tuple(value)


def read_settings(file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """Return the settings of a file, then the environment, then the command line. Raises `SettingsRefused`."""
    given: dict[str, Any] = {}
    if file is not None:
        given |= _read_file(file)
    for name, value in environment.items():
        if name.startswith(ENVIRONMENT_PREFIX):
            given[name.removeprefix(ENVIRONMENT_PREFIX).lower()] = value
    given |= {name: value for name, value in overrides.items() if value is not None}
    return check_settings(given)


def _read_file(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        problem = Problem("config", "readable", f"the settings file {file} cannot be read.")
    except tomllib.TOMLDecodeError as error:
        problem = Problem("config", "toml", f"the settings file {file} is not TOML: {error}.")
    else:
        if "cpu" not in values:
            return values
        problem = Problem("cpu", "environment", "is read while the kernel loads: set EDUTRUST_CPU instead.")
    raise SettingsRefused((problem,))


def check_settings(given: Mapping[str, Any]) -> Settings:
    """Check everything at once. Raises `SettingsRefused` with every problem found."""
    read = _Reader(given)
    known = {field.name for field in fields(Settings)}
    for name in sorted(given.keys() - known):
        read.refuse(name, "known", "is not a setting of this version.")
    host = read.text("host", "127.0.0.1")
    port = read.number("port", 8080, least=1, most=65535)
    data_dir = Path(read.text("data_dir", "var"))
    issuer = read.text("issuer", f"http://{_host_in_url(host)}:{port}")
    settings = Settings(
        issuer=issuer,
        host=host,
        port=port,
        workers=read.number("workers", 1, least=1, most=WORKERS_MAX),
        data_dir=data_dir,
        database_url=read.text("database_url", f"sqlite:///{data_dir}"),
        redis_url=read.optional_text("redis_url"),
        kek_file=Path(read.text("kek_file", str(data_dir / "kek"))),
        region=read.text("region", DEFAULT_REGION),
        region_name_zh=read.text("region_name_zh", "演示省教育厅"),
        region_name_en=read.text("region_name_en", "Demonstration Province Department of Education"),
        root_name_zh=read.text("root_name_zh", "演示教育主管部门"),
        root_name_en=read.text("root_name_en", "Demonstration Education Authority"),
        log_origin=read.text("log_origin", _origin_of(issuer)),
        checkpoint_every_s=read.number("checkpoint_every_s", CHECKPOINT_EVERY_S, least=60, most=604_800),
        outbound_allowed=read.texts("outbound_allowed"),
        trusted_proxies=read.texts("trusted_proxies"),
        tls_cert=read.optional_path("tls_cert"),
        tls_key=read.optional_path("tls_key"),
        second_factor_for_all=read.flag("second_factor_for_all", default=True),
        password_scheme=read.text("password_scheme", PasswordScheme.ARGON2ID.value),
        sm2_curve=read.text("sm2_curve", SM2_CURVE),
        sm2_backend=read.text("sm2_backend", "auto"),
        cpu=read.text("cpu", "auto"),
        filing_number=read.optional_text("filing_number"),
        police_filing_number=read.optional_text("police_filing_number"),
        evm_rpc_url=read.optional_text("evm_rpc_url"),
        evm_contract=read.optional_text("evm_contract"),
        evm_chain_id=read.number("evm_chain_id", 0, least=0, most=2**31) or None,
        evm_key_file=read.optional_path("evm_key_file"),
        evm_confirmations=read.number("evm_confirmations", CONFIRMATIONS, least=0, most=1000),
        anchor_chains=read.optional_path("anchor_chains"),
        metrics=read.optional_text("metrics"),
    )
    for check in _CHECKS:
        check(settings, read)
    if read.problems:
        raise SettingsRefused(tuple(read.problems))
    return settings


def _host_in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _origin_of(issuer: str) -> str:
    try:
        parts = urlsplit(issuer)
    except ValueError:
        return "log"  # the issuer itself is refused below
    return f"{parts.netloc}{parts.path}/log" if parts.netloc else "log"


def _check_issuer(settings: Settings, read: _Reader) -> None:
    try:
        parts = urlsplit(settings.issuer)
        name, _ = parts.hostname, parts.port
    except ValueError:
        read.refuse("issuer", "url", "is not an address such as https://id.example.edu.cn.")
        return
    if parts.scheme not in {"http", "https"} or not name or parts.username is not None:
        read.refuse("issuer", "url", "is not an address such as https://id.example.edu.cn.")
    elif parts.scheme == "http" and name not in LOOPBACK_NAMES:
        read.refuse("issuer", "https", "must begin with https:// unless it is this machine's loopback address.")
    if parts.path.strip("/"):
        read.refuse("issuer", "path", "must be a host's own address, without a path: cookies and pages are the host's.")
    if parts.query or parts.fragment or settings.issuer.endswith("/"):
        read.refuse("issuer", "exact", "must have no query, no fragment and no final slash (OIDC Discovery §3).")


def _check_workers(settings: Settings, read: _Reader) -> None:
    if settings.workers > 1 and sys.platform != "linux":
        read.refuse("workers", "platform", "above 1 need Linux, which spreads connections over processes.")


def _check_metrics(settings: Settings, read: _Reader) -> None:
    if settings.metrics is None:
        return
    address = settings.metrics_address if _ALLOWED_HOST.fullmatch(settings.metrics) else None
    first = 0 if address is None else address[1]
    if not 1 <= first <= 65535 - settings.workers + 1:
        read.refuse(
            "metrics", "host_port", "must be an address such as 127.0.0.1:9464; each worker takes one port more."
        )
    elif first <= settings.port < first + settings.workers:
        read.refuse("metrics", "apart", "needs ports of its own, one for each worker, beside the service's.")


def _check_database(settings: Settings, read: _Reader) -> None:
    if not settings.database_url.startswith(("sqlite:///", "postgresql://")):
        read.refuse("database_url", "scheme", "must begin with sqlite:/// or postgresql://.")
    if settings.embedded and Path(settings.database_url.removeprefix("sqlite:///")) != settings.data_dir:
        read.refuse("database_url", "data_dir", "names another folder than data_dir.")


def _check_redis(settings: Settings, read: _Reader) -> None:
    if settings.redis_url is None:
        return
    try:
        parts = urlsplit(settings.redis_url)
        good = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
        named = {name for name, _ in parse_qsl(parts.query, strict_parsing=bool(parts.query))}
    except ValueError:
        good, named = False, set()
    if not good or parts.fragment or not _REDIS_DATABASE.fullmatch(parts.path):
        read.refuse("redis_url", "url", "must be redis:// or rediss:// with host, port and database, such as /0.")
    # Anything else a URL may name would loosen what is fixed here: certificates checked, time bounded, no retries.
    elif named - {"ssl_ca_certs"} or (named and parts.scheme != "rediss"):
        read.refuse("redis_url", "options", "may name ssl_ca_certs (with rediss://) and nothing else.")


def _check_region(settings: Settings, read: _Reader) -> None:
    if not re.fullmatch(r"[0-9]{6}", settings.region):
        read.refuse("region", "digits", "must be the six digits of a division of GB/T 2260.")
    if not re.fullmatch(r"[^\s+]{1,128}", settings.log_origin):
        read.refuse("log_origin", "form", "must be 1 to 128 characters without spaces or plus signs.")


def _check_networks(settings: Settings, read: _Reader) -> None:
    for pair in settings.outbound_allowed:
        if not _ALLOWED_HOST.fullmatch(pair):
            read.refuse("outbound_allowed", "host_port", "must list pairs such as 10.0.0.5:8443.")
    for network in settings.trusted_proxies:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            read.refuse("trusted_proxies", "network", "must list addresses or networks such as 10.0.0.0/8.")


def _check_tls(settings: Settings, read: _Reader) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        read.refuse("tls_cert", "pair", "and tls_key must be given together.")
    for setting, path in (("tls_cert", settings.tls_cert), ("tls_key", settings.tls_key)):
        if path is not None and not path.is_file():
            read.refuse(setting, "file", "names no file.")


def _check_cryptography(settings: Settings, read: _Reader) -> None:
    schemes = [scheme.value for scheme in PasswordScheme]
    if settings.password_scheme not in schemes:
        read.refuse("password_scheme", "choice", f"must be one of {', '.join(schemes)}.")
    if settings.sm2_curve not in SM2_CURVES_WRITTEN:
        read.refuse("sm2_curve", "choice", f"must be one of {', '.join(sorted(SM2_CURVES_WRITTEN))}.")
    if settings.sm2_backend == "gmssl":
        read.refuse("sm2_backend", "private_keys", "may not be gmssl: pure Python is not constant in time.")
    elif settings.sm2_backend not in SM2_BACKENDS:
        read.refuse("sm2_backend", "choice", f"must be one of {', '.join(SM2_BACKENDS)}.")
    if settings.cpu not in CPU_MODES:
        read.refuse("cpu", "choice", f"must be one of {', '.join(CPU_MODES)}.")


def _check_chain(settings: Settings, read: _Reader) -> None:
    given = (settings.evm_rpc_url, settings.evm_contract, settings.evm_chain_id, settings.evm_key_file)
    if any(value is not None for value in given) and not all(value is not None for value in given):
        read.refuse("evm_rpc_url", "together", "needs evm_contract, evm_chain_id and evm_key_file beside it.")
    if settings.evm_contract is not None and not _CHAIN.fullmatch(settings.evm_contract):
        read.refuse("evm_contract", "address", "must be 0x and forty hexadecimal digits.")
    if settings.evm_key_file is not None and not settings.evm_key_file.is_file():
        read.refuse("evm_key_file", "file", "names no file.")
    if settings.anchor_chains is None:
        return
    try:
        chains = read_chains(settings.anchor_chains)
    except ChainsRefused as refused:
        read.refuse("anchor_chains", "file", str(refused))
    else:
        if settings.evm_chain_id in {chain.chain_id for chain in chains}:
            read.refuse("anchor_chains", "once", "names the chain of evm_chain_id again.")


_CHECKS: Final[tuple[Callable[[Settings, _Reader], None], ...]] = (
    _check_issuer,
    _check_workers,
    _check_metrics,
    _check_database,
    _check_redis,
    _check_region,
    _check_networks,
    _check_tls,
    _check_cryptography,
    _check_chain,
)
