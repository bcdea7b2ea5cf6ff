"""`edgeseg eval`: how well a model segments labelled pictures, through the very path the device runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, ModelError
from edgeseg.fusion import decide
from edgeseg.iou import ConfusionMatrix, none_if_nan
from edgeseg.labels import LabelMapping, Pair, find_pairs, read_pair
from edgeseg.model_card import Metrics
from edgeseg.runtimes import RuntimeChoice
from edgeseg.segmenter import Segmenter

#: From a picture (H, W, 3) uint8 BGR to scores (H, W, C) float32 of its own size.
Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
#: Called after each picture with how many are done and how many there are.
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model got right on a data set. `confusion` counts pixels, rows truth, columns prediction."""

    dataset: str
    mapping: str
    model: str
    images: int
    confusion: ConfusionMatrix

    @property
    def iou(self) -> dict[str, float]:
        """IoU 0..1 by class name; nan where a class occurs in neither truth nor prediction."""
        return self.confusion.iou()

    @property
    def mean_iou(self) -> float:
        return self.confusion.mean_iou()

    @property
    def mean_iou_foreground(self) -> float:
        return self.confusion.mean_iou_foreground()

    @property
    def pixel_accuracy(self) -> float:
        return self.confusion.pixel_accuracy()

    def metrics(self) -> Metrics:
        """The figures as a model card holds them; rounded, since the last digits are noise."""

        def figure(value: float) -> float | None:
            return none_if_nan(round(value, 4))

        return Metrics(
            iou={name: figure(value) for name, value in self.iou.items()},
            mean_iou=figure(self.mean_iou),
            mean_iou_foreground=figure(self.mean_iou_foreground),
            pixel_accuracy=figure(self.pixel_accuracy),
            images=self.images,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "dataset": self.dataset,
            "mapping": self.mapping,
            "images": self.images,
            "iou": {name: none_if_nan(value) for name, value in self.iou.items()},
            "mean_iou": none_if_nan(self.mean_iou),
            "mean_iou_foreground": none_if_nan(self.mean_iou_foreground),
            "pixel_accuracy": none_if_nan(self.pixel_accuracy),
            "confusion": {"classes": list(self.confusion.names), "pixels": self.confusion.counts.tolist()},
        }

    def table(self) -> Table:
        """IoU and the truth's share of the pixels, in percent, class by class."""
        table = Table(title=f"{self.model} on {self.dataset} ({self.images} pictures)")
        table.add_column("class")
        table.add_column("IoU %", justify="right")
        table.add_column("share of pixels %", justify="right")
        total = max(int(self.confusion.counts.sum()), 1)
        for name, row in zip(self.confusion.names, self.confusion.counts, strict=True):
            table.add_row(name, _percent(self.iou[name]), _percent(int(row.sum()) / total))
        table.add_section()
        table.add_row("mean of all", _percent(self.mean_iou), "")
        foreground = ", ".join(self.confusion.names[1:])
        table.add_row(f"mean of {foreground}", _percent(self.mean_iou_foreground), "")
        table.add_row("pixels right", _percent(self.pixel_accuracy), "")
        return table


def evaluate_pairs(
    pairs: Sequence[Pair], mapping: LabelMapping, predict: Predict, on_progress: OnProgress | None = None
) -> ConfusionMatrix:
    """Compare what `predict` says with the masks, at the masks' own resolution.

    The best class is taken after the scores were brought to full size, so edges lie between cells where the scores say
    so. Raises DataError that names the first broken file.
    """
    confusion = ConfusionMatrix(CLASS_NAMES)
    for done, pair in enumerate(pairs, 1):
        image, label = read_pair(pair, mapping)
        confusion.update(decide(predict(image))[0], label)
        if on_progress is not None:
            on_progress(done, len(pairs))
    return confusion


def evaluate(
    dataset: Path, mapping: LabelMapping, segmenter: Segmenter, on_progress: OnProgress | None = None
) -> Evaluation:
    """Evaluate a model on a folder that holds images/ and labels/ with equal stems.

    Raises InputNotFoundError when a folder is missing, DataError that names a broken or lonely file, ModelError when
    the model's classes are not the mapping's.
    """
    if segmenter.card.class_names != CLASS_NAMES:
        raise ModelError(
            f"{segmenter.path}: scores {', '.join(segmenter.card.class_names)}, but label mappings know "
            f"{', '.join(CLASS_NAMES)}; only a model with these classes can be evaluated"
        )
    pairs = find_pairs(dataset / "images", dataset / "labels", mapping)

    confusion = evaluate_pairs(pairs, mapping, segmenter.scores, on_progress)
    if not confusion.counts.any():
        raise DataError(f"{dataset}: the mapping '{mapping.name}' ignores every pixel; nothing can be measured")
    return Evaluation(str(dataset), mapping.name, segmenter.card.name, len(pairs), confusion)


def run(
    dataset: Path,
    mapping: str | Path,
    model: Path | None = None,
    *,
    threads: int = 1,
    runtime: RuntimeChoice = "auto",
    as_json: bool = False,
) -> Evaluation:
    """The command: evaluate with a progress bar on stderr, print a table or JSON to stdout."""
    loaded = LabelMapping.load(mapping)
    with Segmenter(model, threads, runtime) as segmenter, _progress_bar() as bar:
        task = bar.add_task("evaluating", total=None)
        result = evaluate(dataset, loaded, segmenter, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        sys.stdout.write(json.dumps(result.as_json(), indent=2, allow_nan=False) + "\n")
    else:
        Console().print(result.table())
    return result


def _progress_bar() -> Progress:
    columns: Iterable[Any] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _percent(ratio: float) -> str:
    return "-" if none_if_nan(ratio) is None else f"{100 * ratio:.2f}"
