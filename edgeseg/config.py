"""The configuration: what a run needs to know, typed, from defaults, a YAML file and flags, in this order.

A file is a mapping with the keys of `Config`, all of them optional:

    source: /dev/v4l/by-id/usb-046d_HD_Webcam-video-index0
    camera: {size: 1280x720, fps: 30, format: MJPG}
    model: {threads: 2}
    output: {save: [out/drive.mp4, out/drive.jsonl]}
    http: {address: 127.0.0.1:8080}
    log: {interval: 1m}
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from edgeseg.corridor import PathConfig
from edgeseg.errors import EdgesegError, UsageError
from edgeseg.fields import Duration, Part, Size
from edgeseg.heat_config import HeatConfig
from edgeseg.overlay import DEFAULT_OPACITY
from edgeseg.push.address import PushAddress
from edgeseg.recording.config import RecordingConfig
from edgeseg.runtimes import RuntimeChoice
from edgeseg.server.access_config import Access
from edgeseg.server.address import Address
from edgeseg.sinks import choose_kind
from edgeseg.sources import is_endless, open_source
from edgeseg.sources.pictures import DEFAULT_FPS
from edgeseg.telemetry.event_log_config import EventLogConfig
from edgeseg.telemetry.mqtt_config import MqttConfig
from edgeseg.telemetry.webhook_config import WebhookConfig
from edgeseg.truth import TruthConfig

#: The type of an error whose message says all, also what was written.
WHOLE = "whole"


def parse_address(text: object) -> Address:
    """Returns the address that `HOST:PORT` or `PORT` means. Raises ValueError."""
    if not isinstance(text, (str, int)) or isinstance(text, bool):
        raise ValueError("is not an address; write for instance 127.0.0.1:8080")
    try:
        return Address.parse(str(text))
    except UsageError as error:
        raise ValueError("is not an address: the port must be 0 to 65535; write PORT or HOST:PORT") from error


def parse_push(text: object) -> PushAddress:
    """Returns the address to push to. Raises ValueError."""
    if not isinstance(text, str):
        raise ValueError("is no address to push to; write for instance rtsp://10.0.0.2:8554/drive")
    return PushAddress.parse(text)


def _number_to_text(value: object) -> object:
    # `source: 0` is a number to YAML and a camera to the user.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def check_source(uri: str) -> str:
    """Returns the address of a source when there is a kind of source for it, be it there or not."""
    if "\0" in uri:
        raise ValueError("is no name of a file; write it anew")
    if is_endless(uri):
        try:
            open_source(uri, live=True)
        except EdgesegError as error:
            # It names the source itself, without its password.
            raise PydanticCustomError(WHOLE, "{text}", {"text": str(error)}) from error
    return uri


def check_format(text: str) -> str:
    """Returns the four letters of a pixel format. Raises ValueError."""
    if re.fullmatch(r"[A-Z0-9]{4}", text) is None:
        raise ValueError("is no pixel format; write four capital letters or digits, such as MJPG or YUYV")
    return text


def check_save(uri: str) -> str:
    """Returns the address of an output when there is a kind of output for it."""
    try:
        choose_kind(uri)
    except UsageError as error:
        raise PydanticCustomError(WHOLE, "{text}", {"text": str(error)}) from error
    return uri


HttpAddress = Annotated[
    Address,
    PlainValidator(parse_address, json_schema_input_type=str | int),
    PlainSerializer(str, return_type=str, when_used="json"),
]
PushTo = Annotated[
    PushAddress,
    PlainValidator(parse_push, json_schema_input_type=str),
    PlainSerializer(str, return_type=str, when_used="json"),
]
Text = Annotated[str, BeforeValidator(_number_to_text, json_schema_input_type=str | int), Field(min_length=1)]
SourceText = Annotated[Text, AfterValidator(check_source)]
Rate = Annotated[float, Field(gt=0, le=1000)]


class CameraConfig(Part):
    """What a camera is asked for; it may give something else. rotate: degrees clockwise, after that flip."""

    size: Size | None = None
    fps: Rate | None = None
    format: Annotated[str, AfterValidator(check_format), Field(json_schema_extra={"pattern": r"^[A-Z0-9]{4}$"})] = (
        "MJPG"
    )
    rotate: Literal[0, 90, 180, 270] = 0
    flip: Literal["none", "horizontal", "vertical"] = "none"


class NamedCamera(CameraConfig):
    """One of several cameras. What it does not say is as under `camera:` and `person_in_path:`."""

    source: SourceText
    person_in_path: PathConfig | None = None


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
    """Where results go. `{camera}` in a name stands for the camera's name, which several cameras need."""

    save: tuple[Annotated[Text, AfterValidator(check_save)], ...] = ()
    window: bool = False


