"""What goes, and what goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgeseg.recording.config import KeepConfig
from edgeseg.recording.retention import Candidate, choose_surplus


def _choose(
    candidates: list[Candidate], *, age: float | None = None, size: int | None = None, free: int = 0, left: int = 100
) -> list[tuple[int, str]]:
    limits = KeepConfig.model_construct(age=age, size=size, free=free, events=())
    return list(choose_surplus(candidates, limits, other_bytes=10, free_bytes=left))


def test_nothing_goes_without_a_limit() -> None:
    assert _choose([Candidate(10**12, 10**9)] * 3) == []


def test_too_old_goes() -> None:
    ages = [Candidate(1, 300.0), Candidate(1, 200.0), Candidate(1, 100.0)]
    assert _choose(ages, age=150.0) == [(0, "age"), (1, "age")]


def test_over_the_size_the_oldest_goes() -> None:
    """What cannot go counts too: 10 + 3 x 30 bytes are 40 over 60."""
    assert _choose([Candidate(30)] * 3, size=60) == [(0, "size"), (1, "size")]
    assert _choose([Candidate(30)] * 3, size=100) == []


def test_for_free_space_the_oldest_goes() -> None:
    assert _choose([Candidate(30)] * 3, free=120) == [(0, "free")]
    assert _choose([Candidate(30)] * 3, free=150) == [(0, "free"), (1, "free")]
    assert _choose([Candidate(30)] * 3, free=10**6) == [(0, "free"), (1, "free"), (2, "free")]


def test_what_goes_for_one_reason_makes_room_for_the_other() -> None:
    candidates = [Candidate(50, 300.0), Candidate(50, 10.0)]
    assert _choose(candidates, age=100.0, size=70, free=140) == [(0, "age")]


def test_age_takes_nothing_that_an_event_keeps() -> None:
    assert _choose([Candidate(1, 300.0, kept=True), Candidate(1, 300.0)], age=100.0) == [(1, "age")]


def test_what_an_event_keeps_goes_last() -> None:
    candidates = [Candidate(30, kept=True), Candidate(30), Candidate(30, kept=True), Candidate(30)]
    assert _choose(candidates, size=70) == [(1, "size"), (3, "size")]
    assert _choose(candidates, size=40) == [(1, "size"), (3, "size"), (0, "size")]


def test_what_nobody_knows_the_age_of_is_at_least_as_old_as_the_next() -> None:
    unknown = Candidate(1)
    assert _choose([unknown, unknown, Candidate(1, 200.0), Candidate(1, 50.0)], age=100.0) == [
        (0, "age"),
        (1, "age"),
        (2, "age"),
    ]
    assert _choose([unknown, Candidate(1, 50.0), unknown], age=100.0) == []


def test_a_clock_that_was_ahead_once_deletes_nothing_else() -> None:
    """A segment from the future is not old, and those beside it are what they are."""
    assert _choose([Candidate(1, -(10.0**9)), Candidate(1, 300.0), Candidate(1, 10.0)], age=100.0) == [(1, "age")]


candidates = st.builds(Candidate, st.integers(0, 1000), st.none() | st.floats(-1e6, 1e6), st.booleans())


@given(
    st.lists(candidates, max_size=30),
    st.none() | st.floats(0, 1e6),
    st.none() | st.integers(1, 20_000),
    st.integers(0, 20_000),
)
def test_the_limits_hold_afterwards(those: list[Candidate], age: float | None, size: int | None, free: int) -> None:
    chosen = [index for index, _ in _choose(those, age=age, size=size, free=free)]
    assert len(set(chosen)) == len(chosen)
    rest = [it for index, it in enumerate(those) if index not in chosen]
    freed = sum(those[index].size for index in chosen)
    if rest:
        assert size is None or 10 + sum(it.size for it in rest) <= size
        assert 100 + freed >= free
    if any(those[index].kept for index in chosen):
        assert all(it.kept for it in rest)
