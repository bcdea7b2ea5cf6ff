"""The bar of benchmarks/broker.py, two short rounds of it: whatever depends on no clock."""

from __future__ import annotations

import math

import pytest

from benchmarks.broker import WAITING_BAR, run_rounds
from tests.broker import why_no_broker


@pytest.mark.server
def test_a_run_survives_its_broker_and_tells_it_everything_again() -> None:
    if (why_not := why_no_broker()) is not None:
        pytest.skip(why_not)
    report = run_rounds(2, outages_s=(0.5,), calm_s=0.3, warm_up=False)
    assert [it["way"] for it in report["rounds"]] == ["killed", "stopped"]
    assert math.isfinite(report["worst_back_s"])
    assert 0 < report["most_waiting"] <= WAITING_BAR
    assert all(it["rate_without"] > 0 for it in report["rounds"])
