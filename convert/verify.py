"""The float and the INT8 model side by side on labelled pictures, each run by the device's own Segmenter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from convert.labelled import ValidationSet
from edgeseg import benchmark
from edgeseg.classes import IGNORE_INDEX
from edgeseg.evaluate import Evaluation
from edgeseg.fusion import decide
from edgeseg.iou import ConfusionMatrix
from edgeseg.labels import read_pair
from edgeseg.model_card import Calibration
from edgeseg.reliability import Reliability
from edgeseg.scaling import Scaling
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


class Confidence:
    """How sure one model was of what it had right, as training left its scores and with them scaled."""

    def __init__(self, scaling: Scaling) -> None:
        self.before, self.after = Reliability(), Reliability()
        #: What the model would have seen with the scores as training left them.
        self.as_trained = ConfusionMatrix()
        self._scaling = scaling

    def update(self, scores: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """Add one picture: scores (H, W, C) as they leave the graph, classes (H, W)."""
        unscaled = self._scaling.undo(scores)
        self.before.update(unscaled, truth)
        self.as_trained.update(decide(unscaled)[0], truth)
        self.after.update(scores, truth)

    def calibration(self, dataset: str) -> Calibration | None:
        """As a card holds it; None when no pixel was labelled."""
        if not self.after.pixels.any():
            return None
        before, after = (round(item.error(), 5) for item in (self.before, self.after))
        return Calibration(dataset=dataset, ece_before=before, ece=after, bins=self.after.bins())


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the two models did on one validation set.

    agreement: the share of labelled pixels, 0..1, that both put into one class. timing: INT8 against float, one thread,
    inference alone. float_confidence, int8_confidence: how far either one's confidence can be believed.
    """

    before: Evaluation
    after: Evaluation
    agreement: float
    timing: benchmark.Comparison
    shown: tuple[Shown, ...]
    float_confidence: Confidence
    int8_confidence: Confidence


def compare(
    float_model: Path,
    int8_model: Path,
    dataset: ValidationSet,
    console: Console,
) -> Comparison:
    """Runs both models over every pair of a data set, with a progress bar on `console`.

    The figures are those of `edgeseg eval`, but one pass serves both models and shows where they differ. Raises
    DataError that names the first broken file.
    """
    with Segmenter(float_model) as before, Segmenter(int8_model) as after:
        float_counts, int8_counts = ConfusionMatrix(after.card.class_names), ConfusionMatrix(after.card.class_names)
        float_confidence, int8_confidence = (Confidence(Scaling.of(model.card)) for model in (before, after))
        agreed = labelled = 0
        shown: list[Shown] = []
        pairs = dataset.pairs
        wanted = {len(pairs) * (2 * place + 1) // (2 * SHOWN_PICTURES) for place in range(SHOWN_PICTURES)}
        for place, pair in enumerate(track(pairs, "comparing float32 and INT8", console=console, transient=True)):
            image, truth = read_pair(pair, dataset.mapping)
            float_scores, int8_scores = before.scores(image), after.scores(image)
            float_confidence.update(float_scores, truth)
            int8_confidence.update(int8_scores, truth)
            float_ids, int8_ids = decide(float_scores)[0], decide(int8_scores)[0]
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
        return Evaluation(dataset.name, dataset.mapping.name, segmenter.card.name, len(pairs), counts)

    return Comparison(
        conclude(before, float_counts),
        conclude(after, int8_counts),
        agreed / max(labelled, 1),
        timing,
        tuple(shown),
        float_confidence,
        int8_confidence,
    )
