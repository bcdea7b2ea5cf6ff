"""WindowSink where no window can be: it says what is missing and what to do."""

from __future__ import annotations

import cv2
import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.window import WindowSink, has_gui


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
