"""What the service lets itself be measured by: every metric, with its unit, its labels and what it says.

The list is closed, and so are the values of every label: routes by their patterns, statuses by class, chains by the
configuration, everything else by the tables below. No label ever holds what a caller wrote, who anybody is, or an
address; `docs/metrics.md` carries the same list, held to it by a test.

Moments are seconds since the epoch, so that an age is taken by who asks (`time() - …`) and grows with the clock. What a
store cannot tell now is left out: a figure of yesterday would look green.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """How a metric is read: counters only grow and begin at 0 with the process; gauges are as of the scrape."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its exposed name (of a histogram without `_bucket`, `_sum`, `_count`), kind, labels and meaning."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM

BUILD: Final = Metric("edutrust_build_info", _GAUGE, ("version",), "1; the version that runs.")

REQUESTS: Final = Metric(
    "edutrust_http_requests_total",
    _COUNTER,
    ("route", "status"),
    "Requests answered, by the route's pattern (`unrouted`: static files and what no route took) and status class.",
)
REQUEST_SECONDS: Final = Metric(
    "edutrust_http_request_duration_seconds",
    _HISTOGRAM,
    ("route",),
    "Time to the end of an answer, by route; each is rounded to 0.1 ms, as in the log.",
)
LIMITED: Final = Metric(
    "edutrust_limiter_refusals_total", _COUNTER, ("limit",), "Requests refused by a limit on attempts, by limit."
)

SIGN_INS: Final = Metric(
    "edutrust_sign_ins_total",
    _COUNTER,
    ("method", "outcome"),
    "Sign-ins: completed ones by all their methods (`pwd`, `pwd otp`), refused steps by theirs.",
)
HELD_BACK: Final = Metric(
    "edutrust_sign_in_tries_held_back_total",
    _COUNTER,
    ("authenticator", "reason"),
    "Tries refused unlooked at after failures: `too_soon` (slowed down) or `disabled` (locked out).",
)
TOKENS: Final = Metric(
    "edutrust_tokens_issued_total",
    _COUNTER,
    ("grant",),
    "Token responses, by grant; `authorization` is a code or a device's.",
)
TOKEN_REFUSALS: Final = Metric(
    "edutrust_token_refusals_total",
    _COUNTER,
    ("reason",),
    "Token requests of known clients refused, by error; `code_replayed` and `refresh_replayed` revoked tokens.",
)

STORE_UP: Final = Metric(
    "edutrust_store_up",
    _GAUGE,
    ("store",),
    "1 where the store answered the scrape in time, else 0. `redis` is there where one is configured.",
)
AUDIT_EVENTS: Final = Metric(
    "edutrust_audit_trail_events", _GAUGE, (), "Events in the audit trail. Absent while its store does not answer."
)
AUDIT_WAITING: Final = Metric(
    "edutrust_audit_waiting_events", _GAUGE, (), "Events of this process that wait to be written."
)

LEDGER_ENTRIES: Final = Metric(
    "edutrust_ledger_entries",
    _GAUGE,
    (),
    "Size of the newest signed checkpoint. Absent while its store does not answer.",
)
LEDGER_CHECKPOINT: Final = Metric(
    "edutrust_ledger_checkpoint_timestamp_seconds",
    _GAUGE,
    (),
    "When the newest checkpoint was signed. Absent likewise.",
)
LEDGER_PUBLICATION_LAG: Final = Metric(
    "edutrust_ledger_publication_lag_entries",
    _GAUGE,
    (),
    "Entries under a signature that are not in the published files yet. Negative: the files hold more than the database.",
)
LEDGER_REFUSES: Final = Metric(
    "edutrust_ledger_signing_refused",
    _GAUGE,
    (),
    "1 while this process signs nothing, because clock, database and published files contradict each other; else 0.",
)
LEDGER_POOL: Final = Metric(
    "edutrust_ledger_pool_entries",
    _HISTOGRAM,
    (),
    "Entries appended by this process, a pool under one signature; the sum is all of them.",
)
LEDGER_POOL_SECONDS: Final = Metric(
    "edutrust_ledger_pool_duration_seconds", _HISTOGRAM, (), "Time to integrate, sign and store one pool."
)
LEDGER_WAITING: Final = Metric(
    "edutrust_ledger_waiting_entries", _GAUGE, (), "Entries of this process that wait for a pool."
)

