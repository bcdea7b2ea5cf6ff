"""Backoff: waits that grow while it fails, and begin anew after it held."""

from __future__ import annotations

from edgeseg.backoff import JITTER, STEADY_S, Backoff


def test_waits_double_up_to_the_longest_and_begin_anew_after_what_has_held() -> None:
    now_s = 0.0
    backoff = Backoff(1.0, 8.0, clock=lambda: now_s)
    for expected_s in (1.0, 2.0, 4.0, 8.0, 8.0):
        wait_s = backoff.next_s()
        assert expected_s * (1 - JITTER) <= wait_s <= expected_s * (1 + JITTER)
        now_s += wait_s + 5.0
    now_s += STEADY_S
    assert backoff.next_s() <= 1.0 + JITTER
