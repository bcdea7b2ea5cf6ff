"""The configuration: what a run needs to know, typed, from defaults, a YAML file and flags, in this order.

A file is a mapping with the keys of `Config`, all of them optional:

    source: /dev/v4l/by-id/usb-046d_HD_Webcam-video-index0
    camera: {size: 1280x720, fps: 30, format: MJPG}
    model: {threads: 2}
    output: {save: [out/drive.mp4, out/drive.jsonl], http: 127.0.0.1:8080}
    log: {interval: 1m}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from edgeseg.errors import UsageError
from edgeseg.fields import Duration, Part, parse_size
from edgeseg.overlay import DEFAULT_OPACITY
from edgeseg.runtimes import RuntimeChoice
from edgeseg.server.address import Address
from edgeseg.sources.pictures import DEFAULT_FPS


def parse_address(text: object) -> Address:
    """Returns the address that `HOST:PORT` or `PORT` means. Raises ValueError."""
    if not isinstance(text, (str, int)) or isinstance(text, bool):
        raise ValueError("is not an address; write for instance 127.0.0.1:8080")
    try:
        return Address.parse(str(text))
    except UsageError as error:
        raise ValueError("is not an address: the port must be 0 to 65535; write PORT or HOST:PORT") from error


def _number_to_text(value: object) -> object:
    # `source: 0` is a number to YAML and a camera to the user.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Size = Annotated[tuple[int, int], PlainValidator(parse_size)]
HttpAddress = Annotated[Address, PlainValidator(parse_address)]
Text = Annotated[str, BeforeValidator(_number_to_text), Field(min_length=1)]
Rate = Annotated[float, Field(gt=0, le=1000)]


class CameraConfig(Part):
    """What a camera is asked for; it may give something else."""

    size: Size | None = None
    fps: Rate | None = None
    format: Annotated[str, Field(pattern=r"^[A-Z0-9]{4}$")] = "MJPG"


class PicturesConfig(Part):
    """How many pictures of a folder are shown a second."""

    fps: Rate = DEFAULT_FPS


class ModelConfig(Part):
    """The model; without a path the bundled one."""

    path: Path | None = None
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    runtime: RuntimeChoice = "auto"


class FusionConfig(Part):
    """How the last pictures take part in deciding the present one; without a half life it is fusion.py's own."""

    enabled: bool = True
    half_life: Duration | None = None


class OverlayConfig(Part):
    """How the overlay looks."""

    opacity: Annotated[float, Field(ge=0, le=1)] = DEFAULT_OPACITY
    legend: bool = False


class OutputConfig(Part):
    """Where results go."""

    save: tuple[Text, ...] = ()
    http: HttpAddress | None = None
    allow_remote: bool = False
    window: bool = False


class LogConfig(Part):
    """What is written to stderr, and how often a line about the run is."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    interval: Duration = 10.0


class Config(Part):
    """Everything a run can be told. Durations are in seconds once read, sizes are (width, height)."""

    source: Text | None = None
    loop: bool = False
    duration: Duration | None = None
    camera: CameraConfig = CameraConfig()
    pictures: PicturesConfig = PicturesConfig()
    model: ModelConfig = ModelConfig()
    fusion: FusionConfig = FusionConfig()
    overlay: OverlayConfig = OverlayConfig()
    output: OutputConfig = OutputConfig()
    log: LogConfig = LogConfig()


def allowed_keys(place: tuple[str | int, ...]) -> list[str]:
    """Returns the keys that a mapping of the file may hold, by the keys that lead to it."""
    model: Any = Config
    for key in place:
        model = model.model_fields[key].annotation
    return sorted(model.model_fields)
