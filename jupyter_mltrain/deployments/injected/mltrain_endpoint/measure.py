"""Counts and times of requests: for Prometheus, and as a summary of the last ones."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from typing import Any, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RECENT = 2048


class Measure:
    """`done` notes a request; from the event loop only, so that plain numbers will do, which cost a request least."""

    def __init__(self, service: str, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._labels = {"service": service, "version": version}
        self._counts: dict[int, int] = {}
        self._seconds = 0.0
        self._of_bucket = [0] * (len(_BUCKETS) + 1)
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self.started = time.time()
        self.in_progress = 0
        self.registry.register(self)

    def done(self, status: int, seconds: float) -> None:
        self._counts[status] = self._counts.get(status, 0) + 1
        self._seconds += seconds
        self._of_bucket[bisect_left(_BUCKETS, seconds)] += 1
        self._recent.append(seconds)

    def collect(self) -> Iterator[Any]:
        """For the registry: all that was counted."""
        names, values = list(self._labels), list(self._labels.values())
        requests = CounterMetricFamily(
            "mltrain_requests", "Answered requests for predictions.", labels=[*names, "status"]
        )
        for status, count in self._counts.items():
            requests.add_metric([*values, str(status)], count)
        yield requests
        buckets, below = [], 0
        for limit, count in zip([*map(str, _BUCKETS), "+Inf"], self._of_bucket):
            below += count
            buckets.append((limit, below))
        times = HistogramMetricFamily(
            "mltrain_request_seconds", "Time from the whole request to its answer.", labels=names
        )
        times.add_metric(values, buckets, self._seconds)
        yield times
        busy = GaugeMetricFamily("mltrain_requests_in_progress", "Requests that wait for an answer.", labels=names)
        busy.add_metric(values, self.in_progress)
        yield busy

    def summary(self) -> dict[str, Any]:
        """`requests` (by status, since `since`) and the quantiles in ms of the last `of` ones."""
        recent = sorted(self._recent)
        return {
            "since": self.started,
            "requests": {str(status): count for status, count in sorted(self._counts.items())},
            "of": len(recent),
            "p50_ms": _quantile(recent, 0.5),
            "p95_ms": _quantile(recent, 0.95),
            "p99_ms": _quantile(recent, 0.99),
        }

    def prometheus(self) -> bytes:
        return bytes(generate_latest(self.registry))


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3) if ordered else None
