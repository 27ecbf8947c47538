"""Readings in the text format of Prometheus, and the one address they are fetched from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Receive, Scope, Send

from adapters.observe import metrics
from adapters.observe.counting import Distribution, Reading
from adapters.observe.metrics import METRICS, Kind
from adapters.parts import Parts
from adapters.scrape.probes import Probes

PATH: Final = "/metrics"
# Version 0.0.4 of the format, which every scraper reads.
CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


class _Read(Collector):
    """Gives readings to the library's renderer, family by family in the order of `METRICS`."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._of: dict[str, list[Reading]] = {name: [] for name in METRICS}
        for reading in readings:
            self._of[reading.metric.name].append(reading)

    def collect(self) -> Iterable[Metric]:
        return [_family(readings) for readings in self._of.values() if readings]


def _family(readings: Sequence[Reading]) -> Metric:
    metric = readings[0].metric
    histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    plain = kind(metric.name, metric.help, labels=metric.labels)
    for reading in readings:
        if isinstance(reading.value, Distribution):
            histogram.add_metric(reading.labels, reading.value.buckets, reading.value.total)
        else:
            plain.add_metric(reading.labels, reading.value)
    return histogram if metric.kind is Kind.HISTOGRAM else plain


def exposition(readings: Iterable[Reading]) -> bytes:
    """Return the text of the readings, and of the process itself."""
    registry = CollectorRegistry()
    registry.register(_Read([Reading(metrics.BUILD, (version("edutrust"),), 1), *readings]))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class MetricsPage:
    """An ASGI application with one path. Everything it says may be said to whoever reaches it; see docs/metrics.md."""

    def __init__(self, parts: Parts) -> None:
        self._meters = parts.meters
        self._probes = Probes(parts)
        self._turn = asyncio.Lock()

    def close(self) -> None:
        """Ask the stores nothing more."""
        self._probes.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's signature
        """Answer GET of the path; anything else is 404."""
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "GET":
            await _answer(send, 404, {b"content-type": b"text/plain"}, b"")
            return
        async with self._turn:  # however many ask at once, the stores are asked for one of them at a time
            asked = await self._probes.read()
        text = exposition([*self._meters.read(), *asked])
        await _answer(send, 200, {b"content-type": CONTENT_TYPE, b"cache-control": b"no-store"}, text)


async def _answer(send: Send, status: int, headers: Mapping[bytes, bytes], body: bytes) -> None:
    told = [*headers.items(), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
