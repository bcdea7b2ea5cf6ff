"""Names and records: nothing overwrites anything, and what is done stays done while it is the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeseg.errors import InputNotFoundError
from edgeseg.offline.plan import Item, identify, plan_items, read_record, write_record


def _touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def _names(inputs: list[Path], out: Path) -> list[tuple[str, str]]:
    plan = plan_items(inputs, out)
    assert plan.errors == []
    return [(item.name, item.kind) for item in plan.items]


def test_inputs_with_one_stem_get_names_of_their_own(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/drive.mp4", "b/drive.mp4", "b/drive.avi", "c/drive-2.mp4")]
    _touch(*paths)
    assert [name for name, _ in _names(paths, tmp_path / "out")] == ["drive", "drive-2", "drive-3", "drive-2-2"]


def test_an_input_that_is_given_twice_is_done_once(tmp_path: Path) -> None:
    _touch(tmp_path / "drive.mp4")
    link = tmp_path / "link.mp4"
    link.symlink_to(tmp_path / "drive.mp4")
    items = plan_items([tmp_path / "drive.mp4", tmp_path / "." / "drive.mp4", link], tmp_path / "out").items
    assert [item.path for item in items] == [tmp_path / "drive.mp4"]


def test_an_input_keeps_its_name_in_later_runs_whatever_is_given_beside_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a/drive.mp4", tmp_path / "b/drive.mp4"
    _touch(first, second)
    out = tmp_path / "out"
    items = plan_items([first, second], out).items
    write_record(items[0].record(out), {"identity": identify(items[0], "", {}), "outputs": []})
    write_record(items[1].partial(out) / "job.json", {"identity": identify(items[1], "", {})})
    assert [name for name, _ in _names([second, first], out)] == ["drive-2", "drive"]
    third = tmp_path / "c/drive.mp4"
    _touch(third)
    assert _names([third], out) == [("drive-3", "video")]


def test_a_folder_stands_for_its_videos_and_its_pictures(tmp_path: Path) -> None:
    folder = tmp_path / "tour"
    _touch(folder / "b.MP4", folder / "a.mov", folder / "1.png", folder / "2.JPG", folder / "notes.txt")
    _touch(folder / "deeper" / "c.mp4")
    assert _names([folder], tmp_path / "out") == [("a", "video"), ("b", "video"), ("tour", "pictures")]


def test_a_folder_named_by_a_dot_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _touch(tmp_path / "tour" / "1.png")
    monkeypatch.chdir(tmp_path / "tour")
    assert _names([Path()], tmp_path / "out") == [("tour", "pictures")]


def test_outputs_of_earlier_runs_are_no_inputs(tmp_path: Path) -> None:
    """Neither by their folder nor by a pattern that matches them; what somebody else put there is one."""
    _touch(*(tmp_path / name for name in ("a.mp4", "a.overlay.mp4", "1.png", "1.overlay.jpg", "1.mask.png")))
    _touch(tmp_path / "b.overlay.mp4", tmp_path / "c.partial" / "part-00000.mp4")
    for name, outputs in (("a", ["a.overlay.mp4"]), ("1", ["1.overlay.jpg", "1.mask.png"])):
        identity = {"input": str(tmp_path / name)}
        write_record(tmp_path / ".edgeseg" / f"{name}.json", {"identity": identity, "outputs": outputs})
    write_record(tmp_path / "c.partial" / "job.json", {"identity": {"input": "/else/c.mp4"}})
    folder, videos, pictures = plan_items([tmp_path], tmp_path), tmp_path.glob("*.mp4"), tmp_path.glob("*.png")
    assert [item.path.name for item in folder.items] == ["a.mp4", "b.overlay.mp4", tmp_path.name]
    assert [path.name for path in folder.items[-1].pictures] == ["1.png"]
    given = plan_items(sorted([*videos, *pictures, tmp_path / "c.partial"]), tmp_path)
    assert [item.path.name for item in given.items] == ["1.png", "a.mp4", "b.overlay.mp4"]
    assert [path.name for path in given.left_out] == ["1.mask.png", "a.overlay.mp4", "c.partial"]


def test_what_is_not_there_is_named_and_the_rest_is_planned(tmp_path: Path) -> None:
    _touch(tmp_path / "drive.mp4")
    (tmp_path / "empty").mkdir()
    plan = plan_items([tmp_path / "no.mp4", tmp_path / "empty", tmp_path / "drive.mp4"], tmp_path / "out")
    errors = plan.errors
    assert [item.name for item in plan.items] == ["drive"]
    assert all(isinstance(error, InputNotFoundError) for error in errors)
    assert f"{tmp_path / 'no.mp4'}: no such file" in str(errors[0])
    assert f"{tmp_path / 'empty'}: holds no pictures and no videos" in str(errors[1])


def test_outputs_are_called_after_the_input(tmp_path: Path) -> None:
    out = Path("out")
    video, picture, pictures = (Item(Path(), kind, "drive") for kind in ("video", "picture", "pictures"))
    assert [str(item.overlay(out)) for item in (video, picture, pictures)] == [
        "out/drive.overlay.mp4",
        "out/drive.overlay.jpg",
        "out/drive.overlay",
    ]
    assert [str(item.masks(out)) for item in (video, picture, pictures)] == [
        "out/drive.masks",
        "out/drive.mask.png",
        "out/drive.masks",
    ]
    assert str(video.records(out)) == "out/drive.jsonl"


@pytest.mark.parametrize("change", ["content", "time", "model", "choice"])
def test_another_input_model_or_choice_is_other_work(tmp_path: Path, change: str) -> None:
    path = tmp_path / "drive.mp4"
    _touch(path)
    item = Item(path, "video", "drive")
    before = identify(item, "a", {"masks": False})
    assert identify(item, "a", {"masks": False}) == before
    status = path.stat()
    if change == "content":
        path.write_bytes(b"longer")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    if change == "time":
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert identify(item, "b" if change == "model" else "a", {"masks": change == "choice"}) != before


def test_another_picture_in_a_folder_is_other_work(tmp_path: Path) -> None:
    _touch(tmp_path / "1.png", tmp_path / "2.png")
    item = Item(tmp_path, "pictures", "tour")
    before = identify(item, "a", {})
    _touch(tmp_path / "notes.txt")
    assert identify(item, "a", {}) == before
    _touch(tmp_path / "3.png")
    assert identify(item, "a", {}) != before


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"version": 0}', "\x00\xff"])
def test_a_record_that_is_not_ours_counts_as_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "record.json"
    path.write_text(content)
    assert read_record(path) is None


def test_a_record_survives_the_way_to_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record.json"
    write_record(path, {"name": "Straße", "frames": 3})
    record = read_record(path)
    assert record is not None
    assert (record["name"], record["frames"]) == ("Straße", 3)
    assert os.listdir(path.parent) == ["record.json"]  # noqa: PTH208
