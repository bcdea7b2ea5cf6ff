from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edgeseg.classes import IGNORE_INDEX
from edgeseg.errors import InputNotFoundError, SinkUnavailableError, UsageError
from tests.scenes import COLORS
from tests.train.conftest import write_color_network, write_recipe
from train.__main__ import main
from train.config import DatasetEntry, load_recipe
from train.datasets import Dataset
from train.evaluate import Views
from train.network_file import TrainedNetwork, load_network
from train.pseudo_label import SURE, Conditions, agree, carry, label_clips, read_sure
from train.run_folder import RunFolder

ROAD, VEHICLE, PERSON = 1, 2, 3
#: The ghost that one frame alone shows.
GHOST = (slice(60, 80), slice(8, 24))


def draw_frame(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A street of 128x96 whose vehicle moves two pixels a frame; a person that is nowhere else in frame 4."""
    label = np.zeros((96, 128), np.uint8)
    label[48:] = ROAD
    label[36:60, 30 + 2 * number : 62 + 2 * number] = VEHICLE
    seen = label.copy()
    if number == 4:
        seen[GHOST] = PERSON
    texture = np.random.default_rng(0).normal(0, 6, (96, 128, 3))
    # What moves keeps its texture, as things do; otherwise no flow could be found.
    moving = np.roll(texture, 2 * number, axis=1)
    noise = np.where((label == VEHICLE)[..., None], moving, texture)
    return np.clip(COLORS[seen] + noise, 0, 255).astype(np.uint8), label


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "drive"
    folder.mkdir()
    for number in range(9):
        cv2.imwrite(str(folder / f"{number:03}.png"), draw_frame(number)[0])
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> TrainedNetwork:
    return load_network(write_color_network(tmp_path_factory.mktemp("teacher") / "run"))


def scores_of(ids: list[int], strength: float = 6.0) -> np.ndarray:
    return (np.eye(4, dtype=np.float32)[ids] * np.float32(strength))[None]


def test_one_dissenting_view_or_neighbour_is_enough() -> None:
    views = [scores_of([0, 1, 2, 3]), scores_of([0, 1, 3, 3])]
    same = np.array([[0, 1, 2, 3]], np.uint8)
    assert agree(views[:1], [], SURE).tolist() == [[0, 1, 2, 3]]
    assert agree(views, [same], SURE).tolist() == [[0, 1, IGNORE_INDEX, 3]]
    # A neighbour that does not show the place has no say; another one has.
    unseen, other = np.array([[IGNORE_INDEX, 1, 2, 3]], np.uint8), np.array([[0, 1, 2, 2]], np.uint8)
    assert agree(views[:1], [unseen, other], SURE).tolist() == [[0, 1, 2, IGNORE_INDEX]]
    unsure = [scores_of([0, 1, 2, 3], 2.0)]  # 71 % each
    assert agree(unsure, [], SURE).tolist() == [[IGNORE_INDEX] * 4]
    assert agree(unsure, [], (0.9, 0.72, 0.7, 0.5)).tolist() == [[IGNORE_INDEX, IGNORE_INDEX, VEHICLE, PERSON]]


def test_a_class_may_be_asked_for_less_than_the_others() -> None:
    assert read_sure([]) == SURE
    assert read_sure(["person=0.5", "0.8", "vehicle=0.7"]) == (0.8, 0.8, 0.7, 0.5)
    for wrong in ("much", "person=", "person", "=", "people=0.5", "person=a"):
        with pytest.raises(UsageError, match=f"--sure {wrong}: "):
            read_sure([wrong])


def test_classes_move_with_what_they_belong_to() -> None:
    (image, label), (other_image, other_label) = draw_frame(5), draw_frame(7)
    carried = carry(other_label, image, other_image)
    moved = label != other_label
    assert moved.mean() > 0.01
    assert (carried == label)[moved].mean() > 0.7
    assert (carried == label).mean() > 0.95


def label_with(
    drive: Path, teacher: TrainedNetwork, out: Path, **changes: Any
) -> tuple[dict[int, np.ndarray], Callable[[int], np.ndarray]]:
    label_clips([drive], teacher, out, Conditions(Views((1.0,), flip=True), **{"every": 2, **changes}))
    masks = {
        int(path.stem.removeprefix("drive_")): cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        for path in (out / "labels").iterdir()
    }
    return masks, lambda number: draw_frame(number)[1]


def test_what_is_labelled_is_right_and_a_ghost_is_ignored(drive: Path, teacher: TrainedNetwork, tmp_path: Path) -> None:
    masks, truth = label_with(drive, teacher, tmp_path / "out")
    assert sorted(masks) == [0, 2, 4, 6, 8]
    for number, mask in masks.items():
        known = mask != IGNORE_INDEX
        assert known.mean() > 0.6, number
        assert (mask == truth(number))[known].mean() > 0.99, number
        assert (mask == VEHICLE).sum() > 0.4 * (truth(number) == VEHICLE).sum()
    assert (masks[4][GHOST] == PERSON).sum() == 0

    alone, _ = label_with(drive, teacher, tmp_path / "alone", neighbours=False)
    assert (alone[4][GHOST] == PERSON).sum() > 100, "so it was the neighbours that did not believe in it"


def test_the_folder_is_a_dataset_and_says_where_it_comes_from(
    drive: Path, teacher: TrainedNetwork, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    label_with(drive, teacher, out, every=4)
    dataset = Dataset.open(DatasetEntry(name="pseudo", root=out, mapping="edgeseg"))
    assert [pair.stem for pair in dataset.pairs] == ["drive_000000", "drive_000004", "drive_000008"]
    image, _ = dataset.read(1)
    assert image.shape == (96, 128, 3)
    assert np.abs(image.astype(int) - draw_frame(4)[0]).mean() < 6
    note = json.loads((out / "pseudo.json").read_text())
    assert note["teacher"]["name"] == "edgeseg-colors"
    assert note["clips"] == ["drive"]
    assert note["pictures"] == {"seen": 3, "kept": 3}
    counted = np.zeros(256)
    for index in range(3):
        counted += np.bincount(dataset.read(index)[1].ravel(), minlength=256)
    assert note["shares"]["ignored"] == pytest.approx(counted[IGNORE_INDEX] / counted.sum(), abs=1e-4)


def test_a_kill_costs_one_picture(
    drive: Path, teacher: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command goes on; another one is refused, and so is a finished dataset."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    label_with(drive, teacher, whole)

    def stop(name: str, seen: int, kept: int) -> None:
        if seen == 3:
            raise KeyboardInterrupt

    conditions = Conditions(Views((1.0,), flip=True), every=2)
    with pytest.raises(KeyboardInterrupt):
        label_clips([drive], teacher, out, conditions, on_progress=stop)
    masks = sorted((out / "labels").iterdir())
    assert [path.stem for path in masks] == ["drive_000000", "drive_000002", "drive_000004"]
    # As a kill between a picture and its mask leaves it.
    masks[2].unlink()
    with pytest.raises(UsageError, match="out: holds what other clips, options or another teacher began"):
        label_clips([drive], teacher, out, Conditions(Views((1.0,), flip=True), every=4))
    looked: list[int] = []
    monkeypatch.setattr("train.pseudo_label.agree", lambda *given: looked.append(1) or agree(*given))
    label_clips([drive], teacher, out, conditions)
    assert len(looked) == 3
    assert {path.name: path.read_bytes() for path in out.rglob("*.*")} == {
        path.name: path.read_bytes() for path in whole.rglob("*.*")
    }
    with pytest.raises(UsageError, match="out: holds a finished dataset"):
        label_clips([drive], teacher, out, conditions)


def test_a_picture_of_which_little_is_sure_is_dropped(drive: Path, teacher: TrainedNetwork, tmp_path: Path) -> None:
    masks, _ = label_with(drive, teacher, tmp_path / "out", least=1.0)
    assert masks == {}
    assert json.loads((tmp_path / "out" / "pseudo.json").read_text())["pictures"] == {"seen": 5, "kept": 0}


def test_what_would_mix_things_up_is_refused(drive: Path, teacher: TrainedNetwork, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two clips are called drive"):
        label_clips([drive, drive.parent / "drive"], teacher, tmp_path / "out", Conditions())
    with pytest.raises(InputNotFoundError, match=r"none\.mp4: no such video"):
        label_clips([tmp_path / "none.mp4"], teacher, tmp_path / "out", Conditions())
    (tmp_path / "full" / "images").mkdir(parents=True)
    (tmp_path / "full" / "images" / "a.jpg").write_text("")
    with pytest.raises(UsageError, match="images: holds something already"):
        label_clips([drive], teacher, tmp_path / "full", Conditions())
    (tmp_path / "noted").mkdir()
    for foreign in ("[1]", "{"):
        (tmp_path / "noted" / "pseudo.json").write_text(foreign)
        with pytest.raises(UsageError, match=r"pseudo\.json: is no note of ours"):
            label_clips([drive], teacher, tmp_path / "noted", Conditions())
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkUnavailableError, match="file/x: cannot hold a dataset"):
        label_clips([drive], teacher, tmp_path / "file" / "x", Conditions())


def test_a_folder_called_a_number_is_no_camera(
    teacher: TrainedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As KITTI's drives are called."""
    (tmp_path / "0001").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / "0001" / f"{number}.png"), draw_frame(number)[0])
    monkeypatch.chdir(tmp_path)
    found = label_clips([Path("0001")], teacher, tmp_path / "out", Conditions(every=1))
    assert found.seen == 3


