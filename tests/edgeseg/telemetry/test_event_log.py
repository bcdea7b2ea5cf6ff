"""EventLog: every event on the disk, in bounded space, whatever the disk does."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from edgeseg.config import Config
from edgeseg.errors import SinkUnavailableError
from edgeseg.events import Events
from edgeseg.telemetry import event_log
from edgeseg.telemetry.event_log import OLDER_FILES, EventLog
from edgeseg.telemetry.event_log_config import EventLogConfig
from edgeseg.telemetry.parts import event_log_path
from tests.broker import wait_until
from tests.edgeseg.program import environment, own_mounts


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_event_is_on_the_disk_as_soon_as_it_has_happened(tmp_path: Path) -> None:
    events, path = Events(), tmp_path / "state" / "events.jsonl"
    with EventLog(path, 1_000_000, events) as log:
        event = events.add("camera_lost", "Kabel – ä", camera="front", level="warning", away_s=1.5)
        wait_until(lambda: log.written == 1)
        (record,) = read(path)
        assert record.items() >= event.record().items()
        assert len(record["boot"]) == 8
        assert isinstance(record["clock_synchronised"], bool)
        events.add("camera_back", "again")
    assert [record["kind"] for record in read(path)] == ["camera_lost", "camera_back"]
    assert path.stat().st_mode & 0o777 == 0o640
    with EventLog(path, 1_000_000, events):
        events.add("config_reloaded", "another run goes on in it")
    assert len(read(path)) == 3


def test_the_space_it_takes_has_an_end_and_the_newest_stay(tmp_path: Path) -> None:
    events, path, size = Events(), tmp_path / "events.jsonl", 20_000
    with EventLog(path, size, events) as log:
        for number in range(100):
            events.add("heat_step", f"{number:03} {'x' * 200}")
        wait_until(lambda: log.written == 100)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"events.{age}.jsonl" for age in range(1, OLDER_FILES + 1)] + [path.name]
    assert sum(file.stat().st_size for file in files) <= size
    newest_last = [read(tmp_path / f"events.{age}.jsonl") for age in range(OLDER_FILES, 0, -1)] + [read(path)]
    numbers = [int(record["text"][:3]) for records in newest_last for record in records]
    assert numbers == list(range(numbers[0], 100))


@pytest.mark.parametrize(("left", "whole"), [(b'{"kind": "a"}\n{"ki', 1), (b'{"ki', 0), (b"", 0), (b"x" * 9000, 0)])
def test_a_line_that_the_power_cut_is_left_out(tmp_path: Path, left: bytes, whole: int) -> None:
    events, path = Events(), tmp_path / "events.jsonl"
    path.write_bytes(left)
    with EventLog(path, 1_000_000, events):
        events.add("camera_back", "again")
    assert [record["kind"] for record in read(path)] == [*(["a"] * whole), "camera_back"]


def test_a_place_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkUnavailableError, match=r"event_log .*events.jsonl: cannot be written: "):
        EventLog(tmp_path / "file" / "events.jsonl", 1_000_000, Events()).__enter__()
    with pytest.raises(SinkUnavailableError, match="is a directory"):
        EventLog(tmp_path, 1_000_000, Events()).__enter__()


ON_A_SMALL_DISK = """
import json, sys, time
from pathlib import Path
from edgeseg.events import Events
from edgeseg.telemetry.event_log import EventLog
from tests.broker import wait_until

disk = Path(sys.argv[1])
ballast = disk / "ballast"
events = Events()
with EventLog(disk / "events.jsonl", 1_000_000, events) as log:
    events.add("first", "there is room")
    wait_until(lambda: log.written == 1)
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError:
        pass
    for number in range(20):
        events.add("unseen", "x" * 5000)
    wait_until(lambda: log.lost >= 20)
    ballast.unlink()
    events.add("last", "there is room again")
    wait_until(lambda: "event_log_back" in events.counts() and log.written >= 3)
