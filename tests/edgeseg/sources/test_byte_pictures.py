"""Pictures cut out of bytes: whatever the pieces, each whole picture is found, and nothing else."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import DataError
from edgeseg.sources.byte_pictures import (
    LONGEST_JPEG,
    LONGEST_JUNK,
    PIXEL_FORMATS,
    BytePictures,
    H264Pictures,
    JpegPictures,
    RawPictures,
)
from tests.edgeseg.clips import number_of, numbered_picture


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", numbered_picture(number, 64, 48))[1].tobytes()


def feed_all(pictures: BytePictures, data: bytes, step: int) -> list[int]:
    """Feeds `step` bytes at a time; returns the numbers that the pictures show."""
    found = [pictures.feed(data[start : start + step]) for start in range(0, len(data), step)]
    return [number_of(picture) for picture in found if picture is not None]


@given(st.integers(1, 1200))
def test_jpeg_pictures_are_found_whatever_the_pieces(step: int) -> None:
    # Each picture is longer than a piece, so that none is overtaken by the next.
    assert all(len(jpeg(number)) >= 600 for number in range(4))
    numbers = feed_all(JpegPictures(), b"".join(jpeg(number) for number in range(4)), min(step, 600))
    assert numbers == [0, 1, 2, 3]


def test_of_several_jpeg_pictures_the_newest_is_taken() -> None:
    pictures = JpegPictures()
    newest = pictures.feed(jpeg(3) + jpeg(4) + jpeg(5) + jpeg(6)[:100])
    assert newest is not None
    assert number_of(newest) == 5
    following = pictures.feed(jpeg(6)[100:])
    assert following is not None
    assert number_of(following) == 6
    assert (following.shape, following.dtype) == ((48, 64, 3), np.uint8)


def test_what_lies_between_jpeg_pictures_is_passed_over() -> None:
    heads = [b"GST_ARGUS: Creating output stream\n", b"\r\n--frame\r\nContent-Length: 5\r\n\r\n", b"\xff\xd8 \xff\xd9"]
    data = b"".join(head + jpeg(number) for number, head in enumerate(heads))
    assert feed_all(JpegPictures(), data, 500) == [0, 1, 2]


def test_a_jpeg_inside_a_jpeg_is_part_of_it() -> None:
    small = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    whole = jpeg(7)
    # As cameras store their thumbnails: in a piece of the head.
    nested = whole[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + whole[2:]
    assert feed_all(JpegPictures(), nested + jpeg(8), 300) == [7, 8]


def test_a_damaged_jpeg_costs_itself_and_no_more() -> None:
    damaged = bytearray(jpeg(1))
    damaged[2:6] = b"\x00\x01\x02\x03"
    headless = b"\xff\xd8\xff\xe0" + bytes(50) + b"\xff\xd9"
    assert feed_all(JpegPictures(), jpeg(0) + bytes(damaged) + headless + jpeg(2) + jpeg(3), 500)[-2:] == [2, 3]


def test_what_is_no_jpeg_at_all_is_said_so() -> None:
    with pytest.raises(DataError, match="no JPEG pictures"):
        feed_all(JpegPictures(), bytes(LONGEST_JUNK + 1), 1 << 16)


@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_every_raw_format_comes_out_in_its_colours(name: str) -> None:
    pictures = [np.full((48, 64, 3), color, np.uint8) for color in ((200, 60, 30), (20, 90, 220), (128, 128, 128))]
    raw = RawPictures((64, 48), name)
    data = b"".join(pack(picture, name) for picture in pictures)
    assert len(data) % 3 == 0
    step = len(data) // 3
    for picture, start in zip(pictures, range(0, len(data), step), strict=True):
        assert raw.feed(data[start : start + 100]) is None
        found = raw.feed(data[start + 100 : start + step])
        assert found is not None
        expected = picture if name != "gray8" else np.full_like(picture, cv2.cvtColor(picture, 6)[0, 0])
        assert found.shape == (48, 64, 3)
        assert np.abs(found.astype(int) - expected).max() <= 6


def pack(picture: Any, name: str) -> bytes:
    """The bytes that a camera of that format would give for a picture, by libav."""
    theirs = {"bgrx": "bgr0", "gray8": "gray", "yuyv": "yuyv422", "uyvy": "uyvy422", "i420": "yuv420p"}.get(name, name)
    if name == "gray8":
        return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).tobytes()
    frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format=theirs)
    return b"".join(
        bytes(plane)[line * plane.line_size : line * plane.line_size + width(plane, name)]
        for plane in frame.planes
        for line in range(plane.height)
    )


def width(plane: Any, name: str) -> int:
    """The bytes of a row of pixels, without what libav adds to its end."""
    each = {"bgr24": 3, "rgb24": 3, "bgrx": 4, "yuyv": 2, "uyvy": 2}.get(name, 1)
    return int(plane.width) * (2 if name == "nv12" and plane.height < 48 else each)


def test_of_several_raw_pictures_the_newest_is_taken() -> None:
    raw = RawPictures((4, 2), "bgr24")
    pictures = [bytes([level]) * 24 for level in range(4)]
    newest = raw.feed(b"".join(pictures)[:-1])
    assert newest is not None
    assert newest.max() == newest.min() == 2
    following = raw.feed(pictures[3][-1:])
    assert following is not None
    assert following.max() == following.min() == 3


def encode_h264(count: int) -> bytes:
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 64, 48, "yuv420p", Fraction(1, 25)
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "repeat-headers=1:keyint=10"}
    frames = [av.VideoFrame.from_ndarray(numbered_picture(number, 64, 48), format="bgr24") for number in range(count)]
    for number, frame in enumerate(frames):
        frame.pts = number
    return b"".join(bytes(packet) for packet in itertools.chain(*map(codec.encode, frames)))


@pytest.mark.parametrize("step", [50, 400])
def test_h264_pictures_are_whole_when_the_next_one_begins(step: int) -> None:
    numbers = feed_all(H264Pictures(), encode_h264(12), step)
    assert set(numbers) <= set(range(11))
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 3


def test_h264_that_is_joined_in_the_middle_or_damaged_goes_on_at_the_next_key_picture() -> None:
    data = encode_h264(25)
    pictures = H264Pictures()
    numbers = feed_all(pictures, data[len(data) // 4 :], 100)
    assert numbers[-1] == 23
    assert numbers[0] > 3


def test_what_is_no_h264_at_all_is_said_so() -> None:
    with pytest.raises(DataError, match=r"no H\.264"):
        feed_all(H264Pictures(), bytes(LONGEST_JPEG + 1), 1 << 20)
