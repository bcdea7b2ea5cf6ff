"""Child: a program whose standard output is read, with all that it starts, and ended with it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence

from edgeseg.errors import SourceUnavailableError, explain
from edgeseg.redact import redact

#: What one look at the pipe takes out of it at most; also what the pipe is asked to hold.
CHUNK = 1 << 20
#: How long a program may take to end in good order; a camera that is not given back may be stuck for the next one.
END_S = 0.5
#: Of its last words so many lines are kept, and so many signs of the one that is told.
LINES, SIGNS = 20, 200
#: Of a line without an end so many bytes.
LONGEST_LINE = 4096
_LINE_END = re.compile(rb"[\r\n]")

# Linux's own number, which Python 3.10's fcntl does not have.
F_SETPIPE_SZ = 1031


class Child:
    """One run of a program, without a shell and in a process group of its own, so that Ctrl-C is not for it.

    With `apart` the pictures do not come through its standard output but through a pipe whose number stands for `{fd}`
    in its arguments: for programs that also talk on their standard output.
    """

    def __init__(self, name: str, arguments: Sequence[str], *, apart: bool = False) -> None:
        """Starts it. `name` is what messages begin with. Raises SourceUnavailableError."""
        self.name = name
        self._words: deque[str] = deque(maxlen=LINES)
        self._closed = False
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._pictures, theirs = os.pipe()
        with contextlib.suppress(OSError):
            # By default 64 kB, forty turns for a raw picture of 720p.
            fcntl.fcntl(self._pictures, F_SETPIPE_SZ, CHUNK)
        try:
            self._process = subprocess.Popen(
                [argument.replace("{fd}", str(theirs)) for argument in arguments] if apart else list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if apart else theirs,
                stderr=subprocess.PIPE,
                pass_fds=(theirs,) if apart else (),
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._pictures)
            os.close(self._wake)
            what = "no such program" if isinstance(error, FileNotFoundError) else f"cannot be run: {explain(error)}"
            raise SourceUnavailableError(
                f"{name}: {arguments[0]}: {what}; install it or give its whole path"
            ) from error
        finally:
            os.close(theirs)
        self._listener = threading.Thread(target=self._listen, name="child's stderr", daemon=True)
        self._listener.start()

    def read(self, limit_s: float) -> bytes | None:
        """Returns what it has written since the last time, waiting for it; b"" when it has ended, None when woken.

        Raises TimeoutError when nothing comes for `limit_s` seconds.
        """
        poll = select.poll()
        poll.register(self._pictures, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, limit_s) * 1e3)}
        if self._wake in ready:
            return None
        if not ready:
            raise TimeoutError
        return os.read(self._pictures, CHUNK)

    def wake(self) -> None:
        """Makes `read()` return None, now and from then on; may come from any thread, at any time."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake, 1)

    def explain_end(self) -> str:
        """Returns how it ended and the words that say why, after its output has."""
        self._await_end()
        # Another program that it has started may hold its stderr open.
        self._listener.join(END_S)
        end = self._find_end()
        if end is None:
            how = "has closed its output"
        elif end.si_code == os.CLD_EXITED:
            how = f"has ended with exit code {end.si_status}"
        else:
            how = f"was ended by {signal.Signals(end.si_status).name}"
        words = self.last_words()
        return f"{how}: {words}" if words else how

    def last_words(self) -> str:
        """Returns the line of its stderr that says most: the last one about an error, else the last one."""
        lines = list(self._words)
        about_errors = [line for line in lines if "error" in line.lower()]
        return redact((about_errors or lines or [""])[-1])[:SIGNS]

    def close(self) -> None:
        """Ends the program and all that it has started: asks first, then makes them."""
        self._signal(signal.SIGINT)
        self._await_end()
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._listener.join(END_S)
        if self._process.stderr is not None and not self._listener.is_alive():
            self._process.stderr.close()
        with self._lock:
            self._closed = True
            os.close(self._pictures)
            os.close(self._wake)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _await_end(self) -> None:
        until = time.monotonic() + END_S
        while self._find_end() is None and time.monotonic() < until:
            time.sleep(0.01)

    def _find_end(self) -> os.waitid_result | None:
        # Looked at and not taken: as long as it is not, no other process and no other group can have its number.
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)

    def _listen(self) -> None:
        stderr, line = self._process.stderr, b""
        assert isinstance(stderr, io.BufferedReader)
        while data := stderr.read1():
            # Some write over their last line for ever (\r) and never begin another one.
            *lines, line = _LINE_END.split(line + data)
            self._hear(*lines)
            line = line[:LONGEST_LINE]
        self._hear(line)

    def _hear(self, *lines: bytes) -> None:
        for line in lines:
            if text := line[:LONGEST_LINE].decode("utf-8", "replace").strip():
                self._words.append(text)
