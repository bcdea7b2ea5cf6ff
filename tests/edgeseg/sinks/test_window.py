"""WindowSink: it shows and can be closed; where no window can be it says what is missing and what to do."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.window import WindowSink, has_gui
from tests.edgeseg.results import make_drive


class Desktop:
    """Stands in for the GUI half of OpenCV, which the headless wheel lacks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[NDArray[np.uint8]] = []
        self.size: tuple[int, int] | None = None
        self.key = -1
        self.visible = 1.0
        self.windows: set[str] = set()
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:   QT5")
        monkeypatch.setattr(cv2, "namedWindow", lambda title, flags: self.windows.add(title))
        monkeypatch.setattr(cv2, "resizeWindow", lambda title, width, height: setattr(self, "size", (width, height)))
        monkeypatch.setattr(cv2, "imshow", lambda title, picture: self.shown.append(picture))
        monkeypatch.setattr(cv2, "waitKey", lambda delay: self.key)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda title, kind: self.visible)
        monkeypatch.setattr(cv2, "destroyAllWindows", self.windows.clear)


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch) -> Desktop:
    return Desktop(monkeypatch)


@pytest.fixture
def interrupts() -> Iterator[list[int]]:
    """The SIGINTs that came."""
    came: list[int] = []

    def take(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before = signal.signal(signal.SIGINT, take)
    yield came
    signal.signal(signal.SIGINT, before)


def test_it_shows_the_overlays_at_their_size(desktop: Desktop, interrupts: list[int]) -> None:
    results = list(make_drive(2))
    with WindowSink() as sink:
        assert desktop.windows == {"edgeseg"}
        for result in results:
            sink.write(result)
    assert [picture is result.overlay() for picture, result in zip(desktop.shown, results, strict=True)] == [True, True]
    assert desktop.size == (320, 180)
    assert desktop.windows == set()
    assert interrupts == []


@pytest.mark.parametrize(("key", "visible"), [(ord("q"), 1.0), (27, 1.0), (-1, 0.0)])
def test_a_key_or_the_closed_window_ends_the_run(
    desktop: Desktop, interrupts: list[int], key: int, visible: float
) -> None:
    with WindowSink() as sink:
        desktop.key, desktop.visible = key, visible
        sink.write(next(make_drive(1)))
    assert interrupts == [signal.SIGINT]


def test_without_a_display_it_points_to_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkUnavailableError, match=r"no display.*--http") as caught, WindowSink():
        pass
    assert "\n" not in str(caught.value)


def test_the_headless_opencv_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    if has_gui(cv2.getBuildInformation()):
        pytest.skip("this environment has the OpenCV with windows; edgeseg installs the headless one")
    with pytest.raises(SinkUnavailableError, match=r"headless.*pip uninstall.*pip install opencv-python") as caught:
        WindowSink().__enter__()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"), [("  GUI:      NONE", False), ("  GUI:   QT5", True), ("  GUI:    GTK3", True), ("", None)]
)
def test_the_build_information_tells_whether_there_are_windows(line: str, expected: bool | None) -> None:
    assert has_gui(f"General configuration\n{line}\n    QT:   NO\n") is expected
