"""PictureSource: every kind of picture file a user has comes as BGR uint8, or is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.frame import Frame
from edgeseg.sources.pictures import PictureSource


def write(path: Path, picture: Any) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
    return path


def read_all(source: PictureSource) -> list[Frame]:
    with source:
        return list(iter(source.read, None))


def test_a_folder_comes_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 1, 33):
        write(tmp_path / f"frame{number}.png", np.full((4, 6, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "more.png").mkdir()
    source = PictureSource(tmp_path, live=False)
    frames = read_all(source)
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10, 33]
    assert [Path(frame.source).name for frame in frames] == ["frame1.png", "frame2.png", "frame10.png", "frame33.png"]
    assert source.frame_count == 4


def test_a_single_picture_is_one_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "a.JPG", np.zeros((5, 7, 3), np.uint8))
    (frame,) = read_all(PictureSource(path, live=False))
    assert frame.size_wh == (7, 5)


def test_live_pictures_come_at_the_rate_asked_for(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"{number}.png", np.zeros((4, 6, 3), np.uint8))
    stamps = [frame.captured_ns for frame in read_all(PictureSource(tmp_path, live=True, fps=50))]
    assert [stamp - stamps[0] for stamp in stamps] == [0, 20_000_000, 40_000_000]


def test_a_loop_shows_them_again(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8))
    with PictureSource(tmp_path, live=False, loop=True) as source:
        frames = [source.read() for _ in range(3)]
    assert [frame.index for frame in frames if frame] == [0, 1, 2]


def test_alpha_is_dropped_and_sixteen_bits_become_eight(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.full((4, 6, 4), (10, 20, 30, 0), np.uint8))
    write(tmp_path / "b.png", np.full((4, 6, 3), (2560, 5120, 7680), np.uint16))
    write(tmp_path / "c.png", np.full((4, 6), 40, np.uint8))
    frames = read_all(PictureSource(tmp_path, live=False))
    assert [frame.image[0, 0].tolist() for frame in frames] == [[10, 20, 30], [10, 20, 30], [40, 40, 40]]
    assert {(frame.image.shape, frame.image.dtype) for frame in frames} == {((4, 6, 3), np.dtype(np.uint8))}


def test_one_pixel_is_a_picture(tmp_path: Path) -> None:
    (frame,) = read_all(PictureSource(write(tmp_path / "dot.png", np.zeros((1, 1, 3), np.uint8)), live=False))
    assert frame.size_wh == (1, 1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, suffix: str) -> None:
    # A small picture whose header says that it is huge: decoding it would fail otherwise.
    path = write(tmp_path / f"huge{suffix}", np.zeros((16, 24, 3), np.uint8))
    data = bytearray(path.read_bytes())
    if suffix == ".png":
        data[16:24] = (16_000).to_bytes(4, "big") + (9_000).to_bytes(4, "big")
    elif suffix == ".bmp":
        data[18:26] = (16_000).to_bytes(4, "little") + (9_000).to_bytes(4, "little")
    else:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = (9_000).to_bytes(2, "big") + (16_000).to_bytes(2, "big")
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"huge\.\w+: 16000x9000 is too large, 144 megapixels"):
        read_all(PictureSource(path, live=False))


def test_a_cut_png_is_named_and_libpng_stays_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (100, 100, 3), np.uint8)
    path = write(tmp_path / "half.png", noise)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(DataError, match=r"half\.png: the picture is cut off"):
        read_all(PictureSource(path, live=False))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\xff\xd8\xff", b"BM", b"\x89PNG\r\n\x1a\n" + b"IEND"])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad picture.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match="bad picture"):
        read_all(PictureSource(path, live=False))


def test_a_missing_picture_and_a_folder_without_any_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"nowhere\.png: no such picture"):
        read_all(PictureSource(tmp_path / "nowhere.png", live=False))
    with pytest.raises(InputNotFoundError, match="holds no pictures"):
        read_all(PictureSource(tmp_path, live=False))


def test_foreign_letters_and_spaces(tmp_path: Path) -> None:
    path = write(tmp_path / "Straße nach Łódź 東京.png", np.zeros((4, 6, 3), np.uint8))
    assert len(read_all(PictureSource(path, live=False))) == 1


def test_interrupting_ends_it(tmp_path: Path) -> None:
    source = PictureSource(write(tmp_path / "a.png", np.zeros((4, 6, 3), np.uint8)), live=True, loop=True, fps=0.01)
    with source:
        assert source.read() is not None
        source.interrupt()
        assert source.read() is None