ANCHOR_ENTRIES: Final = Metric(
    "edutrust_anchor_entries",
    _GAUGE,
    ("chain",),
    "Size of the newest checkpoint that is final on the chain. Absent: none among the newest 1024 anchors.",
)
ANCHOR_TIME: Final = Metric(
    "edutrust_anchor_timestamp_seconds", _GAUGE, ("chain",), "The chain's own time of that anchor. Absent likewise."
)
ANCHOR_WAITING: Final = Metric(
    "edutrust_anchor_waiting_since_timestamp_seconds",
    _GAUGE,
    ("chain",),
    "When the oldest checkpoint without an anchor on the chain was signed. Absent: none waits.",
)
ANCHOR_ATTEMPTS: Final = Metric(
    "edutrust_anchor_failed_attempts",
    _GAUGE,
    ("chain",),
    "Failed attempts to anchor the checkpoint whose turn it is; 0 where none waits.",
)
ANCHOR_TRANSACTIONS: Final = Metric(
    "edutrust_anchor_open_transactions",
    _GAUGE,
    ("chain",),
    "Transactions of the newest 64 that are on their way: kept, sent or mined, and not final. 0 for `file`.",
)
ANCHOR_STUCK: Final = Metric(
    "edutrust_anchor_oldest_open_transaction_timestamp_seconds",
    _GAUGE,
    ("chain",),
    "When the oldest of them was sent. Absent: none is on its way.",
)
ANCHOR_ALARM: Final = Metric(
    "edutrust_anchor_alarm",
    _GAUGE,
    ("chain",),
    "1 where the chain holds another history of the log or its nodes contradict each other: somebody must look. Else 0.",
)

JOB_RAN: Final = Metric(
    "edutrust_job_last_success_timestamp_seconds",
    _GAUGE,
    ("job",),
    "When a background job's last step went through, of the jobs this process runs.",
)
JOB_FAILURES: Final = Metric(
    "edutrust_job_failures_total", _COUNTER, ("job",), "Steps of background jobs that failed; each is tried again."
)

METRICS: Final = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            BUILD,
            REQUESTS,
            REQUEST_SECONDS,
            LIMITED,
            SIGN_INS,
            HELD_BACK,
            TOKENS,
            TOKEN_REFUSALS,
            STORE_UP,
            AUDIT_EVENTS,
            AUDIT_WAITING,
            LEDGER_ENTRIES,
            LEDGER_CHECKPOINT,
            LEDGER_PUBLICATION_LAG,
            LEDGER_REFUSES,
            LEDGER_POOL,
            LEDGER_POOL_SECONDS,
            LEDGER_WAITING,
            ANCHOR_ENTRIES,
            ANCHOR_TIME,
            ANCHOR_WAITING,
            ANCHOR_ATTEMPTS,
            ANCHOR_TRANSACTIONS,
            ANCHOR_STUCK,
            ANCHOR_ALARM,
            JOB_RAN,
            JOB_FAILURES,
        )
    }
)

# What the library's own collector adds of the process, from the files Linux keeps of it.
PROCESS_METRICS: Final = MappingProxyType(
    {
        "process_cpu_seconds_total": "CPU time the process has used.",
        "process_max_fds": "How many files it may have open.",
        "process_open_fds": "How many it has open.",
        "process_resident_memory_bytes": "Memory it holds.",
        "process_start_time_seconds": "When it started.",
        "process_virtual_memory_bytes": "Address space it has reserved.",
    }
)
