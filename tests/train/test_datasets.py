from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.splits import GroupSplit
from tests.scenes import write_streets
from tests.train.conftest import write_recipe
from train.config import DatasetEntry, Recipe, load_recipe
from train.datasets import BatchLoader, Dataset, Mixer, count_classes, find_shared, inspect_dataset

DRIVES = r"^(drive\d)_"


def entry(root: Path, name: str = "streets", **fields: Any) -> DatasetEntry:
    return DatasetEntry(name=name, root=root, mapping="edgeseg", **fields)


def recipe_of(tmp_path: Path, fields: dict[str, Any]) -> Recipe:
    return load_recipe(write_recipe(tmp_path / "recipe.yaml", fields))


def test_a_split_never_parts_a_drive(streets: Path) -> None:
    sides = {
        part: Dataset.open(entry(streets, split=GroupSplit(group=DRIVES, every=3, part=part)))
        for part in ("kept", "held_out")
    }
    drives = {part: {pair.stem.split("_")[0] for pair in side.pairs} for part, side in sides.items()}
    assert drives == {"kept": {"drive1", "drive2"}, "held_out": {"drive0"}}
    assert sum(len(side.pairs) for side in sides.values()) == 12


def test_a_split_that_matches_nothing_names_the_file(streets: Path) -> None:
    with pytest.raises(DataError, match=r"drive0_000\.jpg: its name does not match"):
        Dataset.open(entry(streets, split=GroupSplit(group=r"^(city\d)", every=2, part="kept")))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="images"):
        Dataset.open(entry(tmp_path / "nothing"))


def test_inspection_finds_every_kind_of_broken_pair(tmp_path: Path) -> None:
    root = write_streets(tmp_path / "streets", 6)
    (root / "labels" / "drive0_000.png").unlink()
    (root / "images" / "drive1_001.jpg").write_bytes(b"no picture")
    cv2.imwrite(str(root / "labels" / "drive2_002.png"), np.zeros((10, 10), np.uint8))
    cv2.imwrite(str(root / "labels" / "drive0_003.png"), np.full((96, 128), 77, np.uint8))
    found = inspect_dataset(entry(root))
    text = "\n".join(found.problems)
    assert len(found.problems) == 4
    assert "drive0_000.jpg: has no mask" in text
    assert "drive1_001.jpg: not a readable picture" in text
    assert "drive2_002.png: the mask is 10x10" in text
    assert "drive0_003.png: 12288 pixels hold value 77" in text


def test_inspection_goes_on_after_a_wrong_split_or_mapping(tmp_path: Path) -> None:
    root = write_streets(tmp_path / "streets", 3)
    (root / "labels" / "drive0_000.png").unlink()
    found = inspect_dataset(entry(root, split=GroupSplit(group=r"^(city\d)", every=2, part="kept")))
    assert [text.split(": ")[1] for text in found.problems] == [
        f"has no mask {root / 'labels' / 'drive0_000.png'}",
        "its name does not match the split's group '^(city\\d)'",
    ]
    wrong = DatasetEntry(name="a", root=root, mapping="no-such-mapping")
    assert "no-such-mapping" in inspect_dataset(wrong).problems[0]


def test_inspection_counts_what_is_there(streets: Path) -> None:
    found = inspect_dataset(entry(streets))
    assert len(found.pairs) == 12
    assert found.problems == ()
    assert sum(found.shares) == pytest.approx(1.0)
    expected = np.zeros(4)
    for path in (streets / "labels").iterdir():
        expected += np.bincount(cv2.imread(str(path), cv2.IMREAD_UNCHANGED).ravel(), minlength=4)
    assert found.class_pixels.tolist() == expected.tolist()
    assert count_classes([Dataset.open(entry(streets))]) == pytest.approx(found.shares)


def test_pictures_in_training_and_in_validation_are_found_wherever_links_lead(streets: Path, tmp_path: Path) -> None:
    def side(name: str, root: Path, every: int, part: Any) -> Dataset:
        return Dataset.open(entry(root, split=GroupSplit(group=DRIVES, every=every, part=part), name=name))

    (tmp_path / "linked").symlink_to(streets)
    kept, held_out = side("kept", streets, 3, "kept"), side("held out", tmp_path / "linked", 3, "held_out")
    assert list(find_shared([kept], [held_out])) == []
    # Of three drives every second one: the first, which is held out there too, and the last, which is not.
    other = side("other", tmp_path / "linked", 2, "held_out")
    shared = "share pictures: 4, the first {}; scores on them flatter, so keep them apart by folder or by one `split`"
    assert list(find_shared([kept, held_out], [other, held_out])) == [
        f"validation 'other' and training 'kept' {shared.format(streets / 'images' / 'drive2_002.jpg')}",
        f"validation 'other' and training 'held out' {shared.format(streets / 'images' / 'drive0_000.jpg')}",
        f"validation 'held out' and training 'held out' {shared.format(streets / 'images' / 'drive0_000.jpg')}",
    ]
    # One by one, as in a folder of chosen pictures.
    for name in ("images", "labels"):
        (tmp_path / "chosen" / name).mkdir(parents=True)
        (picture,) = (streets / name).glob("drive1_001.*")
        (tmp_path / "chosen" / name / picture.name).symlink_to(picture)
    (line,) = find_shared([Dataset.open(entry(streets))], [inspect_dataset(entry(tmp_path / "chosen"))])
    assert "share pictures: 1, the first" in line


