"""How much a model loses in bad light, bad weather and on bad sensors, through the very path the device runs."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, SinkUnavailableError, UsageError, explain
from edgeseg.fusion import decide
from edgeseg.iou import ConfusionMatrix, none_if_nan
from edgeseg.segmenter import Segmenter
from train.corruptions import CORRUPTIONS, STRENGTHS
from train.datasets import Dataset

#: The most that a corruption of medium strength may take, as a part of the clean mean.
MEDIUM_BAR = 0.12
#: One way to make the pictures worse: a kind of train/corruptions.py and a name of its STRENGTHS; None: not at all.
Variant = tuple[str, str] | None


@dataclass(frozen=True)
class Robustness:
    """The confusion matrices of one model by data set and variant, and how many pictures each data set gave."""

    model: str
    matrices: Mapping[str, Mapping[Variant, ConfusionMatrix]]
    pictures: Mapping[str, int]

    def iou(self, variant: Variant) -> dict[str, float]:
        """IoU per class, the mean over the data sets in which the class occurs."""
        found = [matrices[variant].iou() for matrices in self.matrices.values()]
        return {name: _mean([item[name] for item in found]) for name in CLASS_NAMES}

    def mean(self, variant: Variant) -> float:
        """The mean over the data sets of their means of road, vehicle and person."""
        return _mean([matrices[variant].mean_iou_foreground() for matrices in self.matrices.values()])

    def drop(self, variant: Variant) -> float:
        """What is lost against the clean pictures, as a part of the clean mean."""
        clean = self.mean(None)
        return (clean - self.mean(variant)) / clean if clean else math.nan

    def medium_drops(self) -> dict[str, float]:
        """The drop at medium strength by kind, which the bar is about."""
        return {kind: self.drop((kind, "medium")) for kind in CORRUPTIONS}

    def verdict(self) -> str:
        """One line: the worst drop at medium strength against the bar."""
        worst = max(self.medium_drops().items(), key=lambda item: item[1])
        within = "within" if worst[1] <= MEDIUM_BAR else "above"
        return (
            f"worst at medium strength: {worst[0]} {100 * worst[1]:.1f} %, {within} the bar of {100 * MEDIUM_BAR:g} %"
        )

    def rows(self) -> list[list[str]]:
        """A table, the clean pictures first: corruption, strength, IoU % per foreground class, mean, drop %."""
        table = []
        for variant in list_variants():
            figures = [*(self.iou(variant)[name] for name in CLASS_NAMES[1:]), self.mean(variant)]
            shown = ["-" if math.isnan(value) else f"{100 * value:.1f}" for value in figures]
            name, strength = variant or ("none", "")
            table.append([name, strength, *shown, f"{100 * self.drop(variant):.1f}" if variant else ""])
        return table

    def as_json(self) -> dict[str, Any]:
        def figures(variant: Variant) -> dict[str, Any]:
            sets = {}
            for name, matrices in self.matrices.items():
                iou = {item: none_if_nan(value) for item, value in matrices[variant].iou().items()}
                sets[name] = {"iou": iou, "mean_iou_foreground": none_if_nan(matrices[variant].mean_iou_foreground())}
            return {"mean": none_if_nan(self.mean(variant)), "sets": sets}

        return {
            "model": self.model,
            "pictures": dict(self.pictures),
            "clean": figures(None),
            "corrupted": [
                {"kind": item[0], "strength": item[1], "drop": none_if_nan(self.drop(item)), **figures(item)}
                for item in list_variants()
                if item is not None
            ],
            "medium_bar": MEDIUM_BAR,
        }

    def as_markdown(self) -> str:
        """The table with what was measured on, for a document."""
        sets = ", ".join(f"{name} ({count} pictures)" for name, count in self.pictures.items())
        head = ["corruption", "strength", *CLASS_NAMES[1:], "mean", "drop %"]
        lines = [head, ["---"] * len(head), *self.rows()]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"IoU % of {self.model}, mean over {sets}. {self.verdict()[0].upper()}{self.verdict()[1:]}.\n\n{table}\n"


def list_variants() -> list[Variant]:
    """The clean pictures, then every kind at every strength."""
    return [None, *((kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS)]


def measure(
    segmenter: Segmenter,
    datasets: Sequence[Dataset],
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Robustness:
    """Runs a model over the clean and the corrupted pictures of data sets.

    What a corruption draws depends on the picture's name, the kind and the strength alone, so every model meets the
    same pictures. limit: at most so many pictures of each data set, evenly spread. Raises UsageError when the model
    has other classes than the labels, DataError for a broken file or when nothing is labelled.
    """
    if segmenter.card.class_names != CLASS_NAMES:
        raise UsageError(f"{segmenter.path}: scores {', '.join(segmenter.card.class_names)}, not our classes")
    variants = list_variants()
    matrices = {item.entry.name: {variant: ConfusionMatrix() for variant in variants} for item in datasets}
    chosen = {item.entry.name: _spread(len(item.pairs), limit) for item in datasets}
    total, done = sum(map(len, chosen.values())), 0
    for dataset in datasets:
        for index in chosen[dataset.entry.name]:
            image, truth = dataset.read(index)
            for variant in variants:
                ids = decide(segmenter.scores(_apply(image, variant, dataset.pairs[index].stem)))[0]
                matrices[dataset.entry.name][variant].update(ids, truth)
            done += 1
            if on_progress is not None:
                on_progress(done, total)
    found = Robustness(segmenter.path.name, matrices, {name: len(places) for name, places in chosen.items()})
    if not found.mean(None) > 0:
        raise DataError(f"{segmenter.path}: finds nothing on the clean pictures, so no drop can be measured")
    return found


def write_tables(found: Robustness, folder: Path) -> tuple[Path, Path]:
    """Writes robustness.md and robustness.json; returns their paths. Raises SinkUnavailableError."""
    paths = folder / "robustness.md", folder / "robustness.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(found.as_markdown(), "utf-8")
        paths[1].write_text(json.dumps(found.as_json(), indent=2, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise SinkUnavailableError(
            f"{folder}: cannot hold the tables: {explain(error)}; choose another --out"
        ) from error
    return paths


def _apply(image: Any, variant: Variant, stem: str) -> Any:
    if variant is None:
        return image
    kind, strength = variant
    seed = (zlib.crc32(stem.encode()), zlib.crc32(kind.encode()), round(10 * STRENGTHS[strength]))
    return CORRUPTIONS[kind](image, STRENGTHS[strength], np.random.default_rng(seed))


def _spread(count: int, limit: int | None) -> list[int]:
    taken = count if limit is None else min(limit, count)
    return [place * count // taken for place in range(taken)]


def _mean(values: Sequence[float]) -> float:
    present = [value for value in values if not math.isnan(value)]
    return sum(present) / len(present) if present else math.nan
