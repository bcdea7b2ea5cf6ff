"""Labelled pictures on their way into the network: which ones, varied how, batched by worker processes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import CLASS_NAMES, IGNORE_INDEX
from edgeseg.errors import EdgesegError
from edgeseg.labels import LabelMapping, Pair, find_pairs, read_pair, scan_pairs
from edgeseg.splits import select_pairs
from train.augment import OUTSIDE_INDEX, corrupt_whole, random_look, random_view
from train.config import DatasetEntry, Recipe

#: The stride at which labels meet scores: half the picture's size keeps small people, at a quarter of the cost.
LABEL_STRIDE = 2

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@dataclass(frozen=True)
class Dataset:
    """The pairs of one entry of a recipe, and the mapping that reads them."""

    entry: DatasetEntry
    mapping: LabelMapping
    pairs: tuple[Pair, ...]

    @classmethod
    def open(cls, entry: DatasetEntry) -> Dataset:
        """Finds the pairs. Raises DataError or InputNotFoundError that name what is missing."""
        mapping = LabelMapping.load(entry.mapping)
        pairs = find_pairs(entry.root / "images", entry.root / "labels", mapping)
        return cls(entry, mapping, tuple(select_pairs(pairs, entry.split)))

    def read(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """One picture (H, W, 3) uint8 BGR and its classes (H, W) uint8."""
        return read_pair(self.pairs[index], self.mapping)


@dataclass(frozen=True)
class Inspection:
    """What `check` found in one data set: pixels per class, ignored pixels, and one line for each broken pair."""

    entry: DatasetEntry
    pairs: tuple[Pair, ...]
    class_pixels: NDArray[np.int64]
    ignored_pixels: int
    problems: tuple[str, ...]

    @property
    def shares(self) -> list[float]:
        """The share of each class among the pixels that are not ignored."""
        total = max(int(self.class_pixels.sum()), 1)
        return [float(count) / total for count in self.class_pixels]

    @property
    def ignored_share(self) -> float:
        """The share of the ignored pixels among all."""
        return self.ignored_pixels / max(int(self.class_pixels.sum()) + self.ignored_pixels, 1)


def inspect_dataset(entry: DatasetEntry) -> Inspection:
    """Reads every pair of an entry and reports all that is wrong instead of stopping at the first."""
    counts = np.zeros(256, np.int64)
    problems: list[str] = []
    pairs: list[Pair] = []
    try:
        mapping = LabelMapping.load(entry.mapping)
        folders = entry.root / "images", entry.root / "labels"
        found, problems = scan_pairs(*folders, mapping.image_suffix, mapping.label_suffix)
        pairs = select_pairs(found, entry.split)
    except EdgesegError as error:
        problems.append(str(error))
    for pair in pairs:
        try:
            counts += np.bincount(read_pair(pair, mapping)[1].ravel(), minlength=256)
        except EdgesegError as error:
            problems.append(str(error))
    if not pairs and not problems:
        problems.append(f"{entry.root}: holds no pairs for '{entry.name}'")
    known, ignored = counts[: len(CLASS_NAMES)], int(counts[IGNORE_INDEX])
    return Inspection(entry, tuple(pairs), known, ignored, tuple(problems))


def find_shared(training: Sequence[Dataset | Inspection], validation: Sequence[Dataset | Inspection]) -> Iterator[str]:
    """One line for each training and validation set with pictures in common, wherever links lead to them."""
    learnt = [(item.entry.name, {os.path.realpath(pair.image) for pair in item.pairs}) for item in training]
    for item in validation:
        places = [os.path.realpath(pair.image) for pair in item.pairs]
        for name, known in learnt:
            if shared := [place for place in places if place in known]:
                yield (
                    f"validation '{item.entry.name}' and training '{name}' share pictures: {len(shared)}, the first "
                    f"{shared[0]}; scores on them flatter, so keep them apart by folder or by one `split`"
                )


def count_classes(datasets: list[Dataset], sample: int = 200) -> list[float]:
    """Class shares over the recipe's mix, from evenly spaced pictures of each data set: `sample` to twice that."""
    shares = np.zeros(len(CLASS_NAMES))
    total = sum(item.entry.weight for item in datasets)
    for item in datasets:
        counts = np.zeros(256, np.int64)
        step = max(1, len(item.pairs) // sample)
        for index in range(0, len(item.pairs), step):
            counts += np.bincount(item.read(index)[1].ravel(), minlength=256)
        known = counts[: len(CLASS_NAMES)]
        shares += item.entry.weight / total * known / max(known.sum(), 1)
    return [float(share) for share in shares]


class Mixer:
    """Makes training batches; a batch is a function of (seed, epoch, step) alone, so workers need no order."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.datasets = [Dataset.open(entry) for entry in recipe.datasets]
        weights = np.array([item.entry.weight for item in self.datasets], np.float64)
        self._odds = weights / weights.sum()

    def batch(self, epoch: int, step: int) -> Batch:
        """RGB (B, h, w, 3) uint8 and labels (B, h / LABEL_STRIDE, w / LABEL_STRIDE) uint8."""
        samples = [self._sample(epoch, step, index) for index in range(self.recipe.batch_size)]
        return np.stack([item[0] for item in samples]), np.stack([item[1] for item in samples])

    def _sample(self, epoch: int, step: int, index: int) -> Batch:
        rng = np.random.default_rng((self.recipe.seed, epoch, step, index))
        dataset = self.datasets[int(rng.choice(len(self.datasets), p=self._odds))]
        image, label = dataset.read(int(rng.integers(len(dataset.pairs))))
        config = self.recipe.augmentation
        seen = corrupt_whole(image, config, rng)
        # A teacher knows what is where nobody labelled, but not what is where there is no picture.
        outside = OUTSIDE_INDEX if self.recipe.teacher else IGNORE_INDEX
        sizes = self.recipe.input_size, self.recipe.train_hw
        stretch = dataset.entry.stretch
        view, mask = random_view(seen, label, *sizes, config, rng, LABEL_STRIDE, outside, stretch)
        return random_look(view, config, rng, corrupted=seen is not image), mask


_mixer: Mixer | None = None  # one per worker process, set by its initialiser


def _start_worker(recipe: Recipe) -> None:
    global _mixer
    import cv2

    cv2.setNumThreads(1)  # the processes are the parallelism
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _mixer = Mixer(recipe)


def _end_with_parent() -> None:
    """Ends this process when the training is killed: its queue would keep it waiting for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _work(epoch: int, step: int) -> Batch:
    assert _mixer is not None
    return _mixer.batch(epoch, step)


class BatchLoader:
    """Batches made ahead of time by `recipe.workers` processes; a context manager that ends them.

    The processes are spawned, not forked: a fork of a process with TensorFlow's or JAX's threads can hang.
    """

    def __init__(self, recipe: Recipe, ahead: int = 4) -> None:
        self.recipe = recipe
        self._ahead = ahead + recipe.workers
        self._pool = ProcessPoolExecutor(
            recipe.workers, multiprocessing.get_context("spawn"), initializer=_start_worker, initargs=(recipe,)
        )

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch, in order. Raises the error that a worker met, DataError with the file's name."""
        waiting: deque[Future[Batch]] = deque()
        for step in range(self.recipe.steps_per_epoch):
            waiting.append(self._pool.submit(_work, epoch, step))
            if len(waiting) > self._ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def __enter__(self) -> BatchLoader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def describe_dataset(path: Path, mapping: str) -> DatasetEntry:
    """An entry for a folder given on the command line."""
    return DatasetEntry(name=path.resolve().parent.name + "/" + path.name, root=path.absolute(), mapping=mapping)
