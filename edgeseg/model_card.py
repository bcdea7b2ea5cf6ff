"""ModelCard: what a model file says of itself, carried inside the .tflite.

The card is `edgeseg.json` in a zip appended to the FlatBuffer, beside `labels.txt`, as TFLite's own metadata tools do
it: every TFLite runtime still loads the file, and any unzip tool shows the card. The card holds the size and the
sha256 of the FlatBuffer in front of it, so a damaged model is found before an interpreter, which may crash on
one, sees it.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError

from edgeseg.classes import CLASSES, SegmentClass
from edgeseg.errors import InputNotFoundError, ModelError, explain
from edgeseg.fields import Part
from edgeseg.preprocess import PIXEL_OFFSET, PIXEL_SCALE, FitMode

CARD_NAME = "edgeseg.json"
LABELS_NAME = "labels.txt"
_FLATBUFFER_MARK = b"TFL3"  # the file identifier of the TFLite schema, at bytes 4..8
#: What zipfile raises for damage, by where it lies: a flipped bit may make an offset negative, a name no text, a
#: member compressed by a method that does not exist, or encrypted.
_DAMAGED_ZIP = (
    zipfile.BadZipFile,
    KeyError,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Of channels or blocks: a damaged card must not have a network built that fills the memory.
Factor = Annotated[float, Field(gt=0, le=8, allow_inf_nan=False)]


class CardClass(Part):
    """One class in the order of the scores; `color` is #rrggbb."""

    name: Annotated[str, Field(min_length=1)]
    color: Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]

    @classmethod
    def of(cls, item: SegmentClass) -> CardClass:
        return cls(name=item.name, color=item.color_hex)

    @property
    def segment_class(self) -> SegmentClass:
        red, green, blue = bytes.fromhex(self.color[1:])
        return SegmentClass(self.name, (red, green, blue))


class InputContract(Part):
    """How pixels become the model's input: x = (pixel - pixel_offset) * pixel_scale.

    Only `fit` varies between models; the rest is the one contract that preprocess.py implements, written down for
    whoever runs the file elsewhere.
    """

    color_order: Literal["RGB"] = "RGB"
    fit: FitMode = "stretch"
    pixel_offset: Annotated[float, Field(ge=PIXEL_OFFSET, le=PIXEL_OFFSET)] = PIXEL_OFFSET
    pixel_scale: Annotated[float, Field(ge=PIXEL_SCALE, le=PIXEL_SCALE)] = PIXEL_SCALE


class TrainingSet(Part):
    """A data set the model learnt from; `images` is the number of labelled pictures."""

    name: str
    licence: str
    images: Annotated[int, Field(ge=1)]


class Metrics(Part):
    """Measured quality on one data set; ratios 0..1, None for a class that did not occur."""

    iou: dict[str, float | None]
    mean_iou: float | None
    mean_iou_foreground: float | None = None
    pixel_accuracy: float | None = None
    images: int | None = None


class ReliabilityBin(Part):
    """Of the pixels of which a model was surer than `above` (and not as sure as the next bin's): how many they are, how
    sure it was in the mean, and the share that it had right."""

    above: Annotated[float, Field(ge=0, le=1)]
    pixels: Annotated[int, Field(ge=1)]
    confidence: Annotated[float, Field(ge=0, le=1)]
    accuracy: Annotated[float, Field(ge=0, le=1)]


class Calibration(Part):
    """How far the confidence can be believed on one data set: the expected calibration error, 0..1, before and after
    temperature and offsets, and what it is made of (edgeseg/reliability.py)."""

    dataset: str
    ece_before: Annotated[float, Field(ge=0, le=1)]
    ece: Annotated[float, Field(ge=0, le=1)]
    bins: tuple[ReliabilityBin, ...]


def _list_calibration(value: object) -> object:
    """Cards of earlier versions hold one, of all data sets together, or null."""
    if value is None:
        return ()
    return (value,) if isinstance(value, Mapping) else value


