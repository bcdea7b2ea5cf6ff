"""The average of several runs of one recipe: better than each of them, at the cost of none.

Runs that start from the same weights and differ by their seed end in one valley; between them the loss is lower (model
soups, Wortsman et al. 2022, arXiv:2203.05482). The batch norms' statistics are measured anew, for the averaged weights
see other activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, UsageError
from edgeseg.iou import ConfusionMatrix
from edgeseg.model_card import parse_card
from train.architectures import build_network, freeze_encoder
from train.batch_norm import STATISTICS_BATCHES, estimate_statistics
from train.datasets import Dataset, Mixer
from train.evaluate import load_best
from train.report import write_report
from train.result import describe_network, judge_network, recipe_architecture, save_network, spare_batches
from train.run_folder import RunFolder

#: What may differ between runs that are averaged.
SEED = "seed"


def average_runs(folders: Sequence[Path], out: Path) -> dict[str, ConfusionMatrix]:
    """Makes a run folder of the average of the best networks of runs whose recipes differ by the seed alone.

    Returns the confusion matrix on each validation set. Raises UsageError for fewer than two runs, for runs of
    different recipes, or for runs that started from different weights.
    """
    if len(set(folders)) < 2:
        raise UsageError("an average needs two runs or more")
    if RunFolder(out).best_file.exists():
        raise UsageError(f"{out}: already holds a network; choose another folder")
    opened = [RunFolder.open(folder) for folder in folders]
    first, recipe = opened[0]
    if recipe.pretrained is None:
        raise UsageError(
            f"{first.path}: started from random weights; only runs from the same `pretrained` average well"
        )
    for run, other in opened[1:]:
        if different := [name for name in recipe.differences(other) if name != SEED]:
            raise UsageError(f"{run.path}: differs from {first.path} by more than its seed: {', '.join(different)}")
    weights = [load_best(run).get_weights() for run, _ in opened]
    network = build_network(recipe_architecture(recipe), recipe.train_hw, len(CLASS_NAMES))
    if any([array.shape for array in found] != [array.shape for array in network.get_weights()] for found in weights):
        raise DataError(f"{first.path}: a best.keras here is of another network than its recipe's")
    mean = [np.mean(arrays, axis=0) for arrays in zip(*weights, strict=True)]
    if recipe.freeze is not None:
        freeze_encoder(network, recipe.freeze)
    network.set_weights(mean)
    mixer, untaught = Mixer(recipe), recipe.model_copy(update={"teacher": None})
    run = RunFolder.create(out, untaught, average_of=[run.fingerprint() for run, _ in opened])
    estimate_statistics(network, spare_batches(mixer, STATISTICS_BATCHES))
    save_network(run, recipe, [keras.ops.convert_to_numpy(weight) for weight in network.weights])
    validation = [Dataset.open(entry) for entry in recipe.validation]
    row = judge_network(load_best(run), validation, recipe.input_size)
    card = describe_network(run, untaught, row, network.count_params(), mixer, validation)
    taught_by = parse_card(first.card_file.read_bytes(), str(first.card_file)).taught_by
    run.write_card(card.model_copy(update={"taught_by": taught_by}))
    return write_report(run, recipe)
