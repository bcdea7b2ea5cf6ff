"""The float and the INT8 model side by side on labelled pictures, each run by the device's own Segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from edgeseg import benchmark
from edgeseg.classes import IGNORE_INDEX
from edgeseg.evaluate import Evaluation
from edgeseg.fusion import decide
from edgeseg.iou import ConfusionMatrix
from edgeseg.labels import LabelMapping, Pair, read_pair
from edgeseg.preprocess import upscale_logits
from edgeseg.segmenter import Segmenter

TIMED_ROUNDS = 100
SHOWN_PICTURES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One picture (H, W, 3) uint8 BGR with its true classes and those of either model, (H, W) uint8."""

    image: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    float_ids: NDArray[np.uint8]
    int8_ids: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the two models did on one validation set.

    agreement: the share of labelled pixels, 0..1, that both put into one class. timing: INT8 against float, one thread,
    inference alone.
    """

    before: Evaluation
    after: Evaluation
    agreement: float
    timing: benchmark.Comparison
    shown: tuple[Shown, ...]


def compare(
    float_model: Path, int8_model: Path, pairs: Sequence[Pair], mapping: LabelMapping, dataset: str, console: Console
) -> Comparison:
    """Runs both models over every pair, with a progress bar on `console`; `dataset` is what to call the pairs.

    The figures are those of `edgeseg eval`, but one pass serves both models and shows where they differ. Raises
    DataError that names the first broken file.
    """
    with Segmenter(float_model) as before, Segmenter(int8_model) as after:
        float_counts, int8_counts = ConfusionMatrix(after.card.class_names), ConfusionMatrix(after.card.class_names)
        agreed = labelled = 0
        shown: list[Shown] = []
        wanted = {len(pairs) * (2 * place + 1) // (2 * SHOWN_PICTURES) for place in range(SHOWN_PICTURES)}
        for place, pair in enumerate(track(pairs, "comparing float32 and INT8", console=console, transient=True)):
            image, truth = read_pair(pair, mapping)
            float_ids, int8_ids = _classify(before, image), _classify(after, image)
            float_counts.update(float_ids, truth)
            int8_counts.update(int8_ids, truth)
            seen = truth != IGNORE_INDEX
            agreed += int(np.count_nonzero((float_ids == int8_ids) & seen))
            labelled += int(np.count_nonzero(seen))
            if place in wanted:
                shown.append(Shown(image, truth, float_ids, int8_ids))
        timing = benchmark.compare(
            (int8_model.name, after.interpreter), (float_model.name, before.interpreter), TIMED_ROUNDS
        )

    def conclude(segmenter: Segmenter, counts: ConfusionMatrix) -> Evaluation:
        return Evaluation(dataset, mapping.name, segmenter.card.name, len(pairs), counts)

    return Comparison(
        conclude(before, float_counts), conclude(after, int8_counts), agreed / max(labelled, 1), timing, tuple(shown)
    )


def _classify(segmenter: Segmenter, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The best class per pixel of a picture, (H, W) uint8, decided at full size as evaluate_pairs() does."""
    return decide(upscale_logits(segmenter.logits(image), segmenter.fit((image.shape[0], image.shape[1]))))[0]
