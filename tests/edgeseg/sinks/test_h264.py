"""The encoder that the device has: found by what comes out of it."""

from __future__ import annotations

import logging

import av
import numpy as np
import pytest

from edgeseg.sinks import h264
from edgeseg.sinks.h264 import SOFTWARE, H264Encoder, choose_encoder, even_size, to_i420


def test_without_hardware_it_is_the_software(caplog: pytest.LogCaptureFixture) -> None:
    """No machine that runs the tests has a driver of this name that takes pictures."""
    caplog.set_level(logging.DEBUG, logger="edgeseg")
    assert choose_encoder(320, 180) == SOFTWARE
    assert "h264_v4l2m2m: not used for 320x180: " in caplog.text


def test_an_encoder_that_gives_pictures_back_is_taken() -> None:
    assert choose_encoder(320, 180, hardware=("libx264rgb", "nonsense", SOFTWARE)) == SOFTWARE
    assert choose_encoder(2, 2, hardware=(SOFTWARE,)) == SOFTWARE


@pytest.mark.parametrize("name", ["mpeg4", "mjpeg"])
def test_an_encoder_that_gives_something_else_is_not(name: str) -> None:
    """It opens and takes pictures, but no decoder for H.264 gets them back."""
    assert choose_encoder(320, 180, hardware=(name,)) == SOFTWARE


def test_pictures_that_come_back_wrong_are_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h264, "PROBE_LIMIT", -1)
    assert choose_encoder(320, 180, hardware=(SOFTWARE,)) == SOFTWARE
    assert "its pictures come back wrong" in caplog.text


def test_a_keyframe_comes_when_it_is_asked_for() -> None:
    encoder = H264Encoder(SOFTWARE, 160, 96)
    picture = np.random.default_rng(3).integers(0, 255, (96, 160, 3), np.uint8)
    packets = [packet for index in range(8) for packet in encoder.encode(picture, index * 3600, keyframe=index == 5)]
    packets += encoder.finish()
    assert [packet.is_keyframe for packet in packets] == [index in (0, 5) for index in range(8)]
    assert [packet.pts for packet in packets] == [index * 3600 for index in range(8)]


def test_every_keyframe_brings_what_a_decoder_must_know() -> None:
    """A segment begins with one, and nothing before it is there."""
    encoder = H264Encoder(SOFTWARE, 160, 96)
    picture = np.full((96, 160, 3), 90, np.uint8)
    packets = [packet for index in range(4) for packet in encoder.encode(picture, index * 3600, keyframe=index == 2)]
    decoder = av.codec.CodecContext.create("h264", "r")
    frames = [frame for packet in packets[2:] for frame in decoder.decode(packet)] + decoder.decode(None)
    assert len(frames) == 2


@pytest.mark.parametrize(
    ("size_wh", "expected"),
    [((640, 360), (640, 360)), ((321, 181), (322, 182)), ((1, 1), (2, 2)), ((8000, 2400), (4096, 1228))],
)
def test_sizes(size_wh: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    assert even_size(picture) == expected
    assert to_i420(picture, *expected).shape == (expected[1] * 3 // 2, expected[0])


def test_no_such_encoder() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        H264Encoder("nonsense", 160, 96)


def test_whatever_libav_says_is_an_error_of_the_system() -> None:
    """A driver that fails often says so in an error of libav's own, which ended the run instead of the encoder."""
    encoder = H264Encoder(SOFTWARE, 64, 48)
    picture = np.zeros((48, 64, 3), np.uint8)
    assert encoder.encode(picture, 0)
    encoder.finish()
    with pytest.raises(OSError, match=SOFTWARE):
        encoder.encode(picture, 3600)
