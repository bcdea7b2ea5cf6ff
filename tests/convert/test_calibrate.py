from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.calibrate import choose_images, iterate_samples
from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.preprocess import normalise_float, to_input


def _fill(folder: Path, count: int, shade: int = 100, hw: tuple[int, int] = (48, 64)) -> Path:
    folder.mkdir(parents=True)
    for index in range(count):
        cv2.imwrite(str(folder / f"{index:03}.png"), np.full((*hw, 3), shade, np.uint8))
    return folder


def test_takes_evenly_from_every_folder(tmp_path: Path) -> None:
    first, second = _fill(tmp_path / "a", 10), _fill(tmp_path / "b" / "images", 40)
    chosen = choose_images([first, second.parent], count=8)
    assert [path.name for path in chosen if path.parent == first] == ["000.png", "002.png", "005.png", "007.png"]
    assert [path.name for path in chosen if path.parent == second] == ["000.png", "010.png", "020.png", "030.png"]


def test_a_large_folder_makes_up_for_a_small_one(tmp_path: Path) -> None:
    small, large = _fill(tmp_path / "small", 2), _fill(tmp_path / "large", 20)
    chosen = choose_images([small, large], count=10)
    assert len(chosen) == len(set(chosen)) == 10
    assert sum(path.parent == small for path in chosen) == 2


def test_fewer_images_than_asked_are_all_taken_once(tmp_path: Path) -> None:
    chosen = choose_images([_fill(tmp_path / "a", 3)], count=200)
    assert [path.name for path in chosen] == ["000.png", "001.png", "002.png"]


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="nowhere: no such folder"):
        choose_images([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no image"):
        choose_images([tmp_path / "empty"])


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_samples_are_the_devices_own_input(tmp_path: Path, fit: str) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    image = np.random.default_rng(3).integers(50, 200, (90, 160, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "a.png"), image)
    (sample,) = iterate_samples(choose_images([folder]), (64, 96), fit)  # type: ignore[arg-type]
    assert sample.dtype == np.float32
    assert sample.shape == (1, 64, 96, 3)
    expected = normalise_float(to_input(image, (64, 96), fit))  # type: ignore[arg-type]
    np.testing.assert_array_equal(sample[0, 1:], expected[1:])
    np.testing.assert_array_equal(sample[0, 0, 2:], expected[0, 2:])


def test_samples_span_the_whole_input_range_whatever_they_show(tmp_path: Path) -> None:
    (sample,) = iterate_samples(choose_images([_fill(tmp_path / "a", 1, shade=128)]), (32, 32), "stretch")
    assert sample.min() == -1.0
    assert sample.max() == 127 / 128


def test_unreadable_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"broken\.jpg"):
        list(iterate_samples([tmp_path / "broken.jpg"], (32, 32), "stretch"))
