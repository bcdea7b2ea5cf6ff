"""benchmarks/reconnect.py in short: a real camera goes away in every way there is, and is seen again every time."""

from __future__ import annotations

import math

import pytest

from benchmarks.reconnect import WAYS, make_plan, run_rounds
from tests.rtsp import why_no_server

#: A silence shorter than that of a lost connection is none.
OUTAGES_S = {"killed": 0.3, "ended": 0.3, "stopped": 2.8, "stalled": 2.8}


@pytest.mark.server
def test_it_is_seen_again_however_it_went_away() -> None:
    if (why_not := why_no_server()) is not None:
        pytest.skip(why_not)
    report = run_rounds([(way, OUTAGES_S[way.name]) for way in WAYS], calm_s=0.2)
    assert [it["way"] for it in report["rounds"]] == ["killed", "ended", "stopped", "stalled"]
    assert all(it["noticed"] for it in report["rounds"])
    assert all(it["back_s"] < math.inf for it in report["rounds"])
    assert report["viewers_ended"] == 0
    assert min(report["pictures"]) > len(WAYS)


def test_the_plan_holds_each_way_with_each_length() -> None:
    plan = make_plan(20)
    assert len({(way.name, outage_s) for way, outage_s in plan}) == 20
    assert make_plan(21)[20] == plan[0]
