"""Pictures of a run: its curves, its confusion matrix, and predictions beside the truth."""

from __future__ import annotations

import io
import math
from typing import Any

import cv2
import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edgeseg.classes import CLASS_NAMES, CLASSES, IGNORE_INDEX
from edgeseg.iou import ConfusionMatrix
from train.config import Recipe
from train.datasets import Dataset
from train.evaluate import load_best, make_predictor, make_true
from train.result import judge_network
from train.run_folder import RunFolder

matplotlib.use("Agg")  # a run writes files; it may have no display

GRID_PICTURES = 4
GRID_SIZE_WH = (320, 240)
#: How ignored pixels are drawn in the truth: a grey that no class has.
IGNORE_GREY = 120


def write_report(
    run: RunFolder, recipe: Recipe, matrices: dict[str, ConfusionMatrix] | None = None
) -> dict[str, ConfusionMatrix]:
    """Writes curves.png, confusion.png and predictions.png from what the folder holds.

    Returns the confusion matrix of best.keras on each validation set, by name; found anew unless it is given.
    """
    model = load_best(run)
    datasets = [Dataset.open(entry) for entry in recipe.validation]
    matrices = matrices or judge_network(model, datasets, recipe.input_size)
    if rows := run.read_metrics():  # an average of runs has none
        run.write_bytes(run.path / "curves.png", draw_curves(rows))
    run.write_bytes(run.path / "confusion.png", draw_confusion(matrices))
    run.write_bytes(run.path / "predictions.png", draw_predictions(model, datasets, recipe.input_size))
    return matrices


def draw_curves(rows: list[dict[str, float]]) -> bytes:
    """A PNG: loss, and IoU per class and validation set, over the epochs."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [row["epoch"] + 1 for row in rows]
    left.plot(epochs, [row["loss"] for row in rows], color="black")
    left.set(xlabel="epoch", ylabel="training loss")
    styles = ("-", "--", ":", "-.")
    sets = sorted({name.rsplit("_", 1)[0] for name in rows[0] if name.endswith(CLASS_NAMES)})
    for style, name in zip(styles * len(sets), sets, strict=False):
        for item in CLASSES[1:]:
            values = [row[f"{name}_{item.name}"] for row in rows]
            color = tuple(channel / 255 for channel in item.color_rgb)
            right.plot(epochs, values, style, color=color, label=f"{name}: {item.name}")
    right.set(xlabel="epoch", ylabel="validation IoU", ylim=(0, 1))
    right.legend(fontsize="small", ncols=2, loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return _as_png(figure)


def draw_confusion(matrices: dict[str, ConfusionMatrix]) -> bytes:
    """A PNG: one matrix a validation set: of each true class (rows), the share that was predicted as each class."""
    figure = Figure(figsize=(4.4 * len(matrices), 4.2), layout="constrained")
    for axes, (name, matrix) in zip(
        np.atleast_1d(figure.subplots(1, len(matrices))).tolist(), matrices.items(), strict=True
    ):
        shares = matrix.counts / np.maximum(matrix.counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(CLASS_NAMES)):
            for column in range(len(CLASS_NAMES)):
                value = shares[row, column]
                color = "white" if value > 0.5 else "black"
                axes.text(column, row, f"{100 * value:.1f}", ha="center", va="center", color=color)
        places = range(len(CLASS_NAMES))
        axes.set(xlabel="predicted", ylabel="truth", title=f"{name}, % of the true class")
        axes.set_xticks(places, CLASS_NAMES)
        axes.set_yticks(places, CLASS_NAMES)
    return _as_png(figure)


def draw_predictions(model: keras.Model, datasets: list[Dataset], input_hw: tuple[int, int]) -> bytes:
    """A PNG, a grid: each row a picture, its truth and what the network says, a few of every validation set."""
    predict = make_true(make_predictor(model, input_hw), datasets)
    rows = []
    for dataset in datasets:
        step = max(1, len(dataset.pairs) // GRID_PICTURES)
        for index in range(0, len(dataset.pairs), step)[:GRID_PICTURES]:
            image, label = dataset.read(index)
            said = predict(image).argmax(axis=-1)
            tiles = (image, _blend(image, label), _blend(image, said))
            rows.append(np.hstack([cv2.resize(tile, GRID_SIZE_WH, interpolation=cv2.INTER_AREA) for tile in tiles]))
    done, data = cv2.imencode(".png", np.vstack(rows))
    assert done
    return data.tobytes()


def _as_png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()


def _blend(image_bgr: NDArray[np.uint8], class_ids: NDArray[Any]) -> NDArray[np.uint8]:
    """Class colours over a picture, every class drawn alike, ignored pixels grey."""
    palette = np.zeros((256, 3), np.uint8)
    palette[IGNORE_INDEX] = IGNORE_GREY
    for index, item in enumerate(CLASSES):
        palette[index] = item.color_rgb[::-1]
    colored = palette[class_ids.astype(np.uint8)]
    return np.asarray(cv2.addWeighted(image_bgr, 0.45, colored, 0.55, 0), np.uint8)


def format_matrix(matrix: ConfusionMatrix) -> list[tuple[str, str]]:
    """Rows of a table: IoU per class, the means and the pixel accuracy, in percent."""
    figures = {
        **matrix.iou(),
        "mean": matrix.mean_iou(),
        "mean without other": matrix.mean_iou_foreground(),
        "pixel accuracy": matrix.pixel_accuracy(),
    }
    return [(name, "-" if math.isnan(value) else f"{100 * value:.2f}") for name, value in figures.items()]
