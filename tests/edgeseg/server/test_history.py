"""ShareHistory: means of steps, gaps where nothing came, and no more than so many."""

from __future__ import annotations

from edgeseg.server.history import ShareHistory


def test_steps_hold_means_and_the_running_one_is_not_told_yet() -> None:
    history = ShareHistory(step_s=2.0, steps=5)
    history.add({"road": 0.2}, 10.0)
    history.add({"road": 0.4}, 11.9)
    assert history.snapshot(11.9) == {"step_s": 2.0, "steps": 5, "shares": {}}
    history.add({"road": 0.9}, 12.0)
    assert history.snapshot(12.1)["shares"] == {"road": [0.3]}
    assert history.snapshot(14.0)["shares"] == {"road": [0.3, 0.9]}


def test_a_time_without_pictures_is_a_gap() -> None:
    history = ShareHistory(step_s=1.0, steps=10)
    history.add({"road": 0.5, "person": 0.0}, 0.5)
    history.add({"road": 0.7, "person": 0.1}, 4.5)
    assert history.snapshot(6.2)["shares"] == {
        "road": [0.5, None, None, None, 0.7, None],
        "person": [0.0, None, None, None, 0.1, None],
    }


def test_old_steps_are_forgotten_also_after_a_long_silence() -> None:
    history = ShareHistory(step_s=1.0, steps=4)
    for second in range(10):
        history.add({"road": second / 10}, float(second))
    assert history.snapshot(10.0)["shares"]["road"] == [0.6, 0.7, 0.8, 0.9]
    history.add({"road": 1.0}, 1e6)
    assert history.snapshot(1e6 + 1)["shares"]["road"] == [None, None, None, 1.0]


def test_nothing_known_yet() -> None:
    assert ShareHistory().snapshot(5.0)["shares"] == {}
