"""JsonlSink: what a record holds, and that only whole records stay."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.jsonl import JsonlSink
from tests.edgeseg.results import make_drive, make_result, write_all


def _records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_live_record_holds_place_time_age_shares_and_timings(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    with JsonlSink(path) as sink:
        for index, ago_s in ((7, 0.5), (8, 0.25)):
            sink.write(make_result(index, captured_ns=time.monotonic_ns() - int(ago_s * 1e9), source="Kamera Süd"))
    first, second = _records(path)
    assert (first["index"], first["source"], first["time_s"]) == (7, "Kamera Süd", 0)
    assert second["time_s"] == pytest.approx(0.25, abs=0.2)
    assert isinstance(first["age_ms"], float)
    assert first["age_ms"] >= 500
    captured = datetime.fromisoformat(str(first["captured"]).replace("Z", "+00:00"))
    assert 0 < (datetime.now(timezone.utc) - captured).total_seconds() < 60
    assert first["timings_ms"] == {"inference": 4.5}
    shares = first["shares"]
    assert isinstance(shares, dict)
    assert list(shares) == ["other", "road", "vehicle", "person"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert shares["road"] > shares["person"] > 0


def test_a_record_of_a_file_has_its_place_in_the_file_and_no_age(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    write_all(JsonlSink(path, clock="file"), make_drive(3, fps=25))
    records = _records(path)
    assert [record["time_s"] for record in records] == [0, 0.04, 0.08]
    assert all(not {"age_ms", "captured"} & set(record) for record in records)


def test_a_record_of_a_picture_has_no_time(tmp_path: Path) -> None:
    path = tmp_path / "pictures.jsonl"
    write_all(JsonlSink(path, clock="none"), make_drive(2))
    assert [list(record) for record in _records(path)] == [["index", "source", "shares", "timings_ms"]] * 2


def test_a_reader_of_the_growing_file_meets_every_record(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    with JsonlSink(path) as sink:
        for count, result in enumerate(make_drive(3), start=1):
            sink.write(result)
            assert len(_records(tmp_path / "live.jsonl.part")) == count
    assert len(_records(path)) == 3


def test_a_file_of_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text("of yesterday\n" * 100)
    write_all(JsonlSink(path), [make_result()])
    assert len(_records(path)) == 1


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SinkUnavailableError, match=r"a\.jsonl: cannot be written: ") as caught:
        JsonlSink(tmp_path / "file" / "a.jsonl").__enter__()
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_whole_records(small_disk: Path) -> None:
    path = small_disk / "full.jsonl"
    (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 128 * 1024))
    with pytest.raises(SinkUnavailableError, match="no space left") as caught:
        write_all(JsonlSink(path), make_drive(5000, width=8, height=8))
    assert str(path) in str(caught.value)
    assert len(_records(path)) > 100


def test_a_write_cut_short_leaves_whole_records(
    tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "short.jsonl"
    with file_size_limit(1000), pytest.raises(SinkUnavailableError):
        write_all(JsonlSink(path), make_drive(100))
    assert 1 <= len(_records(path)) < 10
