"""A segmentation model that nobody here made, .tflite or .onnx, behind what evaluation and timing ask of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import ConfigError, InputNotFoundError, ModelError, UsageError
from edgeseg.labels import LabelMapping
from edgeseg.model_card import read_flatbuffer
from edgeseg.preprocess import Fit, FitMode, to_input, upscale_logits
from edgeseg.runtimes import open_interpreter

#: Mean and standard deviation by channel, of pixels 0..255: x = (pixel - mean) / std.
NORMALISATIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "pixels": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "unit": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "signed": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "edgeseg": ((128.0, 128.0, 128.0), (128.0, 128.0, 128.0)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}
Layout = Literal["nhwc", "nchw"]
#: What the numbers in a mask of one byte a pixel tell apart; far more than any segmenter of roads scores.
MOST_CLASSES = 256


class Runtime(Protocol):
    """One input, one output. The first three are what `edgeseg.benchmark.compare` times a model by."""

    def get_input_details(self) -> list[dict[str, Any]]: ...
    def set_tensor(self, index: int, value: Any) -> None: ...
    def invoke(self) -> None: ...
    def get_output_details(self) -> list[dict[str, Any]]: ...
    def get_tensor(self, index: int) -> Any: ...


class OnnxRuntime:
    """ONNX Runtime, on the CPU, under the names of a TFLite interpreter.

    size_hw: for the sides that the file leaves open. Raises ConfigError without onnxruntime, ModelError for a file that
    it cannot run, UsageError when a size is open and none was given.
    """

    def __init__(self, path: Path, threads: int, layout: Layout | None, size_hw: tuple[int, int] | None) -> None:
        self._path = path
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(f"{path}: needs ONNX Runtime; run pip install -e '.[peers]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common base but Exception
            raise ModelError(f"{path}: ONNX Runtime cannot load it: {' '.join(str(error).split())[:200]}") from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise ModelError(
                f"{path}: takes {[item.shape for item in inputs]}; a segmenter takes one batch of pictures"
            )
        self._name = inputs[0].name
        self._output = self._session.get_outputs()[0].name
        batch, *shape = inputs[0].shape
        if isinstance(batch, int) and batch != 1:
            raise ModelError(f"{path}: takes {batch} pictures at a time; export it with a batch of 1")
        shape = [1, *shape]
        channels, *sides = (3, 1, 2) if (layout or ("nhwc" if shape[3] == 3 else "nchw")) == "nhwc" else (1, 2, 3)
        if not isinstance(shape[channels], int):
            shape[channels] = 3
        for place, side in zip(sides, size_hw or (None, None), strict=True):
            if not isinstance(shape[place], int):
                if side is None:
                    raise UsageError(f"{path}: takes pictures of any size; say which with --size WxH")
                shape[place] = side
        types = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
        if inputs[0].type not in types:
            raise ModelError(f"{path}: takes {inputs[0].type}; pictures are float32, uint8 or int8")
        self._details = {
            "index": 0,
            "shape": np.array(shape),
            "dtype": types[inputs[0].type],
            "quantization": (0.0, 0),
        }
        self._input: NDArray[Any] = np.zeros(shape, types[inputs[0].type])
        self._result: Any = None

    def get_input_details(self) -> list[dict[str, Any]]:
        return [self._details]

    def set_tensor(self, index: int, value: Any) -> None:
        self._input = value

    def invoke(self) -> None:
        try:
            self._result = self._session.run([self._output], {self._name: self._input})[0]
        except Exception as error:  # its errors have no common base but Exception
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{self._path}: does not take {self._input.shape}: {reason}") from error

    def get_output_details(self) -> list[dict[str, Any]]:
        if self._result is None:
            self.invoke()
        return [
            {"index": 0, "shape": np.array(self._result.shape), "dtype": self._result.dtype, "quantization": (0.0, 0)}
        ]

    def get_tensor(self, index: int) -> Any:
        return self._result


@dataclass(frozen=True)
class Habits:
    """What a file does not say of itself; None: guessed from its shapes and types.

    size_wh: the input's, where the file leaves it open. layout: of input and scores. bgr: the order of the colours.
    mean, std: of pixels 0..255 by channel, in that order; without them quantised inputs take the pixels as they are
    (int8: less 128), float ones [-1, 1].
    """

    size_wh: tuple[int, int] | None = None
    layout: Layout | None = None
    bgr: bool = False
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fit: FitMode = "stretch"


class PeerModel:
    """A model whose classes become ours by a mapping: raw value `n` of the mapping is class `n` of the model.

    A class that the mapping ignores or does not name counts as `other` where it is predicted. Raises InputNotFoundError
    when there is no such file, ModelError when it is no segmenter or the mapping names classes that it has not,
    UsageError when the habits are another model's.
    """

    def __init__(self, path: Path, classes: LabelMapping, habits: Habits, threads: int = 1) -> None:
        if not path.is_file():
            raise InputNotFoundError(f"{path}: no such model file; give a .tflite or an .onnx")
        self.path, self.habits = path, habits
        self.runtime: Runtime
        if path.suffix == ".onnx":
            size_hw = habits.size_wh and habits.size_wh[::-1]
            self.runtime = OnnxRuntime(path, threads, habits.layout, size_hw)
        else:
            self.runtime, _ = open_interpreter(read_flatbuffer(path), str(path), threads=threads)
            if any(-1 in item.get("shape_signature", ()) for item in self.runtime.get_input_details()):
                raise ModelError(f"{path}: leaves its input size open; convert it for one size")
        inputs = self.runtime.get_input_details()
        if len(inputs) != 1 or len(inputs[0]["shape"]) != 4 or 3 not in (inputs[0]["shape"][1], inputs[0]["shape"][3]):
            shapes = [tuple(map(int, item["shape"])) for item in inputs]
            raise ModelError(f"{path}: takes {shapes}; a segmenter takes one picture of 3 colours")
        self._input = inputs[0]
        self.layout: Layout = habits.layout or ("nhwc" if self._input["shape"][3] == 3 else "nchw")
        if self._input["shape"][3 if self.layout == "nhwc" else 1] != 3:
            shape = tuple(map(int, self._input["shape"]))
            raise UsageError(f"{path}: takes {shape}, which is not {self.layout}; leave --layout away")
        sides = self._input["shape"][1:3] if self.layout == "nhwc" else self._input["shape"][2:4]
        self.input_hw = int(sides[0]), int(sides[1])
        if habits.size_wh not in (None, self.input_hw[::-1]):
            raise UsageError(f"{path}: takes {self.input_hw[1]}x{self.input_hw[0]} alone; leave --size away")
        self._refuse_clipping()
        # What an output holds, and for ONNX its shape, is known after an inference.
        raw = self._infer(np.zeros((*self.input_hw, 3), np.uint8))
        self._cells = raw.shape[:2]
        self._refuse_another_layout(raw.shape)
        self._table = _tabulate_classes(classes, raw.shape[2] if raw.ndim == 3 else MOST_CLASSES, path)

    def predict(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Our classes at the picture's size, (H, W, 4): 1 for the class that the model's best one belongs to."""
        fit, stride = self.habits.fit, 1
        divides = all(side % cells == 0 for side, cells in zip(self.input_hw, self._cells, strict=True))
        if fit == "letterbox" and divides:
            # The bars must be cut off the scores exactly, so they are whole cells of them.
            stride = self.input_hw[0] // self._cells[0]
        raw = self._infer(to_input(image_bgr, self.input_hw, fit, stride=stride))
        plan = Fit.plan((image_bgr.shape[0], image_bgr.shape[1]), self.input_hw, fit, stride)
        height, width = plan.image_hw
        if fit == "letterbox" and not divides:
            # No cell begins where a bar ends, but a pixel of the input does.
            raw = _enlarge(raw, self.input_hw)
        if raw.ndim == 3:
            ids: NDArray[Any] = upscale_logits(raw, plan).argmax(axis=2)
        else:
            small = np.ascontiguousarray(plan.crop(raw))
            ids = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST))
        return np.eye(len(CLASS_NAMES), dtype=np.float32)[self._table[ids]]

    def _infer(self, rgb: NDArray[np.uint8]) -> NDArray[Any]:
        """Scores (h, w, C) float32, or class numbers (h, w), of an RGB picture of the input's size."""
        self.runtime.set_tensor(self._input["index"], self._encode(rgb))
        self.runtime.invoke()
        return self._read_raw()

    def _refuse_another_layout(self, shape: tuple[int, ...]) -> None:
        """Refuses scores (h, w, C) that lie otherwise than the input: then a side is taken for the classes."""
        down, across = (side / cells for side, cells in zip(self.input_hw, shape[:2], strict=True))
        # A cell is as wide as it is high, or nearly so where the sides of the input are no whole number of cells.
        if not 0.5 <= down / across <= 2:
            raise ModelError(
                f"{self.path}: gives, read as {self.layout}, {shape[0]}x{shape[1]} cells for a picture of "
                f"{self.input_hw[0]}x{self.input_hw[1]}; export it with scores in the layout of its input"
            )
        if len(shape) == 3 and shape[2] > MOST_CLASSES:
            raise ModelError(
                f"{self.path}: gives, read as {self.layout}, {shape[2]} classes, of which {MOST_CLASSES} are the most; "
                "export it with scores in the layout of its input"
            )

    def _refuse_clipping(self) -> None:
        """Refuses a normalisation of which a quantised input holds less than half, or less than 32 steps: nonsense."""
        dtype, (scale, zero_point) = np.dtype(self._input["dtype"]), self._input["quantization"]
        if dtype.kind not in "iu" or self.habits.mean is None or self.habits.std is None:
            return
        step, bounds = scale or 1.0, np.iinfo(dtype)
        low, high = ((bound - zero_point) * step for bound in (bounds.min, bounds.max))
        black, white = ((pixel - np.asarray(self.habits.mean)) / np.asarray(self.habits.std) for pixel in (0.0, 255.0))
        held = np.clip(white, low, high) - np.clip(black, low, high)
        if (held / (white - black)).min() < 0.5 or (held / step).min() < 32:
            raise UsageError(
                f"{self.path}: its quantised input holds {low:.4g} to {high:.4g} in steps of {step:.4g}, but black "
                f"would be {black.min():.4g} and white {white.max():.4g}; without --normalise, --mean and --std it "
                "takes the pixels as they are"
            )

    def _encode(self, rgb: NDArray[np.uint8]) -> NDArray[Any]:
        habits, dtype = self.habits, np.dtype(self._input["dtype"])
        pixels = rgb[..., ::-1] if habits.bgr else rgb
        scale, zero_point = self._input["quantization"]
        if habits.mean is None and dtype.kind in "iu":
            values: NDArray[Any] = pixels.astype(np.int16) - (128 if dtype == np.int8 else 0)
        else:
            mean, std = habits.mean, habits.std
            if mean is None or std is None:
                mean, std = NORMALISATIONS["signed"]
            values = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(std)
            if dtype.kind in "iu":
                bounds = np.iinfo(dtype)
                values = np.clip(np.rint(values / (scale or 1.0)) + zero_point, bounds.min, bounds.max)
        batch = values.astype(dtype)[np.newaxis]
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if self.layout == "nchw" else batch)

    def _read_raw(self) -> NDArray[Any]:
        """Scores (h, w, C) float32, or class numbers (h, w)."""
        details = self.runtime.get_output_details()[0]
        raw = np.asarray(self.runtime.get_tensor(details["index"]))
        if raw.ndim == 4 and 1 in (raw.shape[1], raw.shape[3]):
            raw = raw.squeeze(1 if raw.shape[1] == 1 else 3)
        if raw.ndim == 3:
            return self._read_classes(raw[0], quantised=details["quantization"][0] not in (0.0, 1.0))
        if raw.ndim != 4:
            raise ModelError(f"{self.path}: gives {raw.shape}; a segmenter gives scores or a class for every place")
        scores = raw[0].transpose(1, 2, 0) if self.layout == "nchw" else raw[0]
        # Of one scale for all classes, which changes no decision.
        return np.ascontiguousarray(scores, dtype=np.float32)

    def _read_classes(self, raw: NDArray[Any], *, quantised: bool) -> NDArray[np.uint8]:
        """Class numbers; refuses one channel of anything else, such as the score of a network that knows one class."""
        if quantised or (raw != np.rint(raw)).any() or raw.min() < 0 or raw.max() > 255:
            raise ModelError(
                f"{self.path}: gives one channel that is not the number of a class; export a score for each class, "
                "background included, or the best one's number"
            )
        return raw.astype(np.uint8)


