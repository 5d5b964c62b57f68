"""Counts and times of requests: for Prometheus, and as a summary of the last ones."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_RECENT = 2048


class Measure:
    """`done` notes a request; from the event loop only."""

    def __init__(self, service: str, version: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = {"service": service, "version": version}
        self._seconds = Histogram(
            "mltrain_request_seconds", "Time from the whole request to its answer.", list(labels),
            buckets=_BUCKETS, registry=self.registry,
        ).labels(**labels)  # fmt: skip
        requests = Counter(
            "mltrain_requests", "Answered requests for predictions.", [*labels, "status"], registry=self.registry
        )
        self._requests: dict[int, Any] = {}
        self._of_status = lambda status: requests.labels(**labels, status=str(status))
        busy = Gauge(
            "mltrain_requests_in_progress", "Requests that wait for an answer.", list(labels), registry=self.registry
        )
        self._busy = busy.labels(**labels)
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self._counts: dict[str, int] = {}
        self.started = time.time()
        self.in_progress = 0

    def done(self, status: int, seconds: float) -> None:
        counter = self._requests.get(status)
        if counter is None:
            counter = self._requests[status] = self._of_status(status)
        counter.inc()
        self._seconds.observe(seconds)
        self._recent.append(seconds)

    def summary(self) -> dict[str, Any]:
        """`requests` (by status, since `since`) and the quantiles in ms of the last `of` ones."""
        counts = {status: int(counter._value.get()) for status, counter in list(self._requests.items())}
        recent = sorted(self._recent)
        return {
            "since": self.started,
            "requests": {str(status): count for status, count in sorted(counts.items())},
            "of": len(recent),
            "p50_ms": _quantile(recent, 0.5),
            "p95_ms": _quantile(recent, 0.95),
            "p99_ms": _quantile(recent, 0.99),
        }

    def prometheus(self) -> bytes:
        self._busy.set(self.in_progress)
        return bytes(generate_latest(self.registry))


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3) if ordered else None
