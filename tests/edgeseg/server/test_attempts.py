"""Attempts: by a clock of the test's own."""

from __future__ import annotations

from edgeseg.server.attempts import CLIENT_S, OVERALL, OVERALL_S, PER_CLIENT, REMEMBERED, Attempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_client_has_so_many_tries_and_then_one_at_a_time() -> None:
    clock = Clock()
    attempts = Attempts(overall=False, clock=clock)
    assert [attempts.take("a") for _ in range(PER_CLIENT)] == [0.0] * PER_CLIENT
    assert attempts.take("a") == CLIENT_S
    assert attempts.take("b") == 0.0
    clock.now += CLIENT_S / 2
    assert attempts.take("a") == CLIENT_S / 2
    clock.now += CLIENT_S / 2
    assert attempts.take("a") == 0.0
    assert attempts.take("a") == CLIENT_S


def test_all_clients_together_are_limited_where_trying_is_dear() -> None:
    clock = Clock()
    attempts = Attempts(overall=True, clock=clock)
    assert [attempts.take(f"client {index}") for index in range(OVERALL)] == [0.0] * OVERALL
    assert attempts.take("another") == OVERALL_S
    clock.now += OVERALL_S
    assert attempts.take("another") == 0.0


def test_a_try_that_was_right_does_not_count() -> None:
    attempts = Attempts(overall=True, clock=Clock())
    for _ in range(10 * OVERALL):
        assert attempts.take("a") == 0.0
        attempts.give_back("a")


def test_asking_costs_nothing() -> None:
    attempts = Attempts(overall=True, clock=Clock())
    assert [attempts.wait_s("a") for _ in range(100)] == [0.0] * 100


def test_memory_stays_bounded() -> None:
    attempts = Attempts(overall=False, clock=Clock())
    for _ in range(PER_CLIENT):
        attempts.take("first")
    for index in range(REMEMBERED):
        attempts.take(str(index))
    assert attempts.take("first") == 0.0, "it was forgotten for newer ones"
