"""Archives for tests, and segments that lie in them."""

from __future__ import annotations

from pathlib import Path

from edgeseg.events import Events
from edgeseg.recording.archive import Archive
from edgeseg.recording.config import KeepConfig
from edgeseg.recording.name import SegmentName, Start
from tests.edgeseg.recording.clocks import FakeClock

NOON = 1_795_262_400.0


def put_segment(folder: Path, number: int, start: Start | float, size: int = 100) -> str:
    """Writes a closed segment, or what looks like one."""
    start = start if isinstance(start, Start) else Start(start)
    folder.mkdir(exist_ok=True)
    name = str(SegmentName(number, start))
    (folder / f"{name}.mp4").write_bytes(bytes(size - 10))
    (folder / f"{name}.jsonl").write_bytes(bytes(10))
    return name


class Opener:
    """Opens archives for a test, and closes at its end those that the test leaves open."""

    def __init__(self) -> None:
        self._left: list[Archive] = []

    def __call__(self, folder: Path, clock: FakeClock | None = None, **limits: float) -> tuple[Archive, Events]:
        events = Events()
        keep = KeepConfig.model_construct(**{"age": None, "size": None, "free": 0, "events": (), **limits})
        archive = Archive(folder, keep, events=events, clock=clock or FakeClock())
        archive.open()
        self._left.append(archive)
        return archive, events

    def close(self, archive: Archive) -> None:
        archive.close()
        self._left.remove(archive)

    def close_all(self) -> None:
        for archive in self._left:
            archive.close()


def numbers_of(archive: Archive) -> list[int]:
    return [it.name.number for it in archive.segments()]


def kinds_of(events: Events) -> list[str]:
    return [event.kind for event in events.recent()]
