"""The average of several runs of one recipe: sometimes better than each of them, and as fast.

Runs that start from the same weights and differ by their seed end in one valley; between them the loss is often lower
(model soups, Wortsman et al. 2022, arXiv:2203.05482). Halfway between a run and the network that it started from lies
what keeps more of how that one took what the run did not learn (Wortsman et al. 2022, arXiv:2109.01903). The batch
norms' statistics are measured anew, for the averaged weights see other activations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, UsageError
from edgeseg.iou import ConfusionMatrix
from train.architectures import build_network, freeze_encoder
from train.batch_norm import STATISTICS_BATCHES, estimate_statistics
from train.datasets import Dataset, Mixer
from train.network_file import load_network
from train.pretrained import load_earlier
from train.report import write_report
from train.result import describe_network, judge_network, make_row, recipe_architecture, save_network, spare_batches
from train.run_folder import RunFolder

#: What may differ between runs that are averaged.
SEED = "seed"


def average_runs(folders: Sequence[Path], out: Path, *, with_start: bool = False) -> dict[str, ConfusionMatrix]:
    """Makes a run folder of the average of the best networks of runs whose recipes differ by the seed alone.

    with_start: the network that they started from is one more of them. Returns the confusion matrix on each validation
    set. Raises UsageError for fewer than two networks, for runs of different recipes, for runs that started from
    different weights or from others than lie there now, or when `out` holds a run; SinkUnavailableError when it cannot
    be made. Nothing is computed before it is made, and what is refused until then leaves no folder.
    """
    if len({folder.resolve() for folder in folders}) < max(1 if with_start else 2, len(folders)):
        raise UsageError("an average needs two runs or more, each of them once, or one and --with-start")
    target = RunFolder(out)
    if any(file.exists() for file in (target.best_file, target.checkpoint_file, target.recipe_file)):
        raise UsageError(f"{out}: already holds a run or a network; choose another folder")
    opened = [RunFolder.open(folder) for folder in folders]
    first, recipe = opened[0]
    start = recipe.pretrained
    if start is None or start.path.suffix != ".keras" or start.partial:
        raise UsageError(
            f"{first.path}: each seed drew layers anew at its start; an average needs runs that took all weights from "
            "one best.keras (`pretrained`, without `partial`)"
        )
    for run, other in opened[1:]:
        if different := [name for name in recipe.differences(other) if name != SEED]:
            raise UsageError(f"{run.path}: differs from {first.path} by more than its seed: {', '.join(different)}")
        if run.read_origin() != first.read_origin():
            raise UsageError(f"{run.path}: started from other weights than {first.path}, or with another teacher")
    found = [load_network(run.path) for run, _ in opened]
    origin = [run.fingerprint() for run, _ in opened]
    network = build_network(recipe_architecture(recipe), recipe.train_hw, len(CLASS_NAMES))
    shapes = [weight.shape for weight in network.weights]
    for item in found:
        if [weight.shape for weight in item.model.weights] != shapes:
            raise DataError(f"{item.path}: is of another network than its recipe says")
    averaged = [item.model.get_weights() for item in found]
    if with_start:
        load_earlier(network, start.path)
        averaged.append(network.get_weights())
        origin.append(hashlib.sha256(start.path.read_bytes()).hexdigest())
        if origin[-1] != first.read_origin()[0]:
            raise UsageError(f"{start.path}: is not what {first.path} started from, but was made anew since")
    mixer, validation = Mixer(recipe), [Dataset.open(entry) for entry in recipe.validation]
    target.prepare()
    if recipe.freeze is not None:
        freeze_encoder(network, recipe.freeze)
    network.set_weights([np.mean(arrays, axis=0) for arrays in zip(*averaged, strict=True)])
    estimate_statistics(network, spare_batches(mixer, STATISTICS_BATCHES))
    matrices = judge_network(network, validation, recipe.input_size)
    row = make_row(matrices)

    # Its teacher has taught; `taught_by` in the card tells of it.
    untaught = recipe.model_copy(update={"teacher": None})
    run = RunFolder.create(out, untaught, average_of=origin)
    save_network(run, recipe, [keras.ops.convert_to_numpy(weight) for weight in network.weights])
    card = describe_network(run, untaught, row, network.count_params(), mixer, validation)
    run.write_card(card.model_copy(update={"taught_by": found[0].card.taught_by}))
    return write_report(run, untaught, matrices)
