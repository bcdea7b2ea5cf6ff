"""Child: a real program is read, waited for no longer than was said, and ended with all that it started."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from edgeseg.errors import SourceUnavailableError
from edgeseg.sources.child import LONGEST_LINE, Child

LIMIT_S = 60.0


def shell(script: str, *, apart: bool = False) -> Child:
    return Child("pipe:cam", ["sh", "-c", script], apart=apart)


def read_all(child: Child) -> bytes:
    data = b""
    while piece := child.read(LIMIT_S):
        data += piece
    return data


def is_running(pid: int) -> bool:
    try:
        # A process that has ended and that nobody has waited for is no more.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 0", "has ended with exit code 0"),
        ("echo no camera >&2; exit 3", "has ended with exit code 3: no camera"),
        ("echo ERROR: no camera >&2; echo bye >&2; exit 1", "has ended with exit code 1: ERROR: no camera"),
        ("printf 'frame 1\\rframe 2\\r' >&2", "has ended with exit code 0: frame 2"),
        ("printf 'no end' >&2", "has ended with exit code 0: no end"),
        ("kill -9 $$", "was ended by SIGKILL"),
        ("exec >&-; sleep 100", "has closed its output"),
        ("echo cannot open rtsp://admin:hunter2@cam/ >&2", "has ended with exit code 0: cannot open rtsp://***@cam/"),
    ],
)
def test_how_it_ended_is_told_with_its_last_words(script: str, said: str) -> None:
    child = shell(script)
    try:
        assert read_all(child) == b""
        assert child.explain_end() == said
    finally:
        child.close()


def test_of_a_line_without_an_end_it_keeps_the_beginning() -> None:
    child = shell("printf 'begun ' >&2; head -c 1000000 /dev/zero | tr '\\0' x >&2")
    try:
        assert read_all(child) == b""
        assert child.explain_end().startswith("has ended with exit code 0: begun xxx")
        assert [len(line) for line in child._words] == [LONGEST_LINE]
    finally:
        child.close()


def test_what_it_writes_is_read_and_its_stdin_is_empty() -> None:
    child = shell("echo one; cat; echo two")
    try:
        assert read_all(child) == b"one\ntwo\n"
    finally:
        child.close()


def test_a_silence_ends_the_wait_and_so_does_being_woken() -> None:
    child = shell("sleep 1000")
    try:
        with pytest.raises(TimeoutError):
            child.read(0.05)
        threading.Timer(0.05, child.wake).start()
        assert child.read(LIMIT_S) is None
        assert child.read(LIMIT_S) is None
    finally:
        child.close()
    # Whoever comes late does no harm to a file that has got the number meanwhile.
    child.wake()


@pytest.mark.parametrize(
    "script", ["sleep 1000 & echo $!; wait", "trap '' INT; sleep 1000 & echo $!; wait; sleep 1000"]
)
def test_it_is_ended_with_all_that_it_started(script: str) -> None:
    child = shell(script)
    first = child.read(LIMIT_S)
    assert first
    grandchild = int(first)
    assert is_running(grandchild)
    # Ctrl-C in our terminal is for our group.
    assert os.getpgid(grandchild) != os.getpgid(0)
    child.close()
    wait_until_gone(grandchild)


def test_one_that_ends_in_good_order_when_asked_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.sources.child.END_S", LIMIT_S)
    # A shell cannot take back that whoever started the tests (in the background, say) has SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        child = shell("trap 'echo the camera is given back >&2; exit 0' INT; echo ready; while :; do sleep 0.01; done")
    finally:
        signal.signal(signal.SIGINT, before)
    assert child.read(LIMIT_S) == b"ready\n"
    child.close()
    assert child.last_words() == "the camera is given back"


def test_nothing_is_left_open() -> None:
    def count_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count_open()
    for script in ("exit 0", "sleep 1000", "echo a; echo b >&2; sleep 1000"):
        shell(script).close()
    with pytest.raises(SourceUnavailableError):
        Child("pipe:cam", ["/no/such/program"])
    assert count_open() == before
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


def test_one_that_talks_on_its_standard_output_is_given_another_pipe() -> None:
    child = shell("echo GST_ARGUS: hello; echo picture >/dev/fd/{fd}", apart=True)
    try:
        assert read_all(child) == b"picture\n"
        assert child.explain_end() == "has ended with exit code 0"
    finally:
        child.close()


def test_a_program_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match=r"^pipe:cam: rpicam-vidd: no such program; install it"):
        Child("pipe:cam", ["rpicam-vidd"])
    (tmp_path / "notes.txt").write_text("no program")
    with pytest.raises(SourceUnavailableError, match=r"notes\.txt: cannot be run: permission denied"):
        Child("pipe:cam", [str(tmp_path / "notes.txt")])
