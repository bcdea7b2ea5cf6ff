"""MaskSink: PNGs that are labels as they stand, at frame size, with smooth outlines."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.frame import Frame, Segmentation
from edgeseg.labels import LabelMapping
from edgeseg.sinks.masks import MaskSink, enlarge_classes
from tests.edgeseg.results import list_names, make_drive, make_result, write_all


def _read(path: Path) -> np.ndarray:
    mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    return mask


def test_one_label_a_frame_named_by_its_index(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    write_all(MaskSink(folder), make_drive(3, width=320, height=180))
    assert list_names(folder) == ["000000.png", "000001.png", "000002.png"]
    mask = _read(folder / "000001.png")
    assert (mask.shape, mask.dtype) == ((180, 320), np.uint8)
    assert set(np.unique(mask)) == {0, 1, 2, 3}


def test_the_mapping_edgeseg_reads_it_as_a_label(tmp_path: Path) -> None:
    result = make_result(3)
    write_all(MaskSink(tmp_path), [result])
    label = LabelMapping.load("edgeseg").apply(_read(tmp_path / "000003.png"), "mask")
    assert np.array_equal(label, enlarge_classes(result.segmentation))


def test_cells_keep_their_class_in_their_middle() -> None:
    """Whatever the factor, the pixel in the middle of a cell has the class that the cell has."""
    rng = np.random.default_rng(3)
    classes = rng.integers(0, 4, (11, 15), dtype=np.uint8)
    picture = np.zeros((11 * 9, 15 * 7, 3), np.uint8)
    segmentation = Segmentation(Frame(picture, 0, 0, "noise"), classes, np.full_like(classes, 180))
    assert np.array_equal(enlarge_classes(segmentation)[4::9, 3::7], classes)


def test_outlines_are_smooth_where_repeated_cells_would_be_stairs() -> None:
    height, width, factor = 60, 80, 8
    rows, columns = np.mgrid[0 : height * factor, 0 : width * factor]
    truth = ((columns - width * 4) ** 2 + (rows - height * 4) ** 2 < 180**2).astype(np.uint8)
    cells = cv2.resize(truth * 255, (width, height), interpolation=cv2.INTER_AREA)
    classes = (cells > 127).astype(np.uint8)
    confidence = np.maximum(cells, 255 - cells)
    picture = np.zeros((*truth.shape, 3), np.uint8)
    smooth = enlarge_classes(Segmentation(Frame(picture, 0, 0, "disc"), classes, confidence))
    stairs = cv2.resize(classes, truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    assert (smooth != truth).sum() < 0.6 * (stairs != truth).sum()


def test_a_picture_without_any_certainty_keeps_its_classes() -> None:
    classes = np.array([[1, 2]], np.uint8)
    segmentation = Segmentation(Frame(np.zeros((2, 4, 3), np.uint8), 0, 0, "dim"), classes, np.zeros_like(classes))
    assert enlarge_classes(segmentation).tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkUnavailableError, match="masks: cannot be written: "), MaskSink(tmp_path / "file" / "masks"):
        pass


def test_a_full_disk_leaves_no_half_mask(small_disk: Path) -> None:
    folder = small_disk / "masks"
    (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 128 * 1024))
    with pytest.raises(SinkUnavailableError, match=r"\d\.png: writing stopped: no space left") as caught:
        write_all(MaskSink(folder), make_drive(300, width=1280, height=720))
    assert "\n" not in str(caught.value)
    masks = sorted(folder.iterdir())
    assert len(masks) > 10
    assert _read(masks[-1]).shape == (720, 1280)
