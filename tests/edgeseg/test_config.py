"""Config: units are spelled out, what is not known is refused, and what is read cannot change."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgeseg.config import Config, allowed_keys, parse_address
from edgeseg.fields import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("500ms", 0.5), ("1.5m", 90), ("2h", 7200), ("250 ms", 0.25), ("0.5s", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["10", 10, 1.5, None, "0s", "-1s", "1w", "s", "1e3s", "", True])
def test_what_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_addresses() -> None:
    assert parse_address("127.0.0.1:8080").port == 8080
    assert parse_address(8081).host == "127.0.0.1"
    for wrong in ("127.0.0.1", "127.0.0.1:99999", True, None, 1.5):
        with pytest.raises(ValueError, match="is not an address"):
            parse_address(wrong)


def test_the_defaults_make_a_run() -> None:
    config = Config()
    assert config.source is None
    assert config.model.path is None
    assert config.fusion.enabled
    assert config.output.save == ()


def test_a_camera_number_is_a_source() -> None:
    assert Config.model_validate({"source": 0}).source == "0"


def test_it_is_read_only() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().source = "1"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        Config().camera.fps = 3  # type: ignore[misc]


def test_every_mapping_refuses_keys_it_does_not_know() -> None:
    for place in allowed_keys(()):
        value = getattr(Config(), place)
        if hasattr(value, "model_fields_set"):
            with pytest.raises(ValidationError, match="Extra inputs"):
                Config.model_validate({place: {"nonsense": 1}})
    with pytest.raises(ValidationError, match="Extra inputs"):
        Config.model_validate({"nonsense": 1})


def test_an_editor_can_be_given_the_schema() -> None:
    schema = Config.model_json_schema()
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(allowed_keys(()))


def test_a_single_camera_is_what_camera_says_of_all() -> None:
    """With a size the default configuration of the service could not be run."""
    told = {"size": "1280x720", "fps": 30, "format": "YUYV", "rotate": 90, "flip": "vertical"}
    config = Config.model_validate({"source": "/dev/video0", "camera": told})
    (camera,) = config.named_cameras().values()
    assert (camera.source, camera.size, camera.fps, camera.format) == ("/dev/video0", (1280, 720), 30, "YUYV")
    assert (camera.rotate, camera.flip) == (90, "vertical")
    several = Config.model_validate({"cameras": {"front": {"source": "0"}}, "camera": told})
    assert several.named_cameras()["front"].size == (1280, 720)
