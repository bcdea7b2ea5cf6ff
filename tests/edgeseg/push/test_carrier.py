"""The carrier's side of the pipe."""

from __future__ import annotations

import io

from edgeseg.push.carrier import HEADER, Picture, read_pictures


def pack(picture: Picture) -> bytes:
    return HEADER.pack(len(picture.data), picture.pts, picture.keyframe) + picture.data


def test_pictures_are_read_until_the_pipe_breaks_off() -> None:
    first, second = Picture(b"abc", 0, True), Picture(b"", 3600, False)
    stream = pack(first) + pack(second)
    assert list(read_pictures(io.BytesIO(stream))) == [first, second]
    for cut in range(1, len(pack(second)) + 1):
        assert list(read_pictures(io.BytesIO((stream + pack(first))[: len(stream) - cut]))) == [first]
    assert list(read_pictures(io.BytesIO(stream + pack(first)[:-1]))) == [first, second]
