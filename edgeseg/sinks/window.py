"""WindowSink: the overlay in a window, where there is a display and an OpenCV that can open one."""

from __future__ import annotations

import os
import signal
import sys
from threading import main_thread
from types import TracebackType

import cv2

from edgeseg.errors import SinkUnavailableError
from edgeseg.sinks.sink import Result

TITLE = "edgeseg"
QUIT_KEYS = (ord("q"), 27)


class WindowSink:
    """Shows the newest overlay. Q, Esc or closing the window stops the run, as Ctrl-C does."""

    name = "window:"
    lossless = False

    def __init__(self) -> None:
        self._shown = False

    def __enter__(self) -> WindowSink:
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise SinkUnavailableError(
                "window: there is no display here (DISPLAY and WAYLAND_DISPLAY are not set); "
                "watch in a browser with --http"
            )
        if has_gui(cv2.getBuildInformation()) is False:
            raise SinkUnavailableError(
                "window: the installed OpenCV is its headless build, which opens no windows; watch in a browser with "
                "--http, or swap it (the two must not be installed together): "
                "pip uninstall opencv-python-headless && pip install opencv-python"
            )
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as error:
            raise SinkUnavailableError(
                f"window: cannot be opened: {error.err.strip()}; watch in a browser with --http"
            ) from error
        return self

    def write(self, result: Result) -> None:
        picture = result.overlay()
        if not self._shown:
            cv2.resizeWindow(TITLE, picture.shape[1], picture.shape[0])
            self._shown = True
        cv2.imshow(TITLE, picture)
        key = cv2.waitKey(1) & 0xFF
        if key in QUIT_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1:
            # To the main thread, which waits there: a signal that this thread takes would not wake it.
            signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cv2.destroyAllWindows()
        # The event loop has to turn once for the window to go.
        cv2.waitKey(1)


def has_gui(build_information: str) -> bool | None:
    """Returns whether an OpenCV of that build opens windows, None when its build information does not say."""
    for line in build_information.splitlines():
        words = line.split()
        if words[:1] == ["GUI:"]:
            return words[1:2] != ["NONE"]
    return None