def test_the_command_prints_the_line_for_the_recipe(
    drive: Path, teacher: TrainedNetwork, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pseudo-label", str(drive), "--model", str(teacher.path.parent), "--out", str(tmp_path / "out")]
    assert main([*command, "--every", "8", "--scales", "1", "--no-flip"]) == 0
    printed = capsys.readouterr().out
    assert "2 of 2 pictures kept" in printed
    (entry,) = yaml.safe_load(printed.splitlines()[-1])
    assert DatasetEntry.model_validate(entry).root == tmp_path / "out"
    assert entry["licence"] == "labels made by edgeseg-colors (drawn by the test)"


def test_the_scores_of_a_run_are_scaled_on_its_validation_sets(
    drive: Path, teacher: TrainedNetwork, tmp_path: Path, recipe_fields: dict[str, Any]
) -> None:
    run = RunFolder.create(tmp_path / "run", load_recipe(write_recipe(tmp_path / "recipe.yaml", recipe_fields)))
    for name in ("best.keras", "card.json"):
        shutil.copy(teacher.path.with_name(name), run.path)
    command = ["pseudo-label", str(drive), "--model", str(run.path), "--every", "8", "--scales", "1", "--no-flip"]
    assert main([*command, "--out", str(tmp_path / "scaled")]) == 0
    assert main([*command, "--out", str(tmp_path / "not"), "--as-trained"]) == 0
    command[3] = str(run.best_file)
    assert main([*command, "--out", str(tmp_path / "file")]) == 0
    scaled, unscaled, file = (
        json.loads((tmp_path / name / "pseudo.json").read_text()) for name in ("scaled", "not", "file")
    )
    assert file == scaled
    assert (unscaled["teacher"]["temperature"], unscaled["teacher"]["offsets"]) == (1.0, [0.0] * 4)
    assert scaled["teacher"]["temperature"] != 1.0
    assert scaled["shares"]["ignored"] != unscaled["shares"]["ignored"]


def test_pictures_of_several_sizes_are_labelled_each_by_itself(tmp_path: Path, teacher: TrainedNetwork) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for number in range(5):
        picture = draw_frame(number)[0]
        cv2.imwrite(str(mixed / f"{number}.png"), picture if number % 2 else cv2.resize(picture, (192, 144)))
    found = label_clips([mixed], teacher, tmp_path / "out", Conditions(Views((1.0,)), every=1, least=0.1))
    assert found.seen == found.kept == 5
