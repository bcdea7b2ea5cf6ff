"""VideoFeed: encoded once for all who take it, from a picture of its own on, in few bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import av
import cv2
import numpy as np
import pytest
from av.packet import Packet

from edgeseg.server.video import BITS_PER_S, CLOCK, FPS, VideoFeed
from tests.edgeseg.server.live import Camera


class Taker:
    """Takes packets and decodes them from the first one on."""

    def __init__(self, codec: str = "h264") -> None:
        self.packets: list[Packet] = []
        self.pictures: list[np.ndarray] = []
        self._decoder = av.codec.CodecContext.create(codec, "r")

    def __call__(self, packet: Packet) -> None:
        self.packets.append(packet)
        copy = Packet(bytes(packet))
        self.pictures += [frame.to_ndarray(format="bgr24") for frame in self._decoder.decode(copy)]

    async def wait_for(self, count: int) -> None:
        for _ in range(1000):
            if len(self.pictures) >= count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{count} pictures did not come within ten seconds")


def play(codec: str, scenario: Callable[[VideoFeed, Camera], Awaitable[None]]) -> None:
    async def main() -> None:
        camera = Camera()
        with ThreadPoolExecutor(1) as executor:
            feed = VideoFeed(camera.view, codec, executor)
            try:
                await asyncio.wait_for(scenario(feed, camera), 20)
            finally:
                await feed.close()

    asyncio.run(main())


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_the_overlay_comes_out_as_it_went_in(codec: str) -> None:
    async def scenario(feed: VideoFeed, camera: Camera) -> None:
        taker = Taker(codec)
        result = camera.publish(width=322, height=181)
        feed.add(taker)
        await taker.wait_for(1)
        assert taker.packets[0].is_keyframe
        # An odd side is extended by its last pixels.
        assert taker.pictures[0].shape == (182, 322, 3)
        assert cv2.PSNR(taker.pictures[0][:181], result.overlay()) > 28
        camera.publish(width=1280, height=720)
        await taker.wait_for(2)
        assert taker.pictures[1].shape == (480, 854, 3)
        assert taker.packets[1].is_keyframe
        assert taker.packets[1].time_base == 1 / CLOCK or taker.packets[1].time_base.denominator == CLOCK

    play(codec, scenario)


def test_it_is_encoded_once_and_whoever_comes_later_begins_with_a_picture_of_its_own() -> None:
    async def scenario(feed: VideoFeed, camera: Camera) -> None:
        first, second, late = Taker(), Taker(), Taker()
        feed.add(first)
        feed.add(second)
        for index in range(6):
            camera.publish()
            await first.wait_for(index + 1)
        assert feed.encoded_count == len(first.packets) == len(second.packets) == 6
        assert [bytes(packet) for packet in first.packets] == [bytes(packet) for packet in second.packets]
        assert not first.packets[3].is_keyframe
        feed.add(late)
        await late.wait_for(1)
        assert late.packets[0].is_keyframe
        feed.remove(first)
        camera.publish()
        await late.wait_for(2)
        assert len(first.packets) == 7

    play("h264", scenario)


def test_nothing_is_encoded_for_nobody() -> None:
    async def scenario(feed: VideoFeed, camera: Camera) -> None:
        taker = Taker()
        camera.publish()
        feed.add(taker)
        await taker.wait_for(1)
        feed.remove(taker)
        for _ in range(3):
            camera.publish()
            await asyncio.sleep(0.1)
        assert feed.encoded_count <= 2
        feed.add(taker)
        await taker.wait_for(2)

    play("h264", scenario)


def test_a_lost_camera_is_told_in_the_picture() -> None:
    async def scenario(feed: VideoFeed, camera: Camera) -> None:
        taker = Taker()
        feed.add(taker)
        await taker.wait_for(1)
        assert taker.pictures[0].shape == (360, 640, 3), "there is no picture yet"
        camera.publish()
        await taker.wait_for(2)
        camera.health.lost("unplugged")
        await taker.wait_for(4)
        assert taker.pictures[-1].mean() < 0.6 * taker.pictures[1].mean()
        assert np.abs(taker.pictures[-1].max(axis=2).astype(int) - taker.pictures[-1].min(axis=2)).mean() < 4

    play("h264", scenario)


def test_it_keeps_to_its_bit_rate_whatever_is_shown() -> None:
    async def scenario(feed: VideoFeed, camera: Camera) -> None:
        taker = Taker()
        noise = np.random.default_rng(1)
        feed.add(taker)
        for index in range(FPS):
            result = camera.publish(width=854, height=480)
            grain = noise.integers(0, 60, result.segmentation.frame.image.shape, dtype=np.uint8)
            result._overlay = cv2.add(result.segmentation.frame.image, grain)
            await taker.wait_for(index + 1)
        bits = 8 * sum(packet.size for packet in taker.packets[1:])
        assert bits < 1.6 * BITS_PER_S, "for a second of noise"

    play("h264", scenario)
