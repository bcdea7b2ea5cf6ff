"""PictureFeed: each picture encoded once, only for viewers, and always the newest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.server.feed import LARGEST_WIDTH, PictureFeed, encode_jpeg
from edgeseg.sinks.sink import Result

CELLS = np.zeros((2, 2), np.uint8)


class Drawn:
    """Makes results whose picture is one grey level, and counts which of them were drawn."""

    def __init__(self) -> None:
        self.levels: list[int] = []
        self.may_draw = threading.Event()
        self.may_draw.set()

    def result(self, level: int) -> Result:
        picture = np.full((16, 16, 3), level, np.uint8)

        def draw(segmentation: Segmentation) -> NDArray[np.uint8]:
            assert self.may_draw.wait(10)
            self.levels.append(level)
            return segmentation.frame.image.copy()

        return Result(Segmentation(Frame(picture, level, 0, "grey"), CELLS, CELLS), draw)


def _level(jpeg: bytes) -> int:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return round(float(picture.mean()) / 10) * 10


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within ten seconds")


def _run(scenario: Callable[[PictureFeed, Drawn], object]) -> None:
    async def main() -> None:
        feed = PictureFeed()
        async with feed.running():
            await asyncio.wait_for(scenario(feed, Drawn()), 20)  # type: ignore[arg-type]

    asyncio.run(main())


def test_nothing_is_drawn_for_nobody() -> None:
    async def scenario(feed: PictureFeed, drawn: Drawn) -> None:
        for level in (10, 20, 30):
            feed.publish(drawn.result(level))
        await asyncio.sleep(0.1)
        assert drawn.levels == []
        assert feed.encoded_count == 0

    _run(scenario)


def test_every_viewer_gets_a_picture_that_was_encoded_once() -> None:
    async def scenario(feed: PictureFeed, drawn: Drawn) -> None:
        viewers = [feed.pictures() for _ in range(8)]
        waiting = [asyncio.ensure_future(anext(viewer)) for viewer in viewers]
        await _until(lambda: feed.viewers == 8)
        feed.publish(drawn.result(50))
        assert {_level(jpeg) for jpeg in await asyncio.gather(*waiting)} == {50}
        assert drawn.levels == [50]
        assert feed.encoded_count == 1
        for viewer in viewers:
            await viewer.aclose()
        assert feed.viewers == 0

    _run(scenario)


def test_a_slow_viewer_skips_to_the_newest_and_a_quick_one_misses_nothing() -> None:
    async def scenario(feed: PictureFeed, drawn: Drawn) -> None:
        quick, slow = feed.pictures(), feed.pictures()
        got = []
        feed.publish(drawn.result(10))
        assert _level(await anext(slow)) == 10
        for level in (20, 30, 40):
            feed.publish(drawn.result(level))
            got.append(_level(await anext(quick)))
        assert got == [20, 30, 40]
        assert _level(await anext(slow)) == 40
        assert feed.encoded_count == 4
        await quick.aclose()
        await slow.aclose()

    _run(scenario)


def test_pictures_that_come_while_one_is_encoded_are_passed_over() -> None:
    async def scenario(feed: PictureFeed, drawn: Drawn) -> None:
        viewer = feed.pictures()
        drawn.may_draw.clear()
        feed.publish(drawn.result(10))
        first = asyncio.ensure_future(anext(viewer))
        await _until(lambda: feed.viewers == 1)
        await asyncio.sleep(0.05)
        for level in (20, 30, 40):
            feed.publish(drawn.result(level))
        drawn.may_draw.set()
        assert _level(await first) == 10
        assert _level(await anext(viewer)) == 40
        assert drawn.levels == [10, 40]
        await viewer.aclose()

    _run(scenario)


def test_a_new_viewer_sees_the_newest_picture_and_not_what_was_last_watched() -> None:
    async def scenario(feed: PictureFeed, drawn: Drawn) -> None:
        early = feed.pictures()
        feed.publish(drawn.result(10))
        assert _level(await anext(early)) == 10
        await early.aclose()
        for level in (20, 30):
            feed.publish(drawn.result(level))
        late = feed.pictures()
        assert _level(await anext(late)) == 30
        await late.aclose()
        # Nothing new since: whoever comes now is shown that picture, not encoded again.
        again = feed.pictures()
        assert _level(await anext(again)) == 30
        assert feed.encoded_count == 2
        await again.aclose()

    _run(scenario)


def test_closing_ends_the_pictures_of_every_viewer() -> None:
    async def scenario(feed: PictureFeed, drawn: Drawn) -> None:
        viewers = [feed.pictures() for _ in range(3)]
        waiting = [asyncio.ensure_future(anext(viewer, None)) for viewer in viewers]
        await _until(lambda: feed.viewers == 3)
        await feed.close()
        assert await asyncio.gather(*waiting) == [None] * 3
        assert feed.viewers == 0

    _run(scenario)


def test_publishing_before_and_after_the_loop_runs_does_no_harm() -> None:
    feed, drawn = PictureFeed(), Drawn()
    feed.publish(drawn.result(10))

    async def main() -> None:
        async with feed.running():
            viewer = feed.pictures()
            assert _level(await anext(viewer)) == 10
            await viewer.aclose()

    asyncio.run(main())
    feed.publish(drawn.result(20))
    assert feed.newest is not None
    assert feed.newest.segmentation.frame.index == 20


@pytest.mark.parametrize(
    ("size", "expected"),
    [((720, 1280), (720, 1280)), ((1080, 1920), (720, 1280)), ((1, 4000), (1, 1280)), ((4000, 100), (4000, 100))],
)
def test_wide_pictures_are_reduced_for_the_page(size: tuple[int, int], expected: tuple[int, int]) -> None:
    jpeg = encode_jpeg(np.full((*size, 3), 90, np.uint8), LARGEST_WIDTH)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (*expected, 3)
