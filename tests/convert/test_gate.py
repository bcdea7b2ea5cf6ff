from __future__ import annotations

import math

import pytest
from rich.console import Console

from convert.gate import GateFailedError, enforce, judge_loss, judge_ops, tabulate
from convert.graph import GraphOp

GOOD = GraphOp(0, "CONV_2D", (1, 88, 120, 16), True, True)


def test_good_graph_passes() -> None:
    (finding,) = judge_ops([GOOD, GOOD])
    assert finding.passed
    assert finding.subject == "2 ops"


def test_custom_and_undelegated_ops_fail_and_are_named() -> None:
    findings = judge_ops(
        [
            GOOD,
            GraphOp(1, "HARD_SWISH", (1, 88, 120, 16), True, False),
            GraphOp(2, "FlexErf", (1, 8, 8, 3), False, False),
        ]
    )
    assert [(f.subject, f.measured, f.passed) for f in findings] == [
        ("op 1 HARD_SWISH 1x88x120x16", "runs outside XNNPACK", False),
        ("op 2 FlexErf 1x8x8x3", "custom op", False),
    ]


@pytest.mark.parametrize(
    ("after", "passed"), [(0.9, True), (0.8941, True), (0.8939, False), (0.95, True), (math.nan, True)]
)
def test_a_class_may_lose_six_tenths_of_a_point(after: float, passed: bool) -> None:
    finding, _ = judge_loss({"road": 0.9}, {"road": after})
    assert finding.passed is passed


@pytest.mark.parametrize(("vehicle", "passed"), [(0.7995, True), (0.798, False)])
def test_the_mean_of_all_but_the_first_class_may_lose_three_tenths(vehicle: float, passed: bool) -> None:
    before = {"other": 0.9, "road": 0.9, "vehicle": 0.8, "person": 0.7}
    # What `other` gains does not count.
    *classes, mean = judge_loss(before, {"other": 0.95, "road": 0.896, "vehicle": vehicle, "person": 0.696})
    assert all(finding.passed for finding in classes)
    assert (mean.subject, mean.allowed, mean.passed) == ("mean", "at most 0.3 points", passed)


def test_the_mean_leaves_out_the_first_class_also_where_it_does_not_occur() -> None:
    before = {"other": math.nan, "road": 0.9, "vehicle": 0.8, "person": 0.7}
    # 0.55, 0.2 and 0.2 points: 0.32 in the mean.
    *_, mean = judge_loss(before, {"other": math.nan, "road": 0.8945, "vehicle": 0.798, "person": 0.698})
    assert (mean.subject, mean.measured, mean.passed) == ("mean", "-0.32 points", False)


def test_a_finding_says_on_which_data_it_was_made() -> None:
    assert [item.subject for item in judge_loss({"road": 0.9}, {"road": 0.9}, "camvid val")] == [
        "class road on camvid val",
        "mean on camvid val",
    ]


def test_absent_class_is_said_not_to_be_judged() -> None:
    road, person, _ = judge_loss({"road": 0.9, "person": math.nan}, {"road": 0.9, "person": math.nan})
    assert road.passed
    assert "not judged" in person.measured
    assert person.passed


def test_nothing_to_judge_does_not_pass() -> None:
    findings = judge_loss({"road": math.nan}, {"road": math.nan})
    assert not findings[-1].passed


def test_enforce_names_the_first_failure_and_counts_the_rest() -> None:
    findings = judge_loss({"road": 0.9, "vehicle": 0.8, "person": 0.7}, {"road": 0.9, "vehicle": 0.5, "person": 0.1})
    with pytest.raises(
        GateFailedError, match=r"model\.tflite: not written.*class vehicle: 0\.8000 -> 0\.5000.*2 more"
    ) as caught:
        enforce(findings, "model.tflite")
    assert caught.value.exit_code == 65
    assert caught.value.findings == tuple(findings)
    enforce(judge_ops([GOOD]), "model.tflite")


def test_table_marks_failures() -> None:
    console = Console(width=140, record=True, file=None, quiet=False)
    with console.capture() as capture:
        console.print(tabulate(judge_loss({"road": 0.9, "person": 0.7}, {"road": 0.9, "person": 0.6})))
    rows = capture.get().splitlines()
    assert any("ok" in row and "class road" in row for row in rows)
    assert any("FAIL" in row and "class person" in row and "-10.00 points" in row for row in rows)
