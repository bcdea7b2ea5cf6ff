"""Broadcast: each look encoded once, only for viewers who wait, and always the newest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.frame import Frame, Segmentation
from edgeseg.server import broadcast as module
from edgeseg.server.broadcast import MOST_LOOKS, Broadcast, TooManyLooks, Watch
from edgeseg.server.look import Look
from edgeseg.sinks.sink import Result
from tests.edgeseg.server.live import Camera, decode

CELLS = np.zeros((2, 2), np.uint8)


class Drawn:
    """A camera whose pictures are one grey level each; counts which of them were drawn."""

    def __init__(self) -> None:
        self.camera = Camera()
        self.feed = self.camera.view.feed
        self.levels: list[int] = []
        self.may_draw = threading.Event()
        self.may_draw.set()

    def publish(self, level: int) -> None:
        picture = np.full((16, 16, 3), level, np.uint8)

        def draw(segmentation: Segmentation) -> NDArray[np.uint8]:
            assert self.may_draw.wait(10)
            self.levels.append(level)
            return segmentation.frame.image.copy()

        self.feed.publish(Result(Segmentation(Frame(picture, level, 0, "grey"), CELLS, CELLS), draw))


def level_of(jpeg: bytes) -> int:
    return round(float(decode(jpeg).mean()) / 10) * 10


async def level_from(watch: Watch) -> int:
    picture = await watch.next()
    assert picture is not None
    return level_of(picture.jpeg)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within ten seconds")


def play(scenario: Callable[[Broadcast, Drawn], Awaitable[None]]) -> None:
    async def main() -> None:
        drawn = Drawn()
        with ThreadPoolExecutor(1) as executor:
            broadcast = Broadcast(drawn.camera.view, executor)
            async with broadcast.running():
                await asyncio.wait_for(scenario(broadcast, drawn), 20)

    asyncio.run(main())


def test_nothing_is_drawn_for_nobody() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        for level in (10, 20, 30):
            drawn.publish(level)
        await asyncio.sleep(0.1)
        assert drawn.levels == []
        assert broadcast.encoded_count == 0

    play(scenario)


def test_every_viewer_gets_a_picture_that_was_encoded_once() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        async def view() -> int:
            with broadcast.watching(Look()) as watch:
                return await level_from(watch)

        viewers = [asyncio.create_task(view()) for _ in range(8)]
        await until(lambda: broadcast.viewers == 8)
        drawn.publish(50)
        assert set(await asyncio.gather(*viewers)) == {50}
        assert drawn.levels == [50]
        assert broadcast.encoded_count == 1
        assert broadcast.viewers == 0

    play(scenario)


def test_a_slow_viewer_skips_to_the_newest_and_a_quick_one_misses_nothing() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        with broadcast.watching(Look()) as quick, broadcast.watching(Look()) as slow:
            drawn.publish(10)
            assert await level_from(slow) == 10
            got = []
            for level in (20, 30, 40):
                drawn.publish(level)
                got.append(await level_from(quick))
            assert got == [20, 30, 40]
            assert await level_from(slow) == 40
            assert broadcast.encoded_count == 4

    play(scenario)


def test_nothing_is_drawn_while_every_viewer_is_busy_and_then_the_newest() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        with broadcast.watching(Look()) as one, broadcast.watching(Look()) as other:
            drawn.publish(10)
            assert [await level_from(one), await level_from(other)] == [10, 10]
            for level in (20, 30, 40):
                drawn.publish(level)
                await asyncio.sleep(0.02)
            assert drawn.levels == [10]
            assert await level_from(one) == 40
            drawn.publish(50)
            # Not the 40 that the other viewer was given: there is something newer.
            assert await level_from(other) == 50
            assert drawn.levels == [10, 40, 50]

    play(scenario)


def test_pictures_that_come_while_one_is_encoded_are_passed_over() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        with broadcast.watching(Look()) as watch:
            drawn.may_draw.clear()
            drawn.publish(10)
            first = asyncio.create_task(level_from(watch))
            await asyncio.sleep(0.05)
            for level in (20, 30, 40):
                drawn.publish(level)
            drawn.may_draw.set()
            assert await first == 10
            assert await level_from(watch) == 40
            assert drawn.levels == [10, 40]

    play(scenario)


def test_a_new_viewer_sees_the_newest_picture_and_not_what_was_last_watched() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        with broadcast.watching(Look()) as early:
            drawn.publish(10)
            assert await level_from(early) == 10
        for level in (20, 30):
            drawn.publish(level)
        with broadcast.watching(Look()) as late:
            assert await level_from(late) == 30
            # Nothing new since: whoever comes now is shown that picture, not encoded again.
            with broadcast.watching(Look()) as again:
                assert await level_from(again) == 30
        assert broadcast.encoded_count == 2

    play(scenario)


def test_looks_are_bounded_and_the_runs_own_always_has_a_place() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        looks = [Look((), opacity) for opacity in range(10, 10 * MOST_LOOKS, 10)]
        assert len(looks) == MOST_LOOKS - 1
        with broadcast.watching(looks[0]), broadcast.watching(looks[1]), broadcast.watching(looks[2]) as last:
            with pytest.raises(TooManyLooks), broadcast.watching(Look(("road",))):
                pass
            with broadcast.watching(Look()) as own, broadcast.watching(looks[2]) as same:
                assert broadcast.viewers == 5
                drawn.publish(90)
                pictures = await asyncio.gather(own.next(), same.next(), last.next())
                assert broadcast.encoded_count == 2
                assert pictures[1] is pictures[2]
        with broadcast.watching(Look(("road",))):
            assert broadcast.viewers == 1

    play(scenario)


def test_a_lost_camera_is_told_in_the_picture_and_counts_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOTICE_S", 0.05)

    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        with broadcast.watching(Look()) as watch, broadcast.watching(Look(), notices=False) as plain:
            waiting = await watch.next()
            assert waiting is not None
            assert decode(waiting.jpeg).shape == (360, 640, 3), "there is no picture yet"
            drawn.publish(200)
            drawn.camera.health.progressed(drawn.feed.newest.result.captured_ns)  # type: ignore[union-attr]
            assert [await level_from(watch), await level_from(plain)] == [200, 200]
            drawn.camera.health.lost("unplugged")
            notices = [await watch.next(), await watch.next()]
            assert all(notice is not None and notice.captured_ns is None for notice in notices)
            assert notices[0] != notices[1]
            assert decode(notices[0].jpeg).mean() < 150  # type: ignore[union-attr]
            still = asyncio.create_task(plain.next())
            await asyncio.sleep(0.2)
            assert not still.done(), "whoever says it in another way is not shown it"
            drawn.camera.health.back()
            drawn.publish(100)
            assert level_of((await still).jpeg) == 100  # type: ignore[union-attr]

    play(scenario)


def test_stills_are_made_once_a_picture() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        assert await broadcast.snapshot(Look()) is None
        drawn.publish(60)
        stills = await asyncio.gather(*(broadcast.snapshot(Look()) for _ in range(5)))
        assert level_of(stills[0]) == 60  # type: ignore[arg-type]
        assert len(set(map(id, stills))) == 1
        assert drawn.levels == [60]
        drawn.publish(70)
        assert level_of(await broadcast.snapshot(Look())) == 70  # type: ignore[arg-type]

    play(scenario)


def test_a_viewer_that_leaves_takes_the_picture_from_nobody() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        drawn.may_draw.clear()
        drawn.publish(60)
        leaves, stays = (asyncio.create_task(broadcast.snapshot(Look())) for _ in range(2))
        await asyncio.sleep(0.05)
        leaves.cancel()
        drawn.may_draw.set()
        assert level_of(await stays) == 60  # type: ignore[arg-type]

    play(scenario)


def test_closing_ends_the_pictures_of_every_viewer() -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        with broadcast.watching(Look()) as one, broadcast.watching(Look((), 90)) as other:
            waiting = [asyncio.create_task(one.next()), asyncio.create_task(other.next())]
            await asyncio.sleep(0.05)
            broadcast.close()
            assert await asyncio.gather(*waiting) == [None, None]

    play(scenario)


def test_a_picture_that_cannot_be_drawn_ends_the_pictures_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(broadcast: Broadcast, drawn: Drawn) -> None:
        def fail(segmentation: Segmentation) -> NDArray[np.uint8]:
            raise RuntimeError("a bug")

        frame = Frame(np.zeros((16, 16, 3), np.uint8), 0, 0, "grey")
        with broadcast.watching(Look()) as watch:
            drawn.feed.publish(Result(Segmentation(frame, CELLS, CELLS), fail))
            assert await watch.next() is None

    play(scenario)
    assert "front: the page shows no more pictures" in caplog.text
    assert "a bug" in caplog.text


def test_publishing_before_and_after_the_loop_runs_does_no_harm() -> None:
    drawn = Drawn()
    drawn.publish(10)

    async def main() -> None:
        with ThreadPoolExecutor(1) as executor:
            broadcast = Broadcast(drawn.camera.view, executor)
            async with broadcast.running():
                with broadcast.watching(Look()) as watch:
                    assert await level_from(watch) == 10

    asyncio.run(main())
    drawn.publish(20)
    assert drawn.feed.number == 2
