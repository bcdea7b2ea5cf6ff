"""What lies in an archive is found, oldest first, and nothing else."""

from __future__ import annotations

from pathlib import Path

from edgeseg.recording.segment import list_archive

WALL, EARLY = "00000002_20261121T120000Z", "00000001_boot-1a2b3c4d-000000005s"


def test_segments_are_gathered_by_number(tmp_path: Path) -> None:
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "deeper").mkdir()
    for name, size in (
        (f"{WALL}.mp4", 7),
        (f"{WALL}.jsonl", 3),
        (f"front/{EARLY}.mp4", 5),
        (f"front/deeper/{WALL}.mp4", 1),
    ):
        (tmp_path / name).write_bytes(bytes(size))
    for name in ("00000002.keep", "00000003_20261121T120000Z.mp4.part", "holiday.mp4"):
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "front")
    listing = list_archive(tmp_path)
    first, second = listing.gather()
    assert (first.place, first.sizes, first.size) == ((tmp_path / "front", 1), {".mp4": 5}, 5)
    assert (second.place, second.sizes, second.size) == ((tmp_path, 2), {".jsonl": 3, ".mp4": 7}, 10)
    assert [path.exists() for path in (*first.paths(), *second.paths())] == [True] * 3
    assert listing.marks == [(tmp_path, 2)]
    assert [(folder, str(name)) for folder, name in listing.parts] == [(tmp_path, "00000003_20261121T120000Z.mp4.part")]


def test_what_goes_while_it_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / f"{WALL}.mp4").touch()
    listing = list_archive(tmp_path)
    (tmp_path / f"{WALL}.mp4").unlink()
    assert listing.gather() == []
