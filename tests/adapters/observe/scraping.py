"""A scrape, read by the library's own parser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection

import httpx
from prometheus_client.parser import text_string_to_metric_families

from adapters.observe.metrics import METRICS, PROCESS_METRICS
from adapters.parts import Parts
from adapters.scrape.exposition import CONTENT_TYPE, PATH, MetricsPage

Series = tuple[str, tuple[tuple[str, str], ...]]


class Scrape:
    """What one scrape said: `text` as it came, `series` as it was meant."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.series: dict[Series, float] = {}
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            assert name in METRICS or name in PROCESS_METRICS, name
            for sample in family.samples:
                series = (sample.name, tuple(sorted(sample.labels.items())))
                assert series not in self.series, series
                self.series[series] = sample.value
                if name in METRICS:
                    assert sample.labels.keys() - {"le"} == set(METRICS[name].labels), sample
                    assert METRICS[name].help == family.documentation
                    assert METRICS[name].kind.value == family.type

    def get(self, name: str, **labels: str) -> float | None:
        """Return a value, None where it is absent."""
        return self.series.get((name, tuple(sorted(labels.items()))))

    def __getitem__(self, name: str) -> float:
        """Return a value that has no labels."""
        return self.series[(name, ())]

    def nonzero(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a metric by its label values, zeros left out."""
        return {
            tuple(value for _, value in labels): value
            for (found, labels), value in self.series.items()
            if found == name and value
        }


class Scraper:
    """Asks a service of this process."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(self) -> Scrape:
        answer = await self._client.get(PATH)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == CONTENT_TYPE.decode()
        return Scrape(answer.text)


@asynccontextmanager
async def scraping(parts: Parts) -> AsyncIterator[Scraper]:
    """Open what answers scrapes over the parts."""
    page = MetricsPage(parts)
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(page), base_url="http://metrics.test") as client:
            yield Scraper(client)
    finally:
        page.close()


def scraped(port: int) -> Scrape:
    """Scrape a port of this machine."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", PATH)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return Scrape(text)
    finally:
        connection.close()
