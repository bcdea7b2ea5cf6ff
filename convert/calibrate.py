"""The pictures that teach the converter which values flow through the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.labels import read_image
from edgeseg.preprocess import FitMode, normalise_float, to_input
from edgeseg.sources import PICTURE_SUFFIXES

#: More pictures no longer move the ranges of a trained network, and every one of them costs a float inference.
SAMPLE_COUNT = 200


def choose_images(folders: Sequence[Path], count: int = SAMPLE_COUNT) -> list[Path]:
    """Picks up to `count` pictures, the same number from each folder as far as it has them, spread evenly over it.

    A folder that holds `images/` is a dataset and stands for that folder. Neighbouring files are mostly neighbouring
    frames of a drive, so an even spread sees more than the first ones would. Raises InputNotFoundError for a folder
    that is not there and DataError for one without pictures.
    """
    return spread([list_images(folder) for folder in folders], count)


def spread(sets: Sequence[Sequence[Path]], count: int = SAMPLE_COUNT) -> list[Path]:
    """Picks up to `count` pictures, the same number from each set as far as it has them, spread evenly over it."""
    chosen: list[Path] = []
    for place, images in enumerate(sets):
        share = (count - len(chosen)) // (len(sets) - place)
        step = max(1.0, len(images) / max(share, 1))
        chosen += [images[int(index * step)] for index in range(min(share, len(images)))]
    return chosen


def list_images(folder: Path) -> list[Path]:
    """All pictures of a folder, or of its images/. Raises as choose_images() does."""
    if not folder.is_dir():
        raise InputNotFoundError(f"{folder}: no such folder of calibration images; give one with --calibration DIR")
    images = folder / "images" if (folder / "images").is_dir() else folder
    found = sorted(path for path in images.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    if not found:
        raise DataError(f"{images}: holds no image to calibrate on ({', '.join(PICTURE_SUFFIXES)})")
    return found


def iterate_samples(images: Sequence[Path], input_hw: tuple[int, int], fit: FitMode) -> Iterator[NDArray[np.float32]]:
    """Yields each picture as the device would see it, float32 (1, h, w, 3) with x = (pixel - 128) / 128.

    Every sample carries both ends of the pixel range in its first row, so that the converter finds exactly
    [-1, 127/128] for the input and quantises it with scale 1/128 and zero point 0, whatever the pictures show.
    """
    for path in images:
        rgb = to_input(read_image(path), input_hw, fit)
        rgb[0, 0], rgb[0, 1] = 0, 255
        yield normalise_float(rgb)[np.newaxis]