def _enlarge(raw: NDArray[Any], size_hw: tuple[int, int]) -> NDArray[Any]:
    """Scores (h, w, C) or class numbers (h, w) on the pixels of the input.

    Of 129 cells for 513 pixels each fourth pixel has one, the first and the last among them (TensorFlow's DeepLabs).
    """
    for axis, side in enumerate(size_hw):
        cells = raw.shape[axis]
        exact = cells > 2 and (side - 1) % (cells - 1) == 0
        places = np.arange(side) * (cells - 1) / (side - 1) if exact else (np.arange(side) + 0.5) * cells / side - 0.5
        places = places.clip(0, cells - 1)
        if raw.ndim == 2:
            raw = raw.take(np.rint(places).astype(int), axis)
            continue
        low = np.minimum(places.astype(int), max(cells - 2, 0))
        share = np.expand_dims((places - low).astype(np.float32), tuple(other for other in range(3) if other != axis))
        raw = raw.take(low, axis) * (1 - share) + raw.take(np.minimum(low + 1, cells - 1), axis) * share
    return raw


def _tabulate_classes(classes: LabelMapping, count: int, path: Path) -> NDArray[np.uint8]:
    """Our class by the model's class number, 0 to count - 1. Raises ModelError when the mapping names one beyond."""
    if classes.values is None:
        raise UsageError(f"the mapping '{classes.name}' goes by colours; a model's classes are numbers (`values:`)")
    table: NDArray[np.uint8] = np.zeros(count, np.uint8)
    values: Mapping[Any, tuple[int, ...]] = classes.values
    for index, name in enumerate(CLASS_NAMES):
        for number in values.get(name, ()):
            if number >= count:
                raise ModelError(
                    f"{path}: has the classes 0 to {count - 1}, but the mapping '{classes.name}' names {number}; "
                    "give --classes that are this model's"
                )
            table[number] = index
    return table
