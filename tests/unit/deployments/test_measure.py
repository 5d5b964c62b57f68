"""What is counted of requests, as Prometheus reads it and as the card shows it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from jupyter_mltrain.deployments.injected.mltrain_endpoint.measure import Measure


def test_prometheus_reads_what_was_counted() -> None:
    measure = Measure('say "hi"', "3")
    for status, seconds in ((200, 0.0005), (200, 0.003), (400, 0.0001), (200, 60.0)):
        measure.done(status, seconds)
    measure.in_progress = 2
    samples = {
        (sample.name, sample.labels.get("status"), sample.labels.get("le")): sample.value
        for family in text_string_to_metric_families(measure.prometheus().decode())
        for sample in family.samples
        if sample.labels.get("service") == 'say "hi"' and sample.labels["version"] == "3"
    }
    assert samples["mltrain_requests_total", "200", None] == 3
    assert samples["mltrain_requests_total", "400", None] == 1
    assert samples["mltrain_requests_in_progress", None, None] == 2
    assert samples["mltrain_request_seconds_count", None, None] == 4
    assert abs(samples["mltrain_request_seconds_sum", None, None] - 60.0036) < 1e-9
    below = {le: value for (name, _, le), value in samples.items() if name == "mltrain_request_seconds_bucket"}
    assert below["0.0005"] == 2, "a bucket's limit is in it"
    assert (below["0.005"], below["10.0"], below["+Inf"]) == (3, 3, 4)


def test_the_summary_is_of_the_same_requests() -> None:
    measure = Measure("a", "1")
    assert measure.summary()["p50_ms"] is None
    for milliseconds in range(1, 101):
        measure.done(200, milliseconds / 1000)
    found = measure.summary()
    assert found["requests"] == {"200": 100}
    assert (found["of"], found["p50_ms"], found["p99_ms"]) == (100, 51.0, 100.0)
