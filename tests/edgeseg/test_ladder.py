"""The ladder: one rung at a time, only after a while, and back up only once what pressed is gone."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeseg.heat_config import HeatConfig
from edgeseg.ladder import MAX_DOUBLINGS, Ladder, Step

DWELL, CLIMB = 10.0, 60.0
CONFIG = HeatConfig.model_validate({"dwell": "10s", "climb": "60s", "max_age": "200ms"})
COOL, WARM, HOT = 50.0, 74.0, 85.0
IN_TIME, LATE = 50.0, 400.0


class Run:
    """A ladder and a clock that a test moves, one update a second."""

    def __init__(self, config: HeatConfig = CONFIG, *, threads: int = 4, small_model: bool = True) -> None:
        self.ladder = Ladder(config, threads=threads, small_model=small_model)
        self.now_s = 1000.0

    def lasts(
        self,
        seconds: float,
        temperature_c: float | None = COOL,
        age_ms: float | None = IN_TIME,
        throttled: bool | None = None,
        fps: float | None = None,
    ) -> list[tuple[float | None, int, int]]:
        """What was asked for in turn while that lasted: rate, threads, model."""
        steps = []
        for _ in range(round(seconds)):
            self.now_s += 1.0
            steps.append(self.ladder.update(self.now_s, temperature_c, age_ms, throttled, fps=fps))
        return [asked for asked, _ in itertools.groupby(map(_asked, steps))]


def _asked(step: Step) -> tuple[float | None, int, int]:
    return step.rate_limit_fps, step.threads, step.model


FULL = (None, 4, 0)


def test_cool_and_in_time_it_leaves_everything_as_it_is() -> None:
    run = Run()
    assert run.lasts(600) == [FULL]
    assert run.ladder.step == Step(None, 4, 0, 0, 5)


def test_heat_takes_first_the_rate_then_the_threads_then_the_size_and_gives_them_back_in_reverse() -> None:
    run = Run()
    down = [FULL, (15, 4, 0), (8, 4, 0), (8, 2, 0), (8, 1, 0), (8, 1, 1)]
    assert run.lasts(120, HOT) == down
    assert run.lasts(600) == down[::-1]


def test_warm_takes_only_what_no_picture_shows() -> None:
    assert Run().lasts(600, WARM) == [FULL, (15, 4, 0), (8, 4, 0)]


def test_late_results_take_rates_and_the_size_but_no_thread_which_would_make_them_later() -> None:
    run = Run()
    assert run.lasts(600, COOL, LATE) == [FULL, (15, 4, 0), (8, 4, 0), (8, 4, 1)]
    assert run.lasts(600) == [(8, 4, 1), (8, 4, 0), (15, 4, 0), FULL]


def test_heat_takes_the_threads_that_age_had_left() -> None:
    run = Run()
    run.lasts(100, COOL, LATE)
    assert run.lasts(100, HOT, LATE) == [(8, 4, 1), (8, 2, 1), (8, 1, 1)]


def test_a_board_that_throttles_itself_is_hot_whatever_it_measures() -> None:
    assert Run().lasts(100, COOL, throttled=True)[-1] == (8, 1, 1)
    assert Run().lasts(100, None, throttled=True)[-1] == (8, 1, 1)


def test_without_a_sensor_the_end_of_throttling_is_the_relief() -> None:
    run = Run()
    run.lasts(100, None, throttled=True)
    assert run.lasts(1000, None, throttled=None) == [(8, 1, 1)]
    assert run.lasts(1000, None, throttled=False)[-1] == FULL


def test_nothing_happens_before_the_dwell_is_over_and_a_moment_of_relief_begins_it_anew() -> None:
    run = Run()
    for _ in range(20):
        assert run.lasts(DWELL, HOT) == [FULL]
        assert run.lasts(1) == [FULL]
    assert run.lasts(DWELL + 1, HOT)[-1] == (15, 4, 0)


def test_between_the_limit_and_the_hysteresis_it_stays_where_it_is() -> None:
    run = Run()
    run.lasts(15, WARM)
    assert run.lasts(1000, CONFIG.warm_celsius - CONFIG.hysteresis_celsius + 0.5) == [(15, 4, 0)]
    assert run.lasts(CLIMB + 1, CONFIG.warm_celsius - CONFIG.hysteresis_celsius) == [(15, 4, 0), FULL]


def test_what_heat_took_of_the_picture_comes_back_while_it_is_still_warm() -> None:
    run = Run()
    run.lasts(200, HOT)
    assert run.lasts(1000, CONFIG.hot_celsius - CONFIG.hysteresis_celsius)[-1] == (8, 4, 0)


def test_the_unknown_neither_presses_nor_relieves() -> None:
    run = Run()
    assert run.lasts(1000, None, None, None) == [FULL]
    run.lasts(15, WARM)
    assert run.lasts(1000, None, None, None) == [(15, 4, 0)]
    late = Run()
    late.lasts(15, COOL, LATE)
    # A camera that is away gives no results: that says nothing of how late they would be.
    assert late.lasts(1000, COOL, None) == [(15, 4, 0)]


def test_a_rate_that_would_change_nothing_is_passed_over() -> None:
    assert Run().lasts(15, WARM, fps=12.0) == [FULL, (8, 4, 0)]
    assert Run().lasts(15, HOT, fps=5.0) == [FULL, (None, 2, 0)]


def test_a_lower_rate_is_never_raised_by_a_later_rung() -> None:
    run = Run()
    run.lasts(15, WARM, fps=12.0)
    assert run.lasts(100, WARM, fps=30.0) == [(8, 4, 0)]


def test_one_thread_and_no_smaller_model_leave_the_rates() -> None:
    assert Run(threads=1, small_model=False).lasts(1000, HOT, LATE) == [(None, 1, 0), (15, 1, 0), (8, 1, 0)]


def test_switched_off_it_does_nothing() -> None:
    run = Run(HeatConfig(enabled=False))
    assert run.lasts(1000, 110.0, LATE, True) == [FULL]
    assert run.ladder.step.rungs == 0


def test_a_rung_needed_again_at_once_waits_twice_as_long_for_the_next_climb() -> None:
    run = Run(threads=1, small_model=False)
    run.lasts(40, COOL, LATE)
    waits = []
    for _ in range(MAX_DOUBLINGS + 3):
        begun = run.now_s
        while run.ladder.step.rung == 2:
            run.lasts(1)
        waits.append(run.now_s - begun)
        run.lasts(DWELL + 2, COOL, LATE)
        assert run.ladder.step.rung == 2
    assert all(later == pytest.approx(2 * earlier, abs=15) for earlier, later in itertools.pairwise(waits[:4]))
    assert waits[-1] == waits[-2] <= CLIMB * 2**MAX_DOUBLINGS + 1


def test_a_rung_needed_again_long_after_waits_no_longer_than_at_first() -> None:
    run = Run(threads=1, small_model=False)
    waits = []
    for _ in range(3):
        run.lasts(40, COOL, LATE)
        begun = run.now_s
        while run.ladder.step.rung:
            run.lasts(1)
        waits.append(run.now_s - begun)
        run.lasts(3600)
    assert waits[0] == waits[1] == waits[2]


def test_every_change_says_why_and_where_it_is() -> None:
    run = Run()
    run.lasts(15, HOT)
    assert run.ladder.step.describe() == (
        "rung 1 of 5: at most 15 frames a second, 4 threads, full size (85 °C, the limit is 78)"
    )
    run.lasts(100, throttled=True)
    assert "the board throttles itself" in run.ladder.step.reason
    run.lasts(600)
    assert run.ladder.step.describe() == "rung 0 of 5: full rate, full size (cooled down to 50 °C)"
    run.lasts(15, COOL, LATE)
    assert run.ladder.step.reason == "results 400 ms old, the limit is 200"


reading = st.tuples(
    st.one_of(st.none(), st.floats(0, 120)),
    st.one_of(st.none(), st.floats(0, 2000)),
    st.sampled_from((None, False, True)),
    st.one_of(st.none(), st.floats(1, 60)),
    st.integers(1, 90),
)


@given(st.lists(reading, max_size=30), st.integers(1, 8), st.booleans())
def test_whatever_comes_it_goes_one_rung_at_a_time_and_never_up_under_pressure(
    readings: Iterable[tuple[float | None, float | None, bool | None, float | None, int]], threads: int, small: bool
) -> None:
    ladder = Ladder(CONFIG, threads=threads, small_model=small)
    now_s, changed_s, last = 0.0, None, ladder.step
    for temperature_c, age_ms, throttled, fps, seconds in readings:
        for _ in range(seconds):
            now_s += 1.0
            step = ladder.update(now_s, temperature_c, age_ms, throttled, fps=fps)
            assert 0 <= step.rung <= step.rungs
            assert 1 <= step.threads <= threads
            assert small or step.model == 0
            if step.rung != last.rung:
                assert abs(step.rung - last.rung) == 1
                assert changed_s is None or now_s - changed_s >= DWELL
                changed_s = now_s
            else:
                assert step is last
            if step.rung < last.rung:
                assert throttled is not True
                assert temperature_c is None or temperature_c < CONFIG.hot_celsius
            last = step


@pytest.mark.parametrize(
    "wrong",
    [
        {"warm_celsius": 80, "hot_celsius": 80},
        {"rates": [8, 15]},
        {"rates": [0]},
        {"hysteresis_celsius": 0},
        {"dwell": 10},
        {"colour": "red"},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HeatConfig.model_validate(wrong)
