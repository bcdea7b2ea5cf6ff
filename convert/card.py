"""What a converted model says of itself: training's card, made true for the size, the numbers and the bytes in hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import edgeseg
from edgeseg.model_card import Calibration, Metrics, ModelCard, append_card

Quantization = Literal["int8", "float32"]


def name_file(card: ModelCard) -> str:
    """`NAME-WIDTHxHEIGHT-QUANTIZATION.tflite`, width first as people say sizes."""
    height, width = card.input_hw
    return f"{card.name}-{width}x{height}-{card.quantization}.tflite"


def describe(
    trained: ModelCard,
    *,
    input_hw: tuple[int, int],
    output_hw: tuple[int, int],
    quantization: Quantization,
    metrics: Mapping[str, Metrics],
    temperature: float = 1.0,
    offsets: tuple[float, ...] = (),
    calibration: Sequence[Calibration] = (),
) -> ModelCard:
    """The card of one converted model.

    Training's own metrics are dropped: they belong to another size and another runtime. `metrics` are those that the
    device's own Segmenter measured, as is `calibration`; `temperature` and `offsets` were folded into the
    last layer.
    """
    changes = {
        "version": edgeseg.__version__,
        "input_hw": input_hw,
        "output_stride": input_hw[0] // output_hw[0],
        "quantization": quantization,
        "metrics": dict(metrics),
        "temperature": temperature,
        "offsets": offsets,
        "calibration": [item.model_dump() for item in calibration],
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    return ModelCard.model_validate(trained.model_dump() | changes)


def write_model(path: Path, flatbuffer: bytes, card: ModelCard) -> ModelCard:
    """Writes a model with its card inside; returns the card as written, with the sums of the bytes."""
    path.write_bytes(flatbuffer)
    return append_card(path, card)
