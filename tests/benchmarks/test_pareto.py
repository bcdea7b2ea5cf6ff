"""The picture of IoU against time: what counts as the front, what others' figures are read from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import pytest

from benchmarks.pareto import Point, draw, front, main, read_peer, read_references
from benchmarks.yardstick import NAME
from edgeseg.errors import DataError


def _point(name: str, mean_iou: float, times: float, ours: bool = True) -> Point:
    return Point(name, mean_iou, times, "camvid/val", ours)


def test_the_front_holds_what_no_other_beats_in_both() -> None:
    slow_and_bad, fast, good, equal = _point("a", 0.7, 5), _point("b", 0.6, 1), _point("c", 0.8, 2), _point("d", 0.8, 3)
    assert front([slow_and_bad, fast, good, equal]) == [fast, good]


def test_a_peer_is_read_as_it_was_written_and_may_be_renamed(tmp_path: Path) -> None:
    path = tmp_path / "peer.json"
    peer = {"model": "other.onnx", "mean_iou_foreground": 0.61, "dataset": "/some/where/camvid/val"}
    path.write_text(
        json.dumps({"peer": peer, "threads": 1, "timings": {"nano": {"ratio": 9.0}, NAME: {"ratio": 17.8}}})
    )
    assert read_peer(str(path)) == Point("other.onnx", 0.61, 17.8, "camvid/val")
    assert read_peer(f"Other, INT8={path}").name == "Other, INT8"


TIMED = f'"timings": {{"{NAME}": {{"ratio": 2}}}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"peer": {"model": "x"}, "threads": 1, "timings": {"nano": {"ratio": 2}}}',
        f'{{"peer": {{"model": "x", "mean_iou_foreground": null, "dataset": "d"}}, "threads": 1, {TIMED}}}',
        f'{{"peer": {{"model": "x", "mean_iou_foreground": 0.5, "dataset": "d"}}, "threads": 4, {TIMED}}}',
    ],
)
def test_another_file_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"wrong\.json: not what"):
        read_peer(str(path))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--rounds", "3"], "at least 10 rounds"),
        (["--out", "no-such-folder/x.png"], "--out no-such-folder/x.png"),
        (["--out", "x.json"], "--out x.json"),
        (["--mapping", "no-such"], "no-such"),
        ([], "none/images"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(
    wrong: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.pareto.build_apart", lambda path: pytest.fail("has begun"))
    monkeypatch.setattr(sys, "argv", ["pareto", "--dataset", "none", "--mapping", "camvid", *wrong])
    assert main() in (2, 66)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("pareto: error: ")
    assert says in line


def test_a_model_that_is_not_there_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(b"not looked into")
    monkeypatch.setattr("benchmarks.pareto.build_apart", lambda path: pytest.fail("has begun"))
    command = ["pareto", "--dataset", str(tmp_path), "--mapping", "edgeseg", "--model", "none.tflite"]
    monkeypatch.setattr(sys, "argv", command)
    assert main() == 66
    assert "none.tflite" in capsys.readouterr().err


def test_every_point_is_drawn_inside_the_picture(tmp_path: Path) -> None:
    references = read_references()
    assert len(references) >= 5
    assert all(0.5 < item.mean_iou < 1 and item.times_yardstick > 1 for item in references)
    ours = [_point("nano", 0.85, 1.3), _point("tiny", 0.5, 0.1), _point("huge", 0.95, 900)]
    more = [Point(f"set {index}", 0.6, 3, f"set {index}") for index in range(9)]  # more sets than there are markers
    axes = draw([*references, *ours, *more], tmp_path / "all.png")
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    drawn = {tuple(place) for dots in axes.collections for place in dots.get_offsets().tolist()}
    for point in [*references, *ours, *more]:
        place = (point.times_yardstick, 100 * point.mean_iou)
        assert place in drawn
        assert left < place[0] < right
        assert low < place[1] < high
    picture = cv2.imread(str(tmp_path / "all.png"))
    assert picture is not None
    assert picture.shape[1] > 800
