"""Segmenter: a verified model in one interpreter; pictures go in, scores or classes come out."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import ModelError, UsageError
from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import TemporalFusion, decide
from edgeseg.model_card import ModelCard, read_model
from edgeseg.preprocess import PIXEL_SCALE, Fit, normalise_float, normalise_int8, to_input, upscale_logits
from edgeseg.runtimes import Interpreter, RuntimeChoice, RuntimeName, open_interpreter

#: The model that comes with edgeseg.
BUNDLED_MODEL = Path(__file__).parent / "models" / "edgeseg-nano-480x352-int8.tflite"
#: The same weights for a smaller input, which the ladder of ladder.py goes down to.
SMALL_BUNDLED_MODEL = BUNDLED_MODEL.with_name("edgeseg-nano-320x192-int8.tflite")


class Segmenter:
    """Runs one model. Not for use from two threads at once: an interpreter has one set of buffers.

    model: a .tflite with its card, the bundled one by default. threads: of the interpreter; 1 leaves the other cores
    to decoding and encoding. Raises InputNotFoundError when there is no such file, ModelError when the model is
    damaged, has no card or does not keep the graph's contract, ConfigError when there is no runtime for it.
    """

    def __init__(self, model: Path | str | None = None, threads: int = 1, runtime: RuntimeChoice = "auto") -> None:
        if threads < 1:
            raise UsageError(f"threads must be at least 1, got {threads}")
        self.path = BUNDLED_MODEL if model is None else Path(model)
        self.threads = threads
        file = read_model(self.path)
        self.card: ModelCard = file.card
        self.runtime: RuntimeName
        interpreter, self.runtime = open_interpreter(file.flatbuffer, str(self.path), runtime, threads)
        self._interpreter: Interpreter | None = interpreter
        self._input, self._output = check_graph(interpreter, self.card, str(self.path))
        self._rgb: NDArray[np.uint8] = np.empty((*self.card.input_hw, 3), np.uint8)
        self._classes = self.card.segment_classes

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the interpreter; a second call does nothing."""
        self._interpreter = None

    @property
    def interpreter(self) -> Interpreter:
        """The runtime's interpreter, for whoever looks into the graph. Raises RuntimeError once closed."""
        if self._interpreter is None:
            raise RuntimeError("the Segmenter is closed")
        return self._interpreter

    def fit(self, image_hw: tuple[int, int]) -> Fit:
        """Where a picture of that size lies in the model's input."""
        return Fit.plan(image_hw, self.card.input_hw, self.card.input.fit, self.card.output_stride)

    def logits(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The scores of a picture: (h, w, C) float32 over the whole input, letterbox bars included.

        image_bgr: (H, W, 3) uint8. int8 scores are dequantised. Raises DataError for another kind of array.
        """
        self._load(image_bgr)
        return self._infer()

    def scores(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The scores of a picture at its own size: (H, W, C) float32. Raises DataError for another kind of array."""
        return upscale_logits(self.logits(image_bgr), self.fit((image_bgr.shape[0], image_bgr.shape[1])))

    def segment(self, image: NDArray[np.uint8] | Frame, fusion: TemporalFusion | None = None) -> Segmentation:
        """Say what is where in a picture.

        image: (H, W, 3) uint8 BGR, or a Frame. fusion: carries what earlier pictures showed; give the same one for
        every picture of one stream. The timings are the milliseconds of `preprocess`, `inference`, `fusion` (when
        on) and `decide`. Raises DataError for another kind of array.
        """
        frame = image if isinstance(image, Frame) else Frame.of(image)
        timings: dict[str, float] = {}
        started = time.perf_counter()

        def lap(stage: str) -> None:
            nonlocal started
            now = time.perf_counter()
            timings[stage] = (now - started) * 1e3
            started = now

        self._load(frame.image)
        lap("preprocess")
        scores = self._infer()
        lap("inference")
        layout = self.fit((frame.image.shape[0], frame.image.shape[1]))
        scores = layout.crop(scores)
        if fusion is not None:
            scores = fusion.update(scores, layout.crop(self._rgb), frame.captured_ns)
            lap("fusion")
        class_ids, confidence = decide(scores)
        lap("decide")
        return Segmentation(frame, class_ids, confidence, timings, self._classes, scores)

    def _load(self, image_bgr: NDArray[np.uint8]) -> None:
        """Put a picture into the interpreter's input buffer, without a copy of ours in between."""
        to_input(image_bgr, self.card.input_hw, self.card.input.fit, stride=self.card.output_stride, out=self._rgb)
        # The view of the buffer must be gone before invoke(), so it lives in this expression only.
        buffer = self.interpreter.tensor(self._input["index"])
        if self._input["dtype"] == np.int8:
            normalise_int8(self._rgb, out=buffer()[0])
        else:
            buffer()[0] = normalise_float(self._rgb)

    def _infer(self) -> NDArray[np.float32]:
        interpreter = self.interpreter
        interpreter.invoke()
        raw: NDArray[Any] = interpreter.get_tensor(self._output["index"])[0]
        if raw.dtype == np.float32:
            return raw
        scale, zero_point = self._output["quantization"]
        return (raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def check_graph(interpreter: Interpreter, card: ModelCard, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Hold a graph against its card; returns the details of its input and its output. Raises ModelError."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"{name}: has {len(inputs)} inputs and {len(outputs)} outputs; a segmenter has one of each")
    source, scores = inputs[0], outputs[0]
    expected = np.dtype(card.quantization)
    height, width = card.input_hw
    if tuple(source["shape"]) != (1, height, width, 3):
        raise ModelError(f"{name}: takes {_shape(source)}, but its card says 1x{height}x{width}x3; convert it again")
    if source["dtype"] != expected or scores["dtype"] != expected:
        raise ModelError(
            f"{name}: takes {np.dtype(source['dtype'])} and gives {np.dtype(scores['dtype'])}, but its card says "
            f"{expected}; convert it again"
        )
    if expected == np.int8 and tuple(source["quantization"]) != (PIXEL_SCALE, 0):
        scale, zero_point = source["quantization"]
        raise ModelError(
            f"{name}: its input is quantised with scale {scale:.6g} and zero point {zero_point}, not with 1/128 and 0; "
            "convert it with `python -m convert`, which fixes the input range"
        )
    if len(scores["shape"]) != 4:
        raise ModelError(
            f"{name}: gives {_shape(scores)}: a classifier, not a segmenter, which gives 1 x h x w x classes"
        )
    rows, columns = card.output_hw
    if tuple(scores["shape"][:3]) != (1, rows, columns):
        raise ModelError(
            f"{name}: gives {_shape(scores)}, but at stride {card.output_stride} its card says "
            f"1x{rows}x{columns}x{len(card.classes)}; convert it again"
        )
    if scores["shape"][3] != len(card.classes):
        raise ModelError(
            f"{name}: scores {scores['shape'][3]} classes, but its card names {len(card.classes)} "
            f"({', '.join(card.class_names)}); convert it again with the right card"
        )
    return source, scores


def _shape(details: dict[str, Any]) -> str:
    return "x".join(str(side) for side in details["shape"])