def test_a_batch_depends_on_seed_epoch_and_step_alone(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    recipe = recipe_of(tmp_path, recipe_fields)
    mixer = Mixer(recipe)
    first = mixer.batch(0, 0)
    mixer.batch(3, 1)
    again = Mixer(recipe).batch(0, 0)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[0].shape == (2, 64, 96, 3)
    assert first[1].shape == (2, 32, 48)
    for other in (mixer.batch(0, 1), mixer.batch(1, 0), Mixer(recipe.model_copy(update={"seed": 1})).batch(0, 0)):
        assert not np.array_equal(first[0], other[0])


def test_a_data_set_that_was_squeezed_is_stretched(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    plain = recipe_of(tmp_path, recipe_fields)
    recipe_fields["datasets"] = [{**recipe_fields["datasets"][0], "stretch": 2.0}]
    stretched = recipe_of(tmp_path, recipe_fields)
    assert not np.array_equal(Mixer(plain).batch(0, 0)[0], Mixer(stretched).batch(0, 0)[0])


def test_corruptions_are_of_the_crop_or_of_the_picture_as_the_camera_took_it(
    tmp_path: Path, recipe_fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    suffered: list[tuple[int, ...]] = []

    def whiten(image: np.ndarray, strengths: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
        suffered.append(image.shape)
        return np.full_like(image, 255)

    monkeypatch.setattr("train.augment.corrupt_randomly", whiten)
    recipe_fields["augmentation"] = {"scale": [2.0, 2.0], "color_p": 0, "corruption_p": 1}
    for whole, shape in ((False, (64, 96, 3)), (True, (96, 128, 3))):
        recipe_fields["augmentation"]["corrupt_whole"] = whole
        images, masks = Mixer(recipe_of(tmp_path, recipe_fields)).batch(0, 0)
        assert suffered == [shape] * 2
        assert (images == 255).all()
        assert len(np.unique(masks)) > 1
        suffered.clear()


def test_weights_decide_how_often_a_data_set_is_drawn(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    dark = tmp_path / "dark"
    for name in ("images", "labels"):
        (dark / name).mkdir(parents=True)
        cv2.imwrite(str(dark / name / "a.png"), np.zeros((64, 96, *((3,) if name == "images" else ())), np.uint8))
    recipe_fields["datasets"] = [
        {**recipe_fields["datasets"][0], "weight": 1.0},
        {"name": "dark", "root": str(dark), "mapping": "edgeseg", "weight": 3.0},
    ]
    recipe_fields["augmentation"] = {"color_p": 0, "haze_p": 0, "rain_p": 0, "noise_p": 0, "low_light_p": 0}
    mixer = Mixer(recipe_of(tmp_path, recipe_fields))
    masks = np.concatenate([mixer.batch(0, step)[1] for step in range(60)])
    dark_share = np.mean([(mask[mask != 255] == 0).all() for mask in masks])
    assert 0.62 < dark_share < 0.88


def test_workers_give_the_same_batches_in_order(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    recipe = recipe_of(tmp_path, {**recipe_fields, "workers": 2, "steps_per_epoch": 5})
    mixer = Mixer(recipe)
    with BatchLoader(recipe) as loader:
        batches = list(loader.epoch(1))
    assert len(batches) == 5
    for step, (images, labels) in enumerate(batches):
        expected = mixer.batch(1, step)
        assert np.array_equal(images, expected[0])
        assert np.array_equal(labels, expected[1])


def test_a_broken_picture_in_a_worker_is_named(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    root = write_streets(tmp_path / "streets", 1)
    (root / "images" / "drive0_000.jpg").write_bytes(b"no picture")
    recipe_fields["datasets"] = [{"name": "a", "root": str(root), "mapping": "edgeseg"}]
    with (
        BatchLoader(recipe_of(tmp_path, recipe_fields)) as loader,
        pytest.raises(DataError, match=r"drive0_000\.jpg: not a readable picture"),
    ):
        next(loader.epoch(0))
