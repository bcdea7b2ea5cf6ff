"""Ctrl-C and SIGTERM, sent to the real program at every stage of its life: exit 0, and files that play to their end."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg import shutdown
from edgeseg.shutdown import Stopped, StopSignals
from tests.edgeseg.clips import write_clip
from tests.edgeseg.program import (
    LIMIT_S,
    count_frames,
    environment,
    run_edgeseg,
    start_edgeseg,
    wait_for_handlers,
    wait_until_running,
)

SOURCE = "synthetic:320x180@50"


def written(stdout: str, path: Path) -> int:
    """How many results the summary says an output has."""
    match = re.search(rf"{re.escape(str(path))}: (\d+) written", stdout)
    assert match, stdout
    return int(match[1])


def assert_ended_well(process: subprocess.Popen[str]) -> str:
    """The program ended by itself, with 0 and without a word about an error; returns what it printed."""
    stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert "error" not in stderr
    assert "Traceback" not in stderr
    return stdout


def assert_complete(stdout: str, video: Path, records: Path) -> None:
    """Every result that was counted is in the file and can be read."""
    assert count_frames(video) == written(stdout, video) > 0
    lines = records.read_text(encoding="utf-8").splitlines()
    assert len(lines) == written(stdout, records) > 0
    assert [json.loads(line)["index"] for line in lines] == sorted({json.loads(line)["index"] for line in lines})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_it_runs(tmp_path: Path, number: signal.Signals) -> None:
    video, records = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with start_edgeseg("run", SOURCE, "--save", video, "--save", records, "--http", "127.0.0.1:0") as process:
        wait_until_running(process, records, size=2000)
        process.send_signal(number)
        assert_complete(assert_ended_well(process), video, records)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.mp4"]


def test_nohup_is_heeded() -> None:
    before = {number: signal.getsignal(number) for number in shutdown.SIGNALS}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        StopSignals().install()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        StopSignals().install()
        assert callable(signal.getsignal(signal.SIGHUP))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("wait_s", [0.0, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_signal_while_it_starts(tmp_path: Path, wait_s: float) -> None:
    video, records = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with start_edgeseg("run", SOURCE, "--save", video, "--save", records, "--http", "127.0.0.1:0") as process:
        wait_for_handlers(process)
        time.sleep(wait_s)
        process.send_signal(signal.SIGTERM)
        assert_ended_well(process)
        # Whatever moment it was: no file, or one that can be read to its end.
        if video.exists():
            assert count_frames(video) > 0
        assert not video.with_name("out.mp4.part").exists()
        if records.exists():
            assert all(json.loads(line) for line in records.read_text(encoding="utf-8").splitlines())


def test_many_signals_do_no_more_than_one(tmp_path: Path) -> None:
    video, records = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    with start_edgeseg("run", SOURCE, "--save", video, "--save", records) as process:
        wait_until_running(process, records, size=2000)
        for round_ in range(200):
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGINT if round_ % 2 else signal.SIGTERM)
            time.sleep(0.005)
        assert_complete(assert_ended_well(process), video, records)


def test_the_end_of_the_duration_is_an_ordinary_end(tmp_path: Path) -> None:
    video, records = tmp_path / "out.mp4", tmp_path / "out.jsonl"
    result = run_edgeseg("run", SOURCE, "--save", video, "--save", records, "--duration", "2s")
    assert (result.returncode, result.stderr) == (0, "")
    assert_complete(result.stdout, video, records)


def test_a_signal_ends_the_wait_for_a_picture_that_is_due_in_an_hour(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "slow.mp4", 2, times_ms=[0, 3_600_000])
    records = tmp_path / "out.jsonl"
    with start_edgeseg("run", clip, "--save", records) as process:
        wait_until_running(process, records)
        process.send_signal(signal.SIGTERM)
        assert "1 in, 1 segmented, 0 dropped" in assert_ended_well(process)


def test_a_stopped_measurement_is_no_success() -> None:
    # It has measured nothing, and whoever goes on with its figures must know.
    with start_edgeseg("bench", "--rounds", 1_000_000, "--json") as process:
        wait_for_library(process, "litert")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + signal.SIGINT
    assert (stdout, stderr) == ("", "")


def wait_for_library(process: subprocess.Popen[str], name: str) -> None:
    """Waits until the program has loaded a library of that name."""
    deadline = time.monotonic() + LIMIT_S
    while process.poll() is None and time.monotonic() < deadline:
        if name in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8", errors="replace"):
            return
        time.sleep(0.01)
    raise AssertionError(f"{name} was not loaded")


@pytest.mark.parametrize("arguments", [["info"], ["info", "--json"], ["--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: list[str]) -> None:
    with start_edgeseg(*arguments) as program:
        assert program.stdout is not None
        program.stdout.close()
        program.wait(LIMIT_S)
        assert program.returncode == 0
        assert program.stderr is not None
        assert program.stderr.read() == ""
        program.stderr.close()


@pytest.mark.parametrize("error", ["ConfigError", "ImportError", "SystemExit"])
def test_a_library_that_makes_another_error_of_it_does_not_get_in_the_way(error: str) -> None:
    # Extension modules turn whatever comes up while they are imported into an ImportError, for instance.
    code = (
        "import signal, edgeseg.cli\n"
        "from edgeseg.errors import ConfigError\n"
        "def start(arguments, signals):\n"
        "    try: signal.raise_signal(signal.SIGTERM)\n"
        f"    except BaseException as stopped: raise {error}('the runtime does not work') from stopped\n"
        "edgeseg.cli.run_command_line = start\n"
        "from edgeseg.__main__ import main\n"
        "main()"
    )
    program = [sys.executable, "-c", code]
    result = subprocess.run(program, capture_output=True, text=True, env=environment(), check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


class TestStopSignals:
    """The handlers themselves, in this process."""

    @pytest.fixture(autouse=True)
    def signals(self) -> Iterator[StopSignals]:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signals = StopSignals()
        signals.install()
        yield signals
        for number, handler in before.items():
            signal.signal(number, handler)

    def test_the_first_unwinds_and_the_second_does_nothing(self, signals: StopSignals) -> None:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert signals.number == signal.SIGTERM

    def test_one_that_was_swallowed_is_raised_again_later(
        self, signals: StopSignals, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
        monkeypatch.setattr(shutdown, "PATIENCE_S", 0.0)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)

    def test_while_something_works_it_is_told_each_time(self, signals: StopSignals) -> None:
        calls: list[int] = []
        with signals.calling(lambda: calls.append(1)):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        assert calls == [1, 1]

    def test_what_begins_after_a_signal_is_told_at_once(self, signals: StopSignals) -> None:
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
        calls: list[int] = []
        with signals.calling(lambda: calls.append(1)):
            assert calls == [1]

    def test_at_the_end_they_are_ignored(self, signals: StopSignals) -> None:
        signals.ignore()
        signal.raise_signal(signal.SIGTERM)
        assert signals.number is None

    @pytest.mark.parametrize(("failure", "code"), [(False, 0), (True, 130)])
    def test_the_exit_code_is_what_the_command_is_worth_half_done(
        self, signals: StopSignals, failure: bool, code: int
    ) -> None:
        signals.unfinished_is_failure = failure
        assert signals.exit_code == 0
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
        assert signals.exit_code == code