lines = (disk / "events.jsonl").read_text().splitlines()
print(json.dumps({"kinds": [json.loads(line)["kind"] for line in lines], "counts": events.counts(), "lost": log.lost}))
"""


def test_a_full_disk_ends_nothing_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    prefix = own_mounts(f"mount -t tmpfs -o size=64k none {tmp_path}")
    command = [*prefix, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["kinds"][0] == "first"
    assert found["kinds"][-2:] == ["last", "event_log_back"]
    # Told once for the whole time; what is told of the log itself may be lost with the rest.
    assert (found["counts"]["event_log_lost"], found["counts"]["event_log_back"]) == (1, 1)
    assert found["lost"] >= 20


def test_a_log_that_somebody_deletes_begins_anew(tmp_path: Path) -> None:
    events, path = Events(), tmp_path / "events.jsonl"
    with EventLog(path, 1_000_000, events) as log:
        events.add("first", "it will be deleted")
        wait_until(lambda: log.written == 1)
        path.unlink()
        events.add("second", "it is there")
        wait_until(lambda: log.written == 2)
        assert [record["kind"] for record in read(path)] == ["second"]


def test_a_disk_that_goes_away_and_comes_back_is_written_again(tmp_path: Path) -> None:
    events, folder = Events(), tmp_path / "stick" / "log"
    with EventLog(folder / "events.jsonl", 1_000_000, events) as log:
        events.add("first", "it is there")
        wait_until(lambda: log.written == 1)
        (folder / "events.jsonl").unlink()
        (tmp_path / "stick").rename(tmp_path / "drawer")
        events.add("second", "it is away")
        wait_until(lambda: log.lost >= 1)
        assert not folder.exists(), "what is written there would fill another disk"
        (tmp_path / "drawer").rename(tmp_path / "stick")
        events.add("third", "it is back")
        wait_until(lambda: "event_log_back" in events.counts())
    assert "third" in [record["kind"] for record in read(folder / "events.jsonl")]


def test_a_disk_that_hangs_at_the_start_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "OPEN_LIMIT_S", 0.01)
    answer = threading.Event()
    make_folder = event_log.make_folder

    def hang(folder: Path) -> list[Path]:
        answer.wait()
        return make_folder(folder)

    monkeypatch.setattr(event_log, "make_folder", hang)
    events, path = Events(), tmp_path / "events.jsonl"
    with EventLog(path, 1_000_000, events) as log:
        events.add("first", "it waits")
        assert log.written == 0
        answer.set()
        wait_until(lambda: log.written == 1)
    assert [record["kind"] for record in read(path)] == ["first"]


ON_A_READ_ONLY_DISK = """
import subprocess, sys
from pathlib import Path
from edgeseg.events import Events
from edgeseg.telemetry.event_log import EventLog
from tests.broker import wait_until

disk, events = Path(sys.argv[1]), Events()
with EventLog(disk / "folder" / "events.jsonl", 1_000_000, events) as log:
    events.add("first", "it is read-only")
    wait_until(lambda: log.lost >= 1)
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    events.add("second", "it is not")
    wait_until(lambda: log.written >= 1)
print([event.text for event in events.recent() if event.kind == "event_log_lost"])
"""


def test_a_disk_that_is_read_only_at_the_start_ends_nothing(tmp_path: Path) -> None:
    """A card that fails is read-only from the next start on: the live view goes on all the same."""
    prefix = own_mounts(f"mount -t tmpfs -o ro none {tmp_path}")
    command = [*prefix, sys.executable, "-c", ON_A_READ_ONLY_DISK, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "takes no more events: read-only file system; choose a folder" in result.stdout


def test_events_of_many_threads_are_whole_lines(tmp_path: Path) -> None:
    events, path = Events(), tmp_path / "events.jsonl"
    with EventLog(path, 10_000_000, events) as log:
        threads = [
            threading.Thread(target=lambda: [events.add("heat_step", "x" * 300) for _ in range(25)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: log.written == 100)
    assert {record["number"] for record in read(path)} == set(range(1, 101))


def test_a_size_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValidationError):
        EventLogConfig.model_validate({"path": "events.jsonl", "size": "10kB"})


def test_without_a_place_of_its_own_it_lies_beside_the_recordings(tmp_path: Path) -> None:
    recording = {"folder": str(tmp_path / "recordings")}
    own = {"path": str(tmp_path / "own.jsonl")}
    for values, path in (
        ({}, None),
        ({"recording": recording}, tmp_path / "recordings" / "events.jsonl"),
        ({"recording": recording, "event_log": own}, tmp_path / "own.jsonl"),
    ):
        assert event_log_path(Config.model_validate(values)) == path