class ModelCard(Part):
    """The identity, the contract, the origin and the measured quality of a model."""

    name: Annotated[str, Field(min_length=1)]
    # Of the edgeseg that converted it.
    version: str = ""
    architecture: str = ""
    # What the architecture's channels and blocks were multiplied by.
    width: Factor = 1.0
    depth: Factor = 1.0
    params: Annotated[int, Field(ge=0)] = 0
    created: str = ""
    input_hw: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    output_stride: Annotated[int, Field(ge=1)] = 4
    classes: Annotated[tuple[CardClass, ...], Field(min_length=2, max_length=255)] = tuple(
        CardClass.of(item) for item in CLASSES
    )
    input: InputContract = InputContract()
    quantization: Literal["int8", "float32"] = "float32"
    # What training's scores were divided by, and what was then added to those of each class, in the last layer, for the
    # confidence to be true. The scores that leave the graph need nothing more.
    temperature: Annotated[float, Field(gt=0)] = 1.0
    offsets: tuple[float, ...] = ()
    # By data set: pooled, too sure on one and too unsure on another would look like neither.
    calibration: Annotated[tuple[Calibration, ...], BeforeValidator(_list_calibration)] = ()
    licence: str = ""
    # The pretrained weights that training started from, with their data and licence.
    started_from: str | None = None
    # The larger network whose scores it learnt beside the labels, with its licence.
    taught_by: str | None = None
    trained_on: tuple[TrainingSet, ...] = ()
    metrics: dict[str, Metrics] = Field(default_factory=dict)
    training_sha256: Sha256 | None = None
    # Of the FlatBuffer in front of the card; append_card() fills them in.
    model_sha256: Sha256 | None = None
    model_bytes: Annotated[int, Field(ge=1)] | None = None

    @property
    def design(self) -> str:
        """The architecture's name, with what scales it."""
        factors = {"width": self.width, "depth": self.depth}
        scaled = (f"{name} {value:g}" for name, value in factors.items() if value != 1)
        return " ".join(filter(None, (self.architecture, *scaled)))

    @property
    def segment_classes(self) -> tuple[SegmentClass, ...]:
        return tuple(item.segment_class for item in self.classes)

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(item.name for item in self.classes)

    @property
    def output_hw(self) -> tuple[int, int]:
        return self.input_hw[0] // self.output_stride, self.input_hw[1] // self.output_stride


class ModelFile(NamedTuple):
    """A verified model: its card and the FlatBuffer alone."""

    card: ModelCard
    flatbuffer: bytes


def parse_card(text: str | bytes, name: str) -> ModelCard:
    """Read a card from JSON. Raises ModelError that names `name`, the first wrong key and what is wrong with it."""
    try:
        return ModelCard.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the JSON"
        raise ModelError(
            f"{name}: the model card is wrong at {where}: {first['msg']}; convert the model again"
        ) from error


def append_card(path: Path, card: ModelCard) -> ModelCard:
    """Put a card into a .tflite, in place of the one it may hold; returns the card as written, with the sums.

    The file is replaced in one step, so a reader never meets half of it. Raises ModelError when it is no .tflite.
    """
    data = _read_bytes(path)
    _check_mark(data, path)
    flatbuffer = data[: _zip_start(data)]
    written = card.model_copy(
        update={"model_sha256": hashlib.sha256(flatbuffer).hexdigest(), "model_bytes": len(flatbuffer)}
    )
    buffer = io.BytesIO(flatbuffer)
    with zipfile.ZipFile(buffer, "a") as archive:
        # A fixed date, and stored: equal cards give equal files, and TFLite's metadata readers expect no compression.
        for name, text in (
            (CARD_NAME, written.model_dump_json(indent=2) + "\n"),
            (LABELS_NAME, "".join(f"{item}\n" for item in written.class_names)),
        ):
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), text)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(buffer.getvalue())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return written


def read_card(path: Path) -> ModelCard:
    """The card inside a .tflite, after the same checks as read_model()."""
    return read_model(path).card


def read_model(path: Path) -> ModelFile:
    """Read and verify a .tflite with its card.

    Raises InputNotFoundError when there is no such file, ModelError when it is empty, no .tflite, without a card, cut
    off, or not byte for byte what the card describes.
    """
    data = _read_bytes(path)
    _check_mark(data, path)
    start = _zip_start(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            text = archive.read(CARD_NAME)
    except _DAMAGED_ZIP as error:
        raise ModelError(
            f"{path}: holds no readable model card ({CARD_NAME}): the file was cut off or was not made by edgeseg; "
            "copy it again, or convert a trained model with `python -m convert`"
        ) from error
    card = parse_card(text, str(path))
    flatbuffer = data[:start]
    if card.model_bytes != len(flatbuffer) or card.model_sha256 != hashlib.sha256(flatbuffer).hexdigest():
        raise ModelError(f"{path}: the file is damaged, its checksum does not match its card; copy it again")
    return ModelFile(card, flatbuffer)


def read_flatbuffer(path: Path) -> bytes:
    """The FlatBuffer of any .tflite, edgeseg's or not; one with a card is verified. Raises as read_model() does."""
    data = _read_bytes(path)
    _check_mark(data, path)
    if CARD_NAME.encode() in data[_zip_start(data) :]:
        return read_model(path).flatbuffer
    return data


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{path}: no such model file; give the path of a .tflite") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model: {explain(error)}; give the path of a .tflite") from error


def _check_mark(data: bytes, path: Path) -> None:
    if not data:
        raise ModelError(f"{path}: the model file is empty; copy it again")
    if data[4:8] != _FLATBUFFER_MARK:
        raise ModelError(f"{path}: not a TFLite model; give a .tflite made by `python -m convert`")


def _zip_start(data: bytes) -> int:
    """The offset at which an appended zip begins; the whole length when there is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return min((item.header_offset for item in archive.infolist()), default=len(data))
    except _DAMAGED_ZIP:
        return len(data)
