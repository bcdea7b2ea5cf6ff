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
from edgeseg.sinks.files import prepare_folder
from train.corruptions import CORRUPTIONS, STRENGTHS
from train.datasets import Dataset

#: The most that a corruption of medium strength may take on any data set, as a part of the clean mean there.
MEDIUM_BAR = 0.12
#: One way to make the pictures worse: a kind of train/corruptions.py and a name of its STRENGTHS; None: not at all.
Variant = tuple[str, str] | None


@dataclass(frozen=True)
class Robustness:
    """The confusion matrices of one model by data set and variant, and how many pictures each data set gave."""

    model: str
    matrices: Mapping[str, Mapping[Variant, ConfusionMatrix]]
    pictures: Mapping[str, int]

    def mean(self, dataset: str, variant: Variant) -> float:
        """The mean IoU of road, vehicle and person on one data set."""
        return self.matrices[dataset][variant].mean_iou_foreground()

    def drop(self, dataset: str, variant: Variant) -> float:
        """What is lost against the clean pictures of the data set, as a part of their mean."""
        clean = self.mean(dataset, None)
        return (clean - self.mean(dataset, variant)) / clean if clean else math.nan

    def verdict(self) -> str:
        """One line: the worst drop at medium strength on any data set against the bar.

        Not of the mean over the data sets: what one of them takes well would hide what another does not.
        """
        drops = {(kind, name): self.drop(name, (kind, "medium")) for kind in CORRUPTIONS for name in self.matrices}
        (kind, name), worst = max(drops.items(), key=lambda item: item[1])
        within = "within" if worst <= MEDIUM_BAR else "above"
        bar = f"{within} the bar of {100 * MEDIUM_BAR:g} %"
        return f"worst at medium strength: {kind} on {name} {100 * worst:.1f} %, {bar}"

    def rows(self, dataset: str) -> list[list[str]]:
        """A table, the clean pictures first: corruption, strength, IoU % per foreground class, mean, drop %."""
        table = []
        for variant in list_variants():
            iou = self.matrices[dataset][variant].iou()
            figures = [*(iou[name] for name in CLASS_NAMES[1:]), self.mean(dataset, variant)]
            shown = ["-" if math.isnan(value) else f"{100 * value:.1f}" for value in figures]
            name, strength = variant or ("none", "")
            table.append([name, strength, *shown, f"{100 * self.drop(dataset, variant):.1f}" if variant else ""])
        return table

    def as_json(self) -> dict[str, Any]:
        def figures(dataset: str, variant: Variant) -> dict[str, Any]:
            iou = self.matrices[dataset][variant].iou()
            return {
                "iou": {name: none_if_nan(value) for name, value in iou.items()},
                "mean_iou_foreground": none_if_nan(self.mean(dataset, variant)),
            }

        def corrupted(dataset: str, variant: tuple[str, str]) -> dict[str, Any]:
            place = {"kind": variant[0], "strength": variant[1], "drop": none_if_nan(self.drop(dataset, variant))}
            return {**place, **figures(dataset, variant)}

        return {
            "model": self.model,
            "medium_bar": MEDIUM_BAR,
            "sets": {
                name: {
                    "pictures": count,
                    "clean": figures(name, None),
                    "corrupted": [corrupted(name, variant) for variant in list_variants() if variant is not None],
                }
                for name, count in self.pictures.items()
            },
        }

    def as_markdown(self) -> str:
        """The tables with what was measured on, for a document."""
        head = ["corruption", "strength", *CLASS_NAMES[1:], "mean", "drop %"]
        parts = [f"IoU % of {self.model}. {self.verdict()[0].upper()}{self.verdict()[1:]}."]
        for name, count in self.pictures.items():
            lines = [head, ["---"] * len(head), *self.rows(name)]
            parts += [f"{name}, {count} pictures:", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
        return "\n\n".join(parts) + "\n"


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
    for name in matrices:
        if not found.mean(name, None) > 0:
            raise DataError(f"{segmenter.path}: finds nothing on the clean pictures of {name}: no drop can be measured")
    return found


def write_tables(found: Robustness, folder: Path) -> tuple[Path, Path]:
    """Writes robustness.md and robustness.json; returns their paths. Raises SinkUnavailableError."""
    paths = folder / "robustness.md", folder / "robustness.json"
    prepare_folder(folder)
    try:
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
