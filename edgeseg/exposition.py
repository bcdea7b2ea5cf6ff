"""Exposition: numbers in the text format that Prometheus reads, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgeseg.histogram import Histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Upper ends of the buckets that are told, in seconds: from a resize on a fast machine to a stream that has stalled.
BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name. A histogram's are in milliseconds and told in seconds."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: list[tuple[Labels, float | Histogram]] = field(default_factory=list)

    def add(self, value: float | Histogram | None, **labels: str) -> Family:
        """Adds a sample, or none where nothing is known, and returns itself."""
        if value is not None:
            self.samples.append((labels, value))
        return self


def render(families: Iterable[Family]) -> str:
    """Returns the page; a family without samples is left out. Raises ValueError when two have one name."""
    lines: list[str] = []
    seen: set[str] = set()
    for family in families:
        if family.name in seen:
            raise ValueError(f"two families are called {family.name}")
        seen.add(family.name)
        if family.samples:
            text = family.help.replace("\\", "\\\\").replace("\n", "\\n")
            lines += [f"# HELP {family.name} {text}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in family.samples:
            lines += _lines_of(family.name, labels, value)
    return "\n".join([*lines, ""])


def _lines_of(name: str, labels: Labels, value: float | Histogram) -> Iterable[str]:
    if not isinstance(value, Histogram):
        yield f"{name}{_in_braces(labels)} {_number(value)}"
        return
    counts = [*value.at_most([limit_s * 1e3 for limit_s in BUCKETS_S]), value.count]
    for limit_s, count in zip((*BUCKETS_S, math.inf), counts, strict=True):
        yield f"{name}_bucket{_in_braces({**labels, 'le': _number(limit_s)})} {count}"
    yield f"{name}_sum{_in_braces(labels)} {_number(value.total / 1e3)}"
    yield f"{name}_count{_in_braces(labels)} {value.count}"


def _in_braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    # A file name that is no UTF-8 holds surrogates, which the page cannot.
    text = value.encode(errors="backslashreplace").decode()
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    # Whole numbers as such: a counter of bytes is not to lose its last digits.
    return str(int(value)) if float(value).is_integer() else repr(float(value))
