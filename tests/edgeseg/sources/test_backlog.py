"""Backlog: what has just come is shown, what was lying there is not, and a decoder that is too slow catches up."""

from __future__ import annotations

from edgeseg.sources.backlog import BEHIND_S, WAITED_S, Backlog


def test_what_was_there_already_is_decoded_and_not_shown() -> None:
    backlog = Backlog(0.0)
    fates = [backlog.judge(moment, moment + 0.0001, is_key=not moment) for moment in (0.0, 0.01, 0.02)]
    assert fates == ["decode"] * 3
    assert backlog.judge(0.03, 0.05, is_key=False) == "show"
    # Two that came together after that are both of the present.
    assert backlog.judge(0.055, 0.0551, is_key=False) == "show"
    assert backlog.skipped == 0


def test_a_decoder_slower_than_the_stream_skips_to_the_present_and_a_key_picture() -> None:
    backlog = Backlog(0.0)
    assert backlog.judge(0.0, WAITED_S, is_key=True) == "show"
    # Each takes 0.1 s to decode, and the next is there by then.
    moments = [0.1 * step for step in range(1, 12)]
    fates = [backlog.judge(moment, moment, is_key=False) for moment in moments]
    late = sum(moment <= BEHIND_S + WAITED_S for moment in moments)
    assert fates == ["show"] * late + ["skip"] * (len(moments) - late)
    # The present is reached, but pictures build on what was skipped.
    assert backlog.judge(1.2, 1.24, is_key=False) == "skip"
    assert backlog.judge(1.25, 1.28, is_key=True) == "show"
    assert backlog.judge(1.29, 1.32, is_key=False) == "show"
    assert backlog.skipped == len(moments) - late + 1
