"""benchmarks/fusion.py on a short drive, and on what is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.fusion import main
from edgeseg.segmenter import SMALL_BUNDLED_MODEL
from tests.scenes import write_streets


def test_it_prints_flicker_of_each_video_and_iou_with_and_without(
    bundled_clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    streets = write_streets(tmp_path / "streets", 3)
    command = ["--model", SMALL_BUNDLED_MODEL, "--video", bundled_clip, "--dataset", streets, "--mapping", "edgeseg"]
    assert main([str(word) for word in command]) == 0
    fusion, decision, flicker, without, fused = capsys.readouterr().out.splitlines()
    assert fusion.startswith("fusion ")
    assert decision.startswith("decide ")
    before, after = map(float, re.findall(r"([\d.]+)%", flicker))
    assert 0 < after < before / 2, flicker
    assert "mean of the foreground" in without
    assert fused.startswith("IoU with fusion")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--video", "none.mp4"], 66, "none.mp4: no such video"),
        (["--video", "README.md"], 65, "README.md: shows no two pictures to compare"),
        (["--model", "none.tflite"], 66, "none.tflite"),
        (["--dataset", "none", "--video", "{clip}"], 66, "none"),
    ],
)
def test_mistakes_get_one_line(
    bundled_clip: Path, arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format(clip=bundled_clip) for word in arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fusion: error: ")
    assert says in line