class HttpConfig(Access):
    """The live page and who may open it; without an address there is none."""

    address: HttpAddress | None = None
    webrtc: bool = False


class LogConfig(Part):
    """What is written to stderr, and how often a line about the run is."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    interval: Duration = 10.0


CameraName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


class Config(Part):
    """Everything a run can be told. Durations are in seconds once read, sizes are (width, height)."""

    source: SourceText | None = None
    cameras: dict[CameraName, NamedCamera] = Field(default_factory=dict)
    loop: bool = False
    duration: Duration | None = None
    max_age: Duration | None = None
    too_old: Literal["mark", "drop"] = "mark"
    privacy: Literal["none", "blur_people"] = "none"
    camera: CameraConfig = CameraConfig()
    picture_check: TruthConfig = TruthConfig()
    pictures: PicturesConfig = PicturesConfig()
    model: ModelConfig = ModelConfig()
    fusion: FusionConfig = FusionConfig()
    overlay: OverlayConfig = OverlayConfig()
    output: OutputConfig = OutputConfig()
    push: tuple[PushTo, ...] = ()
    recording: RecordingConfig = RecordingConfig()
    http: HttpConfig = HttpConfig()
    event_log: EventLogConfig = EventLogConfig()
    webhook: WebhookConfig = WebhookConfig()
    mqtt: MqttConfig = MqttConfig()
    heat: HeatConfig = HeatConfig()
    person_in_path: PathConfig = PathConfig()
    state_folder: Path | None = None
    log: LogConfig = LogConfig()

    @field_validator("cameras")
    @classmethod
    def _one_or_several(cls, cameras: dict[str, NamedCamera], info: ValidationInfo) -> dict[str, NamedCamera]:
        if cameras and info.data.get("source") is not None:
            raise ValueError("stands beside 'source', which is for a single camera; keep one of the two")
        return cameras

    def named_cameras(self) -> dict[str, NamedCamera]:
        """Returns every camera by its name, each with what `camera:` says for all; a single one is "camera"."""
        common = {name: getattr(self.camera, name) for name in CameraConfig.model_fields}
        if self.source is not None:
            # A copy: what has been read from a file is not read again, and a size is no text any more.
            camera = NamedCamera(source=self.source, person_in_path=self.person_in_path)
            return {SINGLE_CAMERA: camera.model_copy(update=common)}
        common["person_in_path"] = self.person_in_path
        return {
            name: camera.model_copy(
                update={key: value for key, value in common.items() if key not in camera.model_fields_set}
            )
            for name, camera in self.cameras.items()
        }


#: What a single camera is called on the page, in events and in names of files.
SINGLE_CAMERA = "camera"


def allowed_keys(place: tuple[str | int, ...]) -> list[str]:
    """Returns the keys that a mapping of the file may hold, by the keys that lead to it; none where any will do."""
    kind: Any = Config
    for step in place:
        if isinstance(kind, type) and issubclass(kind, Part):
            kind = kind.model_fields[str(step)].annotation if step in kind.model_fields else None
        else:
            # A mapping by name or a list: what it holds is its last argument.
            kind = next(iter(reversed(get_args(kind))), None)
            kind = get_args(kind)[0] if kind is Ellipsis else kind
        kind = _without_none(kind)
    return sorted(kind.model_fields) if isinstance(kind, type) and issubclass(kind, Part) else []


def _without_none(kind: Any) -> Any:
    """Returns what may be given where a value may be left out: X of `X | None` and of `Annotated[X, ...]`."""
    while True:
        arguments = get_args(kind)
        if get_origin(kind) is Annotated:
            kind = arguments[0]
        elif type(None) in arguments:
            kind = next(item for item in arguments if item is not type(None))
        else:
            return kind
