"""The text that Prometheus reads, read by Prometheus's own parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edgeseg.exposition import BUCKETS_S, Family, render
from edgeseg.histogram import Histogram


def test_what_is_rendered_is_read_back() -> None:
    page = render(
        [
            Family("edgeseg_frames_total", "counter", "Frames, by \\ camera\nand more.").add(3, camera="front").add(4),
            Family("edgeseg_temperature_celsius", "gauge", "Heat.").add(61.5, zone="").add(None, zone="unknown"),
            Family("edgeseg_nothing", "gauge", "Left out.").add(None),
        ]
    )
    frames, heat = text_string_to_metric_families(page)
    assert (frames.name, frames.type, frames.documentation) == (
        "edgeseg_frames",
        "counter",
        "Frames, by \\ camera\nand more.",
    )
    assert [(sample.labels, sample.value) for sample in frames.samples] == [({"camera": "front"}, 3), ({}, 4)]
    assert [(sample.labels, sample.value) for sample in heat.samples] == [({"zone": ""}, 61.5)]


@settings(max_examples=50)
@given(label=st.text(max_size=20), value=st.floats(allow_nan=False) | st.integers(0, 2**53) | st.booleans())
def test_any_label_and_any_number_survive(label: str, value: float) -> None:
    (family,) = text_string_to_metric_families(render([Family("x", "gauge", "y").add(value, z=label)]))
    (sample,) = family.samples
    assert sample.value == float(value)
    assert sample.labels == {"z": label.encode(errors="backslashreplace").decode()}


@settings(max_examples=50)
@given(values_ms=st.lists(st.floats(0.02, 20_000), max_size=60))
def test_a_histogram_is_cumulative_and_right_to_its_precision(values_ms: list[float]) -> None:
    histogram = Histogram()
    for value in values_ms:
        histogram.add(value)
    (family,) = text_string_to_metric_families(render([Family("age_seconds", "histogram", "h").add(histogram, a="b")]))
    samples = {(sample.name, sample.labels.get("le")): sample.value for sample in family.samples}
    for limit_s in BUCKETS_S:
        surely = sum(value <= limit_s * 1e3 / 1.026 for value in values_ms)
        perhaps = sum(value <= limit_s * 1e3 * 1.026 for value in values_ms)
        assert surely <= samples["age_seconds_bucket", f"{limit_s:g}"] <= perhaps
    counts = [samples["age_seconds_bucket", f"{limit_s:g}"] for limit_s in BUCKETS_S]
    assert counts == sorted(counts)
    assert samples["age_seconds_bucket", "+Inf"] == samples["age_seconds_count", None] == len(values_ms)
    assert math.isclose(samples["age_seconds_sum", None], sum(values_ms) / 1e3, abs_tol=1e-9)


def test_a_name_may_be_used_once() -> None:
    with pytest.raises(ValueError, match="two families are called x"):
        render([Family("x", "gauge", "y"), Family("x", "counter", "z")])
