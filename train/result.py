"""What a run hands over: best.keras, and the card.json that says what it is and how good."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, UsageError
from edgeseg.iou import ConfusionMatrix
from edgeseg.model_card import ModelCard, parse_card
from edgeseg.preprocess import normalise_float
from train.architectures import ARCHITECTURES, Architecture, build_network
from train.config import Recipe
from train.datasets import Dataset, Mixer
from train.evaluate import evaluate_datasets, make_predictor, make_true
from train.run_folder import RunFolder


def recipe_architecture(recipe: Recipe) -> Architecture:
    """The recipe's network. Raises UsageError when there is none of that name."""
    if recipe.architecture not in ARCHITECTURES:
        raise UsageError(f"architecture '{recipe.architecture}' is not one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[recipe.architecture].scaled(recipe.width, recipe.depth)
    return architecture if recipe.dropout is None else replace(architecture, dropout=recipe.dropout)


def spare_batches(mixer: Mixer, count: int) -> Iterator[NDArray[np.float32]]:
    """Pictures (B, h, w, 3) as training sees them, of an epoch that training never reaches."""
    for step in range(count):
        yield normalise_float(mixer.batch(mixer.recipe.epochs, step)[0])


def judge_network(
    network: keras.Model, validation: Sequence[Dataset], input_hw: tuple[int, int]
) -> dict[str, ConfusionMatrix]:
    """The confusion matrix on each validation set, by name, of the scores scaled on all of them.

    Unscaled, a network that sees what the loss weighed more too often would look worse than what is shipped of it.
    """
    return evaluate_datasets(make_true(make_predictor(network, input_hw), validation), validation)


def make_row(matrices: Mapping[str, ConfusionMatrix]) -> dict[str, float]:
    """IoU by `SET_CLASS`; `val_mean` is the mean of the sets' foreground means.

    Raises DataError when a set has nothing to judge by.
    """
    row = {f"{name}_{item}": value for name, matrix in matrices.items() for item, value in matrix.iou().items()}
    row["val_mean"] = float(np.mean([matrix.mean_iou_foreground() for matrix in matrices.values()]))
    if math.isnan(row["val_mean"]):
        raise DataError("a validation set holds no road, vehicle or person pixel: no network could be judged by it")
    return row


def describe_row(row: dict[str, Any]) -> str:
    """One line of an epoch's figures."""
    parts = [f"loss {row['loss']:.4f}"] if "loss" in row else []
    parts += [f"val {row['val_mean']:.4f}"] if "val_mean" in row else []
    return "  ".join(parts + [f"{name} {row[name]:.3f}" for name in row if name.endswith(CLASS_NAMES[1:])])


def save_network(run: RunFolder, recipe: Recipe, weights: Sequence[NDArray[Any]]) -> None:
    """Writes best.keras: the recipe's network, at its input size, with these weights."""
    network = build_network(recipe_architecture(recipe), recipe.input_size, len(CLASS_NAMES))
    network.set_weights(list(weights))
    run.write_network(network)


def _measure(row: dict[str, float], validation: Sequence[Dataset]) -> dict[str, Any]:
    """What a card says of a row of make_row()."""
    metrics = {}
    for dataset in validation:
        name = dataset.entry.name
        iou = {item: row[f"{name}_{item}"] for item in CLASS_NAMES}
        values = [value for value in iou.values() if not math.isnan(value)]
        foreground = [iou[item] for item in CLASS_NAMES[1:] if not math.isnan(iou[item])]
        metrics[f"{name} validation, float32 Keras"] = {
            "iou": {item: None if math.isnan(value) else value for item, value in iou.items()},
            "mean_iou": float(np.mean(values)),
            "mean_iou_foreground": float(np.mean(foreground)),
            "images": len(dataset.pairs),
        }
    return metrics


def describe_network(
    run: RunFolder, recipe: Recipe, row: dict[str, float], params: int, mixer: Mixer, validation: Sequence[Dataset]
) -> ModelCard:
    """What a run's best.keras says of itself: its origin, and by `row` its float IoU on the validation sets."""
    start, teacher = recipe.pretrained, None
    if recipe.teacher is not None:
        teacher = parse_card(run.teacher_card_file.read_bytes(), str(run.teacher_card_file))
    return ModelCard.model_validate(
        {
            "name": f"edgeseg-{recipe.name}",
            "architecture": recipe.architecture,
            "width": recipe.width,
            "depth": recipe.depth,
            "params": params,
            "input_hw": recipe.input_size,
            "created": json.loads(run.run_file.read_text("utf-8"))["started"],
            "licence": recipe.licence,
            "started_from": start and f"{start.source}, {start.licence}",
            "taught_by": teacher and f"{teacher.name}, {teacher.licence or 'licence not stated'}",
            "trained_on": [
                {"name": item.entry.name, "licence": item.entry.licence, "images": len(item.pairs)}
                for item in mixer.datasets
            ],
            "metrics": _measure(row, validation),
            "training_sha256": run.fingerprint(),
        }
    )
