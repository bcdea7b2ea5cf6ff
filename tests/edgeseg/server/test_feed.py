"""PictureFeed: the newest result, and nobody who waits for it."""

from __future__ import annotations

import time

from edgeseg.server.feed import PictureFeed
from edgeseg.sinks.sink import Result
from tests.edgeseg.results import make_result


def test_the_newest_result_and_its_number() -> None:
    feed = PictureFeed()
    assert (feed.newest, feed.number) == (None, 0)
    results = [make_result(index) for index in range(3)]
    for result in results:
        feed.publish(result)
    assert feed.newest is not None
    assert (feed.newest.number, feed.newest.result, feed.newest.stale) == (3, results[2], False)


def test_a_result_that_is_forgotten_is_gone_and_the_count_goes_on() -> None:
    feed = PictureFeed()
    feed.publish(make_result(0))
    feed.forget()
    assert (feed.newest, feed.number) == (None, 1)
    feed.publish(make_result(1))
    assert feed.newest is not None
    assert feed.newest.number == 2


def test_a_listener_hears_of_every_result_until_it_is_taken_away() -> None:
    feed, heard = PictureFeed(), []
    feed.listen(lambda: heard.append(len(heard)))
    feed.publish(make_result(0))
    feed.publish(make_result(1))
    feed.listen(None)
    feed.publish(make_result(2))
    assert heard == [0, 1]


def test_whether_a_result_was_stale_is_known_from_when_it_came() -> None:
    feed = PictureFeed()
    old, fresh = make_result(0).segmentation, make_result(1).segmentation
    feed.publish(Result(fresh, lambda it: it.frame.image, max_age_ms=60_000))
    assert feed.newest is not None
    assert not feed.newest.stale
    feed.publish(Result(old, lambda it: it.frame.image, max_age_ms=1e-9))
    assert feed.newest.stale


def test_publishing_fills_the_history() -> None:
    feed = PictureFeed()
    feed.publish(make_result(0))
    shares = feed.history.snapshot(time.monotonic() + 2 * feed.history.step_s)["shares"]
    assert shares["road"][0] > 0.1
