"""How good a network is: IoU per class over labelled pictures, with optional test-time fusion of views.

The comparison itself is the device's (`edgeseg.evaluate`); only what predicts differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import InputNotFoundError, UsageError
from edgeseg.evaluate import Predict, evaluate_pairs
from edgeseg.fusion import fuse_views, log_softmax
from edgeseg.iou import ConfusionMatrix
from edgeseg.preprocess import Fit, normalise_float, to_input, upscale_logits
from edgeseg.scaling import Scaling, find_scaling
from train.datasets import Dataset
from train.network_file import read_keras
from train.run_folder import RunFolder

#: Sides of a view must divide by the encoder's deepest stride.
VIEW_STRIDE = 32


@dataclass(frozen=True)
class Views:
    """Which views of a picture are fused: sizes relative to the input size, and whether each is mirrored too."""

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or any(not 0 < scale <= 4 for scale in self.scales):
            raise UsageError(f"scales must be above 0 and at most 4, got {self.scales}")

    def sizes(self, input_hw: tuple[int, int]) -> list[tuple[int, int]]:
        """The input sizes of the views, rounded to what the network takes."""

        def rounded(side: int, scale: float) -> int:
            return max(VIEW_STRIDE, round(side * scale / VIEW_STRIDE) * VIEW_STRIDE)

        sizes = [(rounded(input_hw[0], scale), rounded(input_hw[1], scale)) for scale in self.scales]
        if len(set(sizes)) < len(sizes):
            shown = ", ".join(f"{width}x{height}" for height, width in sizes)
            raise UsageError(f"scales {', '.join(map(str, self.scales))}: two come to one size ({shown})")
        return sizes


def make_viewer(
    model: keras.Model, input_hw: tuple[int, int], chosen: Views
) -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]:
    """A function from a picture (H, W, 3) uint8 BGR to the scores (H, W, C) of each view, at the picture's size."""
    networks = {size: at_size(model, size) for size in chosen.sizes(input_hw)}

    def see(image_bgr: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        seen = []
        for size, network in networks.items():
            fit = Fit.plan((image_bgr.shape[0], image_bgr.shape[1]), size)
            batch = normalise_float(to_input(image_bgr, size))[None]
            seen.append(upscale_logits(_scores(network, batch), fit))
            if chosen.flip:
                mirrored = _scores(network, np.ascontiguousarray(batch[:, :, ::-1]))
                seen.append(upscale_logits(np.ascontiguousarray(mirrored[:, ::-1]), fit))
        return seen

    return see


def make_predictor(model: keras.Model, input_hw: tuple[int, int], views: Views | None = None) -> Predict:
    """A function from a picture (H, W, 3) uint8 BGR to scores (H, W, C) at the picture's size.

    With several views they are fused with equal weights: P(x) = argmax_c sum_i w_i log P(c | x_i).
    """
    see = make_viewer(model, input_hw, views or Views())

    def predict(image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen = see(image_bgr)
        return seen[0] if len(seen) == 1 else fuse_views([log_softmax(view) for view in seen])

    return predict


def at_size(model: keras.Model, input_hw: tuple[int, int]) -> keras.Model:
    """A fully convolutional network, with the same weights, for another input size; itself where it takes any.

    One Keras model would do for all sizes, but TensorFlow then traces it for unknown ones, which resizing refuses.
    """
    if tuple(model.input_shape[1:3]) in (input_hw, (None, None)):
        return model
    resized = keras.models.clone_model(model, input_tensors=keras.Input((*input_hw, 3)))
    resized.set_weights(model.get_weights())
    return resized


def _scores(model: keras.Model, batch: NDArray[np.float32]) -> Any:
    return model.predict_on_batch(batch)[0]


def scale_scores(predict: Predict, validation: Sequence[Dataset]) -> Scaling:
    """What the scores of a network lack on its validation sets, which conversion will add. Raises DataError."""
    return find_scaling(predict, [(item.pairs, item.mapping) for item in validation])


def make_true(predict: Predict, validation: Sequence[Dataset]) -> Predict:
    """`predict`, its scores scaled as those of the shipped model will be. Raises DataError for a broken file."""
    scaling = scale_scores(predict, validation)
    return lambda image_bgr: scaling.apply(predict(image_bgr))


def evaluate_datasets(predict: Predict, datasets: Iterable[Dataset]) -> dict[str, ConfusionMatrix]:
    """The confusion matrix over each data set, by name, at the labels' own resolution."""
    return {item.entry.name: evaluate_pairs(item.pairs, item.mapping, predict) for item in datasets}


def load_best(run: RunFolder) -> keras.Model:
    """The best network of a run. Raises InputNotFoundError before the first epoch has ended, DataError when damaged."""
    if not run.best_file.is_file():
        raise InputNotFoundError(f"{run.best_file}: not there yet; it is written after the first epoch")
    return read_keras(run.best_file)
