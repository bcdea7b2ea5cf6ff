"""Every bad input a user may come with: one clear line that names it, the documented exit code, no traceback."""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.segmenter import BUNDLED_MODEL
from tests.edgeseg.clips import write_clip
from tests.edgeseg.program import assert_one_error, count_frames, own_mounts, run_edgeseg


def write_picture(path: Path, picture: object) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, np.asarray(picture))[1].tobytes())
    return path


def write_huge_png(path: Path, width: int, height: int) -> Path:
    """A whole and valid PNG of one bit a pixel: 144 megapixels in a few kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes((1 + width // 8) * height), 1)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


# Sources.


def test_a_missing_file(tmp_path: Path) -> None:
    assert_one_error(run_edgeseg("run", tmp_path / "nowhere.mp4"), 66, "nowhere.mp4: no such file")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert_one_error(run_edgeseg("run", tmp_path / "empty.mp4"), 65, "empty.mp4: is empty")


def test_text_named_mp4(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("Dear diary,\ntoday I drove.\n" * 50)
    assert_one_error(run_edgeseg("run", tmp_path / "notes.mp4"), 65, "notes.mp4: cannot be read as a video")


def test_a_truncated_video_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 60, fps=60, faststart=True)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    out = tmp_path / "out.mp4"
    assert_one_error(run_edgeseg("run", clip, "--save", out), 65, "clip.mp4: is cut off")
    assert count_frames(out) > 0


def test_a_video_truncated_before_its_index(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 60)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    out = tmp_path / "out.mp4"
    assert_one_error(run_edgeseg("run", clip, "--save", out), 65, "clip.mp4", "cut off before its index")
    assert list(tmp_path.glob("out*")) == []


def test_sound_without_pictures(tmp_path: Path) -> None:
    song = write_clip(tmp_path / "song.mp4", video=False, sound=True)
    assert_one_error(run_edgeseg("run", song), 65, "song.mp4: holds no video, only audio")


def test_a_camera_that_is_not_there() -> None:
    assert_one_error(run_edgeseg("run", "97"), 69, "/dev/video97: no such camera")
    assert_one_error(run_edgeseg("run", "/dev/null"), 69, "/dev/null: gives no pictures")


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    assert_one_error(run_edgeseg("run", tmp_path), 66, "holds no pictures")


def test_a_stream_of_a_kind_that_is_not_known_keeps_its_password() -> None:
    result = run_edgeseg("run", "gopher://user:hunter2@host/1")
    assert_one_error(result, 2, "gopher://...: no such kind of source")
    assert "hunter2" not in result.stderr


# Models.


@pytest.mark.parametrize("damage", ["zero bytes", "first half", "noise", "one byte"])
def test_a_damaged_model(tmp_path: Path, damage: str) -> None:
    whole = BUNDLED_MODEL.read_bytes()
    rng = np.random.default_rng(7)
    flipped = bytearray(whole)
    flipped[: len(whole) // 3] = rng.integers(0, 256, len(whole) // 3, np.uint8).tobytes()
    content = {
        "zero bytes": b"",
        "first half": whole[: len(whole) // 2],
        "noise": rng.integers(0, 256, 100_000, np.uint8).tobytes(),
        "one byte": bytes(flipped),
    }[damage]
    (tmp_path / "bad.tflite").write_bytes(content)
    assert_one_error(run_edgeseg("run", "synthetic:", "--model", tmp_path / "bad.tflite"), 65, "bad.tflite")


def test_a_missing_model(tmp_path: Path) -> None:
    assert_one_error(run_edgeseg("run", "synthetic:", "--model", tmp_path / "no.tflite"), 66, "no.tflite")


def test_a_model_without_card(tmp_path: Path, bare_models: Path) -> None:
    model = shutil.copy(bare_models / "int8.tflite", tmp_path / "bare.tflite")
    assert_one_error(run_edgeseg("run", "synthetic:", "--model", model), 65, "bare.tflite", "card")


def test_a_classifier(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    model = make_model(tmp_path / "classifier.tflite", "classifier")
    assert_one_error(run_edgeseg("run", "synthetic:", "--model", model), 65, "classifier.tflite", "not a segmenter")


# Outputs.


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "read only"
    folder.mkdir()
    prefix = own_mounts(f"mount -t tmpfs -o ro none '{folder}'")
    for name in ("out.mp4", "out.jsonl", "deeper/out.mp4"):
        result = run_edgeseg("run", "synthetic:64x64", "--save", folder / name, prefix=prefix)
        assert_one_error(result, 69, folder / name, "cannot be written")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run_edgeseg("run", "synthetic:64x64", "--save", tmp_path / "file" / "out.mp4")
    assert_one_error(result, 69, "file/out.mp4: cannot be written")


@pytest.mark.parametrize(("name", "size"), [("out.mp4", "400k"), ("out.jsonl", "16k")])
def test_a_full_disk_ends_the_run_and_keeps_what_was_written(tmp_path: Path, name: str, size: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = own_mounts(f"mount -t tmpfs -o size={size} none '{disk}'")
    # What stands on the disk when the program has ended, seen from inside.
    keep = ("sh", "-c", f'"$@"; code=$?; cp "{disk}"/* "{tmp_path}"; exit $code', "sh")
    # On a slow machine the disk fills slowly, and no line about the run may come in between.
    (tmp_path / "quiet.yaml").write_text("log: {interval: 1h}")
    quiet = ("--config", tmp_path / "quiet.yaml")
    result = run_edgeseg("run", "synthetic:640x360@100", *quiet, "--save", disk / name, prefix=(*prefix, *keep))
    assert_one_error(result, 69, disk / name, "no space left on the disk")
    kept = tmp_path / name
    if name.endswith(".mp4"):
        assert count_frames(kept, cut=True) > 0
    else:
        assert kept.read_text().endswith("}\n")


def test_a_file_that_may_not_grow_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "quiet.yaml").write_text("log: {interval: 1h}")
    quiet = ("--config", tmp_path / "quiet.yaml")
    limit = ("prlimit", "--fsize=60000")
    result = run_edgeseg("run", "synthetic:320x180@100", *quiet, "--save", tmp_path / "out.mp4", prefix=limit)
    assert_one_error(result, 69, "out.mp4: writing stopped")


def test_an_output_of_no_known_kind() -> None:
    assert_one_error(run_edgeseg("run", "synthetic:", "--save", "out.gif"), 2, "out.gif", ".mp4")


def test_an_output_that_would_overwrite_the_source(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    before = clip.read_bytes()
    assert_one_error(run_edgeseg("run", clip, "--save", f"{tmp_path}/./clip.mp4"), 2, "is the source itself")
    assert clip.read_bytes() == before


def test_the_same_output_twice() -> None:
    assert_one_error(run_edgeseg("run", "synthetic:", "--save", "a.mp4", "--save", "./a.mp4"), 2, "is given twice")


def test_an_address_that_is_taken_and_one_that_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert_one_error(run_edgeseg("run", "synthetic:", "--http", address), 69, address, "in use")
    assert_one_error(run_edgeseg("run", "synthetic:", "--http", "127.0.0.1:99999"), 2, "--http", "65535")
    assert_one_error(run_edgeseg("run", "synthetic:", "--http", "192.0.2.1:8080"), 2, "log-in", "EDGESEG_TOKEN")


def test_an_address_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGESEG_TOKEN", "not-to-be-guessed-by-anybody")
    result = run_edgeseg("run", "synthetic:", "--http", "192.0.2.1:8080")
    assert result.returncode == 69
    assert result.stderr.splitlines()[-1].startswith("edgeseg: error: http://192.0.2.1:8080")


# The command line and the configuration.


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "no command"),
        (["fly"], "fly"),
        (["run"], "no source"),
        (["run", "0", "1"], "1"),
        (["run", "0", "--sve", "a.mp4"], "--sve"),
        (["run", "0", "--duration", "10"], "--duration '10'"),
        (["run", "0", "--threads", "none"], "--threads"),
        (["run", "0", "--threads", "0"], "--threads 0"),
        (["run", "0", "--camera-size", "big"], "--camera-size 'big'"),
        (["run", "synthetic:wide"], "synthetic:wide"),
        (["process", "a.mp4"], "--out"),
        (["eval"], "--dataset"),
        (["bench", "--rounds", "1"], "--rounds"),
        (["info", "--runtime", "onnx"], "onnx"),
    ],
)
def test_a_command_line_that_cannot_be_followed(arguments: list[str], named: str) -> None:
    assert_one_error(run_edgeseg(*arguments), 2, named)


def test_unknown_config_keys_are_all_named_with_their_lines(tmp_path: Path) -> None:
    config = tmp_path / "edgeseg.yaml"
    config.write_text("source: 0\ncamera:\n  fpz: 30\nlog: {interval: 10}\n")
    result = run_edgeseg("run", "--config", config)
    assert_one_error(
        result, 78, f"{config}:3: camera.fpz: unknown key; did you mean 'fps'?", f"{config}:4: log.interval"
    )


def test_a_missing_config(tmp_path: Path) -> None:
    assert_one_error(run_edgeseg("run", "0", "--config", tmp_path / "no.yaml"), 78, "no.yaml")


# Pictures.


def test_a_picture_of_one_pixel_is_segmented(tmp_path: Path) -> None:
    dot = write_picture(tmp_path / "dot.png", np.zeros((1, 1, 3), np.uint8))
    result = run_edgeseg("run", dot, "--save", tmp_path / "out.jsonl", "--save", tmp_path / "out.mp4")
    assert (result.returncode, result.stderr) == (0, "")
    assert "1 in, 1 segmented, 0 dropped" in result.stdout
    assert count_frames(tmp_path / "out.mp4") == 1


def test_a_picture_of_144_megapixels_is_refused(tmp_path: Path) -> None:
    huge = write_huge_png(tmp_path / "huge.png", 16_000, 9_000)
    assert_one_error(run_edgeseg("run", huge), 65, "huge.png: 16000x9000 is too large")


def test_pictures_with_alpha_and_with_sixteen_bits_are_segmented(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    write_picture(folder / "alpha.png", np.full((90, 160, 4), 128, np.uint8))
    write_picture(folder / "deep.png", np.full((90, 160, 3), 30_000, np.uint16))
    result = run_edgeseg("run", folder, "--save", tmp_path / "out.mp4")
    assert (result.returncode, result.stderr) == (0, "")
    assert count_frames(tmp_path / "out.mp4") == 2


def test_a_damaged_picture_in_a_folder_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "1.png", np.zeros((9, 16, 3), np.uint8))
    (tmp_path / "2.jpg").write_bytes(b"\xff\xd8\xff\xe0 and nothing more")
    assert_one_error(run_edgeseg("run", tmp_path), 65, tmp_path / "2.jpg")


def test_spaces_and_foreign_letters_in_every_path(tmp_path: Path) -> None:
    folder = tmp_path / "Fahrt nach Łódź 東京 №1"
    folder.mkdir()
    clip = write_clip(tmp_path / "x.mp4", 5).rename(folder / "Straße: größer.mp4")
    model = shutil.copy(BUNDLED_MODEL, folder / "модель 1.tflite")
    video, records = folder / "über all.mp4", folder / "ergebnis é.jsonl"
    result = run_edgeseg("run", clip, "--model", model, "--save", video, "--save", records)
    assert (result.returncode, result.stderr) == (0, "")
    assert str(clip) in result.stdout
    frames = count_frames(video)
    assert 1 <= frames <= 5
    assert len(records.read_text(encoding="utf-8").splitlines()) == frames


def test_a_file_name_that_is_no_utf8(tmp_path: Path) -> None:
    folder, records = tmp_path / "pictures", tmp_path / "out.jsonl"
    folder.mkdir()
    dot = write_picture(folder / "dot.png", np.zeros((9, 16, 3), np.uint8))
    dot.rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png"))
    result = run_edgeseg("run", folder, "--save", records)
    assert (result.returncode, result.stderr) == (0, "")
    assert "caf" in json.loads(records.read_text(encoding="utf-8"))["source"]
