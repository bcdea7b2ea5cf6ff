"""What a file may say of recordings."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edgeseg.recording.config import KeepConfig, RecordingConfig


def test_what_is_not_said() -> None:
    config = RecordingConfig.model_validate({"folder": "/var/lib/edgeseg/recordings"})
    assert (config.folder, config.picture) == (Path("/var/lib/edgeseg/recordings"), "overlay")
    assert (config.segment, config.records) == (60, True)
    assert config.keep == KeepConfig()
    assert (config.keep.age, config.keep.size, config.keep.free) == (None, None, 500_000_000)
    assert config.keep.events == ("person_in_path",)


def test_what_can_be_said() -> None:
    config = RecordingConfig.model_validate(
        {
            "folder": "x",
            "picture": "raw",
            "segment": "5m",
            "records": False,
            "keep": {"age": "7d", "size": "20GB", "free": "2GiB", "events": []},
        }
    )
    assert (config.segment, config.keep.age, config.keep.size, config.keep.free) == (
        300,
        604_800,
        20 * 10**9,
        2 * 2**30,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"folder": "x", "segment": "500ms"},
        {"folder": "x", "segment": "2h"},
        {"folder": "x", "picture": "both"},
        {"folder": "x", "keep": {"size": 20}},
        {"folder": "x", "keep": {"days": 7}},
        {"folder": "x", "keep": {"events": ["person_in_paht"]}},
    ],
)
def test_what_cannot(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RecordingConfig.model_validate(wrong)


def test_it_can_be_written_down_again() -> None:
    config = RecordingConfig.model_validate({"folder": "x", "segment": "90s", "keep": {"size": "20GB", "age": "7d"}})
    assert RecordingConfig.model_validate(config.model_dump(mode="json", exclude_none=True)) == config
