"""Progress: a bar on a terminal, readable lines in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from edgeseg.offline.progress import BarProgress, LineProgress, format_seconds, show_progress


def test_a_terminal_gets_a_bar_and_a_log_gets_lines() -> None:
    assert isinstance(show_progress(Console(file=io.StringIO(), force_terminal=True)), BarProgress)
    assert isinstance(show_progress(Console(file=io.StringIO(), force_terminal=False)), LineProgress)


def test_the_bar_shows_how_far_it_is_and_leaves_what_was_said() -> None:
    file = io.StringIO()
    with BarProgress(Console(file=file, force_terminal=True, width=100)) as progress:
        progress.begin("drive.mp4", 10, 200)
        progress.count(50)
        progress.say("drive.mp4: [bold]done[/bold]")
        progress.begin("other.mp4", 0, None)
        progress.count(3)
    text = file.getvalue()
    assert "10/200" in text
    assert "drive.mp4: [bold]done[/bold]" in text


def test_lines_tell_frames_rate_and_what_is_left() -> None:
    file = io.StringIO()
    with LineProgress(Console(file=file), every_s=0.0) as progress:
        progress.begin("drive.mp4", 100, 200)
        progress.count(150)
        progress.begin("endless.mp4", 0, None)
        progress.count(7)
    first, second = file.getvalue().splitlines()
    assert first.startswith("drive.mp4: 150 of 200 frames, ")
    assert "frames/s, 0:00 left" in first
    assert second.startswith("endless.mp4: 7 frames, ")
    assert "left" not in second


def test_lines_are_rare() -> None:
    file = io.StringIO()
    with LineProgress(Console(file=file)) as progress:
        progress.begin("drive.mp4", 0, 200)
        for done in range(200):
            progress.count(done)
    assert file.getvalue() == ""


def test_a_long_line_stays_one_line() -> None:
    file = io.StringIO()
    with LineProgress(Console(file=file, width=40)) as progress:
        progress.say("x" * 200)
    assert file.getvalue() == "x" * 200 + "\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3723, "1:02:03"), (-3, "0:00")]
)
def test_seconds_are_told_as_a_clock_does(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
