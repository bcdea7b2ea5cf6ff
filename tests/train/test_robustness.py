from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, SinkUnavailableError, UsageError
from edgeseg.evaluate import evaluate
from edgeseg.iou import ConfusionMatrix
from edgeseg.labels import LabelMapping
from edgeseg.model_card import CardClass, append_card, read_card
from edgeseg.segmenter import Segmenter
from tests.scenes import write_streets
from tests.train.conftest import write_recipe
from train.__main__ import main
from train.config import DatasetEntry
from train.corruptions import CORRUPTIONS, STRENGTHS
from train.datasets import Dataset
from train.robustness import Robustness, list_variants, measure, write_tables


def open_set(root: Path) -> Dataset:
    return Dataset.open(DatasetEntry(name="streets", root=root, mapping="edgeseg"))


def matrix_of(hit: int, missed: int) -> ConfusionMatrix:
    """`hit` pixels of each class right, `missed` road pixels taken for other."""
    matrix = ConfusionMatrix()
    np.fill_diagonal(matrix.counts, hit)
    matrix.counts[1, 0] = missed
    return matrix


@pytest.fixture
def known() -> Robustness:
    """Road on `a`: clean .9, every corruption .6, fog at medium strength .3; on `b` nothing is lost."""
    matrices: dict[Any, ConfusionMatrix] = dict.fromkeys(list_variants(), matrix_of(6, 4))
    matrices[None] = matrix_of(9, 1)
    matrices["fog", "medium"] = matrix_of(3, 7)
    unhurt = dict.fromkeys(list_variants(), matrix_of(9, 1))
    return Robustness("m.tflite", {"b": unhurt, "a": matrices}, {"b": 3, "a": 7})


def test_drops_are_parts_of_the_clean_mean(known: Robustness) -> None:
    assert len(list_variants()) == 1 + len(CORRUPTIONS) * len(STRENGTHS) == 19
    assert known.mean("a", None) == pytest.approx((0.9 + 1 + 1) / 3)
    assert known.drop("a", ("fog", "medium")) == pytest.approx((2.9 - 2.3) / 2.9)
    assert known.drop("a", ("jpeg", "strong")) == pytest.approx((2.9 - 2.6) / 2.9)
    assert known.drop("b", ("fog", "medium")) == 0


def test_what_one_data_set_takes_well_does_not_hide_what_another_loses(known: Robustness) -> None:
    # In the mean of both it would be 10.3 %.
    assert known.verdict() == "worst at medium strength: fog on a 20.7 %, above the bar of 12 %"
    well = Robustness("m.tflite", {"b": known.matrices["b"]}, {"b": 3})
    assert well.verdict().endswith("on b 0.0 %, within the bar of 12 %")


def test_both_tables_say_the_same(known: Robustness, tmp_path: Path) -> None:
    markdown, other = write_tables(known, tmp_path / "deep" / "er")
    text, answer = markdown.read_text(), json.loads(other.read_text())
    of_b, of_a = text.split("b, 3 pictures:")[1].split("a, 7 pictures:")
    assert "| none |  | 90.0 | 100.0 | 100.0 | 96.7 |  |" in of_a
    assert "| fog | medium | 30.0 | 100.0 | 100.0 | 76.7 | 20.7 |" in of_a
    assert "| fog | medium | 90.0 | 100.0 | 100.0 | 96.7 | 0.0 |" in of_b
    assert "Worst at medium strength: fog on a 20.7 %" in text
    said = answer["sets"]["a"]
    assert said["pictures"] == 7
    assert said["clean"]["iou"]["road"] == pytest.approx(0.9)
    (row,) = [item for item in said["corrupted"] if (item["kind"], item["strength"]) == ("fog", "medium")]
    assert row["drop"] == pytest.approx(0.2069, abs=1e-4)
    assert row["iou"]["road"] == pytest.approx(0.3)
    (tmp_path / "file").write_text("")
    (tmp_path / "full" / "robustness.md").mkdir(parents=True)
    for name, says in (("file/x", "file/x: "), ("full", "full: cannot hold the tables")):
        with pytest.raises(SinkUnavailableError, match=says):
            write_tables(known, tmp_path / name)


def test_the_clean_row_is_what_evaluation_says_and_noise_costs(streets: Path, street_model: Path) -> None:
    told: list[tuple[int, int]] = []
    with Segmenter(street_model) as segmenter:
        found = measure(segmenter, [open_set(streets)], on_progress=lambda *place: told.append(place))
        plain = evaluate(streets, LabelMapping.load("edgeseg"), segmenter)
        few = measure(segmenter, [open_set(streets)], limit=1)
        again = measure(segmenter, [open_set(streets)], limit=1)
    assert told == [(place, 12) for place in range(1, 13)]
    clean = found.matrices["streets"][None]
    np.testing.assert_array_equal(clean.counts, plain.confusion.counts)
    assert all(matrix.counts.sum() == clean.counts.sum() for matrix in found.matrices["streets"].values())
    # It goes by colours, and lost detail does not change these.
    assert found.drop("streets", ("low_light", "medium")) > 0.3
    assert found.drop("streets", ("jpeg", "weak")) < 0.1
    assert few.pictures == {"streets": 1}
    for variant, matrix in few.matrices["streets"].items():
        np.testing.assert_array_equal(matrix.counts, again.matrices["streets"][variant].counts)


def test_what_cannot_be_compared_is_refused(streets: Path, street_model: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.tflite"
    foreign.write_bytes(street_model.read_bytes())
    names = ("sky", "road", "vehicle", "person")
    classes = tuple(CardClass(name=name, color="#123456") for name in names)
    append_card(foreign, read_card(foreign).model_copy(update={"classes": classes}))
    with Segmenter(foreign) as segmenter, pytest.raises(UsageError, match="scores sky"):
        measure(segmenter, [open_set(streets)])

    empty = write_streets(tmp_path / "empty", 1, (48, 64))
    cv2.imwrite(str(empty / "labels" / "drive0_000.png"), np.full((48, 64), 255, np.uint8))
    with (
        Segmenter(street_model) as segmenter,
        pytest.raises(DataError, match="finds nothing on the clean pictures of streets"),
    ):
        measure(segmenter, [open_set(empty)])


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_measured(
    tmp_path: Path,
    street_model: Path,
    recipe_fields: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("train.robustness.measure", lambda *_: 1 // 0)
    (tmp_path / "file").write_text("")
    recipe = write_recipe(tmp_path / "recipe.yaml", recipe_fields)
    command = ["robustness", str(recipe), "--model", str(street_model), "--out", str(tmp_path / "file" / "x")]
    assert main(command) == 69
    assert f"{tmp_path / 'file' / 'x'}: " in capsys.readouterr().err


def test_the_command_writes_and_prints(
    tmp_path: Path, street_model: Path, recipe_fields: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path / "recipe.yaml", recipe_fields)
    command = ["robustness", str(recipe), "--model", str(street_model), "--out", str(tmp_path / "out")]
    assert main([*command, "--pictures", "1"]) == 0
    printed = capsys.readouterr().out
    assert "rain_drops" in printed
    assert "worst at medium strength" in printed
    assert printed.splitlines()[-2:] == [str(tmp_path / "out" / f"robustness.{kind}") for kind in ("md", "json")]
    assert json.loads((tmp_path / "out" / "robustness.json").read_text())["sets"]["streets"]["pictures"] == 1
