"""`edgeseg eval` counts right, at the labels' resolution, and names what is broken in a data set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg import CLASSES, Segmenter
from edgeseg.errors import DataError, InputNotFoundError, ModelError
from edgeseg.evaluate import evaluate, evaluate_pairs, run
from edgeseg.labels import LabelMapping, find_pairs
from edgeseg.model_card import CardClass

#: BGR colours the tiny model reads, and the raw values CamVid writes.
GREY, GREEN, BLUE, RED = (60, 60, 60), (0, 255, 0), (255, 0, 0), (0, 0, 255)
SKY, ROAD, CAR, PEDESTRIAN, VOID = 0, 3, 8, 9, 11


def add(dataset: Path, stem: str, picture: np.ndarray, label: np.ndarray) -> None:
    for folder in ("images", "labels"):
        (dataset / folder).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(dataset / "images" / f"{stem}.png"), picture)
    cv2.imwrite(str(dataset / "labels" / f"{stem}.png"), label)


def add_plain(dataset: Path, stem: str, colour: tuple[int, int, int], value: int) -> None:
    add(dataset, stem, np.full((120, 160, 3), colour, np.uint8), np.full((120, 160), value, np.uint8))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """One road and one vehicle seen right, one person taken for a vehicle, one picture under ignore."""
    folder = tmp_path / "Prüfung 1"
    add_plain(folder, "a", GREEN, ROAD)
    add_plain(folder, "b", BLUE, CAR)
    add_plain(folder, "c", BLUE, PEDESTRIAN)
    add_plain(folder, "d", RED, VOID)
    return folder


def test_the_figures_are_those_counted_by_hand(dataset: Path, tiny_model: Path) -> None:
    seen: list[tuple[int, int]] = []
    with Segmenter(tiny_model) as segmenter:
        result = evaluate(
            dataset, LabelMapping.load("camvid"), segmenter, lambda done, total: seen.append((done, total))
        )
    figures = result.as_json()
    assert figures["iou"] == {"other": None, "road": 1.0, "vehicle": 0.5, "person": 0.0}
    assert figures["mean_iou"] == figures["mean_iou_foreground"] == 0.5
    assert figures["pixel_accuracy"] == pytest.approx(2 / 3)
    assert figures["images"] == 4
    assert np.sum(figures["confusion"]["pixels"]) == 3 * 120 * 160
    assert figures["confusion"]["pixels"][3][2] == 120 * 160
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    card = result.metrics()
    assert card.iou["person"] == 0.0
    assert card.iou["other"] is None
    assert card.pixel_accuracy == 0.6667


def test_the_command_prints_json_or_a_table(
    dataset: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = tmp_path / "mine.yaml"
    mapping.write_text("name: mine\nvalues: {road: [3], vehicle: [8], person: [9], ignore: [11]}\n")
    run(dataset, mapping, tiny_model, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["mapping"] == "mine"
    assert printed["iou"]["vehicle"] == 0.5
    run(dataset, "camvid", tiny_model)
    table = capsys.readouterr().out
    for word in ("road", "100.00", "vehicle", "50.00", "mean of all", "66.67"):
        assert word in table


def test_scores_are_enlarged_before_the_best_class_is_taken(tmp_path: Path, tiny_model: Path) -> None:
    """A slanted edge: between the cells it is drawn finer than the cells are."""
    rows, columns = np.mgrid[:480, :640]
    below = rows > 100 + columns * 0.4
    picture = np.where(below[..., None], GREEN, BLUE).astype(np.uint8)
    label = np.where(below, ROAD, CAR).astype(np.uint8)
    add(tmp_path, "slant", picture, label)
    mapping = LabelMapping.load("camvid")
    with Segmenter(tiny_model) as segmenter:
        fine = evaluate(tmp_path, mapping, segmenter)
        pairs = find_pairs(tmp_path / "images", tmp_path / "labels", mapping)
        coarse = evaluate_pairs(
            pairs, mapping, lambda image: segmenter.logits(image).repeat(30, axis=0).repeat(27, axis=1)[:, 4:644]
        )
    assert fine.mean_iou > 0.985
    assert fine.mean_iou > coarse.mean_iou() + 0.005


def test_a_broken_pair_ends_it_and_is_named(dataset: Path, tiny_model: Path) -> None:
    with Segmenter(tiny_model) as segmenter:
        cv2.imwrite(str(dataset / "labels" / "b.png"), np.full((60, 80), CAR, np.uint8))
        with pytest.raises(DataError, match=r"b\.png: the mask is 80x60"):
            evaluate(dataset, LabelMapping.load("camvid"), segmenter)
        (dataset / "labels" / "b.png").unlink()
        with pytest.raises(DataError, match=r"b\.png: has no mask"):
            evaluate(dataset, LabelMapping.load("camvid"), segmenter)
        with pytest.raises(InputNotFoundError, match=r"nowhere.images: no such folder"):
            evaluate(dataset / "nowhere", LabelMapping.load("camvid"), segmenter)


def test_a_data_set_under_ignore_gives_no_figures(tmp_path: Path, tiny_model: Path) -> None:
    add_plain(tmp_path, "void", GREEN, VOID)
    with Segmenter(tiny_model) as segmenter, pytest.raises(DataError, match="ignores every pixel"):
        evaluate(tmp_path, LabelMapping.load("camvid"), segmenter)


def test_a_model_with_other_classes_cannot_be_evaluated(
    dataset: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    classes = tuple(CardClass.of(item) for item in (CLASSES[0], CLASSES[1], CLASSES[3], CLASSES[2]))
    path = make_model(tmp_path / "swapped.tflite", classes=classes)
    with Segmenter(path) as segmenter, pytest.raises(ModelError, match="scores other, road, person, vehicle, but"):
        evaluate(dataset, LabelMapping.load("camvid"), segmenter)
