"""The `edgeseg` program: signals and stderr first, then the command line, then errors to exit codes."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import io
import os
import sys
import threading
from typing import TYPE_CHECKING

from edgeseg.errors import EdgesegError, SinkUnavailableError, tell_bug
from edgeseg.shutdown import Stopped, StopSignals

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: OpenCV reads this when it is loaded: a stalled camera blocks for two seconds instead of ten.
CAMERA_TIMEOUT = {"OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "2"}


# From glibc's malloc.h.
M_ARENA_MAX = -8


def main() -> None:
    """Runs the command line of this process and exits: 0 ended or stopped, else as errors.py says."""
    signals = StopSignals()
    code = 70
    try:
        signals.install()
        _keep_stderr_for_ourselves()
        _watch_stdout()
        _share_memory_between_threads()
        code = _run(signals)
        if signals.unwinding:
            # Stopped came up inside a library, in the middle of its import, which made another error of it.
            code = signals.exit_code
        signals.ignore()
    except Stopped:
        signals.ignore()
        code = signals.exit_code
    _exit(code)


def _run(signals: StopSignals) -> int:
    os.environ.update({key: os.environ.get(key, value) for key, value in CAMERA_TIMEOUT.items()})
    try:
        from edgeseg.cli import run_command_line

        code = run_command_line(sys.argv[1:], signals)
        sys.stdout.flush()
        return code
    except EdgesegError as error:
        if not signals.unwinding:
            # One line, whatever a library put into its message.
            sys.stderr.write(f"edgeseg: error: {' '.join(str(error).split())}\n")
        return error.exit_code
    except (BrokenPipeError, SystemExit):
        # Whoever read our output has seen enough (`edgeseg info | head -1`); rich makes a SystemExit of it.
        _drop_output()
        return 0
    except Exception:  # noqa: BLE001 - it is shown, and it decides the exit code
        if not signals.unwinding:
            tell_bug("edgeseg")
        return EdgesegError.exit_code


class _Output(io.FileIO):
    """Stdout, whose refusal (a full disk behind `>`) is told in one line like that of any other output."""

    def write(self, content: ReadableBuffer, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            raise
        except OSError as error:
            # What the buffer still holds is refused no second time.
            _drop_output()
            raise SinkUnavailableError(
                f"stdout: cannot be written: {(error.strerror or str(error)).lower()}"
            ) from error


def _watch_stdout() -> None:
    if not sys.stdout:
        # It is closed (>&-).
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
        return
    buffer = io.BufferedWriter(_Output(sys.stdout.fileno(), "w", closefd=False))
    encoding, errors, terminal = sys.stdout.encoding, sys.stdout.errors, sys.stdout.isatty()
    sys.stdout = io.TextIOWrapper(buffer, encoding, errors, line_buffering=terminal)


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _share_memory_between_threads() -> None:
    """Lets all threads allocate from two heaps (glibc would give each its own).

    A picture is made in one thread and freed in another, so that every heap keeps room for the largest ones it has
    seen: with 18 threads on two cores that was 6 MB of 190, and there may be four times as many heaps on four cores.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def _keep_stderr_for_ourselves() -> None:
    """Sends what C libraries write to stderr nowhere; Python's own sys.stderr goes on as before.

    LiteRT, libpng, OpenCV and libav each talk there on their own, in the middle of a line or a progress bar, and have
    no common switch. What matters of it comes back as an error. `log: {level: debug}` shows it again.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        ours = os.dup(2)
    except OSError:
        # It is closed (2>&-). Left so, the next file to be opened would become number 2 and get the libraries' words.
        ours = os.dup(nowhere)
    encoding = sys.stderr.encoding if sys.stderr else "utf-8"
    sys.stderr = os.fdopen(ours, "w", buffering=1, encoding=encoding, errors="backslashreplace")
    os.dup2(nowhere, 2)
    if nowhere != 2:
        os.close(nowhere)
    faulthandler.enable(sys.stderr)


def _exit(code: int) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        # A stage that hangs in a driver was left behind; tearing the libraries down under it could crash.
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
