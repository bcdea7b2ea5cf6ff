"""Recorders that do in a moment what takes a device minutes, and archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeseg.events import Events
from edgeseg.recording import keeper, pause, writer
from edgeseg.recording.archive import Archive
from edgeseg.recording.config import RecordingConfig
from edgeseg.recording.recorder import Recorder
from tests.edgeseg.recording.archives import Opener
from tests.edgeseg.recording.clocks import FakeClock

Open = Callable[..., AbstractContextManager["Running"]]


@dataclass
class Running:
    """A recorder at work, and what it says."""

    recorder: Recorder
    archive: Archive
    events: Events
    clock: FakeClock

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events.recent()]


@pytest.fixture
def open_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """open_recorder(folder, clock=, camera=, **keys of the configuration) as a context; its thread is in a hurry."""
    monkeypatch.setattr(writer, "PERIOD_S", 0.02)
    monkeypatch.setattr(keeper, "TEND_S", 0.05)
    monkeypatch.setattr(pause, "RETRY_S", 0.05)

    @contextmanager
    def open_it(
        folder: Path | None = None, *, clock: FakeClock | None = None, camera: str | None = None, **keys: Any
    ) -> Iterator[Running]:
        folder = folder or tmp_path / "recordings"
        keep = {"free": "1kB", **keys.pop("keep", {})}
        config = RecordingConfig.model_validate({"folder": folder, "segment": "2s", "keep": keep, **keys})
        events, clock = Events(), clock or FakeClock()
        archive = Archive(folder, config.keep, events=events, clock=clock)
        with Recorder(config, archive, camera=camera, events=events) as recorder:
            yield Running(recorder, archive, events, clock)

    return open_it


@pytest.fixture
def opener() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    opener.close_all()
