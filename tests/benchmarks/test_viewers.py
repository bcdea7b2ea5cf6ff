"""benchmarks/viewers.py in short: few viewers of each kind, who see what they should, and a report that says so."""

from __future__ import annotations

from benchmarks.viewers import BAR, run_rounds


def test_viewers_of_every_kind_are_counted_and_a_run_goes_on() -> None:
    report = run_rounds(1, 1.0, (3, 1, 1))
    (turns,) = report["rounds"]
    assert [turns[turn]["viewers"] for turn in ("without", "with")] == [0, 5]
    assert turns["without"]["encoded_per_s"] == 0, "nothing is drawn for nobody"
    assert turns["with"]["encoded_per_s"] > 0
    assert turns["without"]["segmented_per_s"] > 0
    assert turns["with"]["segmented_per_s"] > 0
    quick, slow, stalled = turns["seen"]
    assert [it["ended"] for it in turns["seen"]] == [0, 0, 0]
    assert quick["pictures_per_s"] > slow["pictures_per_s"]
    assert 0 < slow["bytes_per_s"] < 15_000
    assert stalled["bytes_per_s"] == 0
    assert report["passed"] == (report["ratio"] >= BAR)
