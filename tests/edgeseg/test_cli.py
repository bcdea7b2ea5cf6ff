"""The commands, run as a user runs them: what they print, what they leave behind, what they do not load."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg import __version__
from edgeseg.segmenter import BUNDLED_MODEL
from tests.edgeseg.clips import write_clip
from tests.edgeseg.program import (
    LIMIT_S,
    assert_one_error,
    count_frames,
    environment,
    run_edgeseg,
    start_edgeseg,
    wait_until_running,
)


def test_version() -> None:
    result = run_edgeseg("--version")
    assert (result.returncode, result.stdout, result.stderr) == (0, f"edgeseg {__version__}\n", "")


@pytest.mark.parametrize("command", [[], ["run"], ["process"], ["eval"], ["bench"], ["info"]])
def test_help(command: list[str]) -> None:
    result = run_edgeseg(*command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: edgeseg")
    assert all(len(line) <= 80 for line in result.stdout.splitlines())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["run", "--nonsense"], ["--version"]])
def test_what_needs_no_model_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = {'cv2', 'numpy', 'av', 'aiohttp', 'ai_edge_litert', 'yaml'}\n"
        "atexit.register(lambda: print('HEAVY', sorted(heavy & set(sys.modules))))\n"
        f"sys.argv = ['edgeseg', *{arguments!r}]\n"
        "from edgeseg.__main__ import main\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert result.stdout.splitlines()[-1] == "HEAVY []"


def test_a_live_run_shows_its_page_and_leaves_a_video_and_records(tmp_path: Path, bundled_clip: Path) -> None:
    video, records = tmp_path / "out" / "demo.mp4", tmp_path / "out" / "demo.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with start_edgeseg(
        "run", bundled_clip, "--save", video, "--save", records, "--http", f"127.0.0.1:{port}"
    ) as process:
        wait_until_running(process, records)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state", timeout=30) as answer:
            state = json.load(answer)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/snapshot.jpg", timeout=30) as answer:
            snapshot = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_COLOR)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert f"watch at http://127.0.0.1:{port}" in stderr
    assert state
    assert snapshot.shape == (540, 960, 3)
    counted = re.search(r"(\d+) in, (\d+) segmented, (\d+) dropped", stdout)
    assert counted
    frames_in, segmented, dropped = map(int, counted.groups())
    assert frames_in == 221 == segmented + dropped
    assert count_frames(video) == len(records.read_text().splitlines())
    for what in (
        r"frames per second",
        r"p50 [\d.]+ ms, p95 [\d.]+ ms, p99 [\d.]+ ms",
        r"road [\d.]+%",
        r"person [\d.]+%",
    ):
        assert re.search(what, stdout)


def test_a_live_run_at_720p_takes_less_than_200_mb(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 60, width=1280, height=720)
    outputs = ("--save", tmp_path / "out.mp4", "--save", tmp_path / "out.jsonl", "--http", "127.0.0.1:0")
    peak_kb = 0
    with start_edgeseg("run", clip, "--loop", "--duration", "6s", *outputs) as process:
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
            peak_kb = int(found[1])
            time.sleep(0.05)
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0, stderr
    assert count_frames(tmp_path / "out.mp4") > 0, stdout
    assert 50e6 < peak_kb * 1024 < 200e6


def test_a_config_file_makes_a_run_and_flags_change_it(tmp_path: Path) -> None:
    config = tmp_path / "edgeseg.yaml"
    config.write_text(
        f"source: synthetic:320x180@50\nduration: 1h\nfusion: {{enabled: false}}\n"
        f"output: {{save: [{tmp_path}/from-file.jsonl]}}\n"
    )
    result = run_edgeseg("run", "--config", config, "--duration", "1s")
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "from-file.jsonl").stat().st_size > 0
    assert ", fusion " not in result.stdout
    result = run_edgeseg("run", "--config", config, "--duration", "1s", "--save", tmp_path / "from-flag.jsonl")
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "from-flag.jsonl").stat().st_size > 0


def test_fusion_can_be_switched_off(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    assert ", fusion " in run_edgeseg("run", clip).stdout
    assert ", fusion " not in run_edgeseg("run", clip, "--no-fusion").stdout


def test_a_loop_goes_on_until_the_duration_is_over(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 5, fps=100)
    result = run_edgeseg("run", clip, "--loop", "--duration", "3s")
    assert result.returncode == 0
    counted = re.search(r"(\d+) in,", result.stdout)
    assert counted
    assert int(counted[1]) > 5


def test_masks_never_go_over_the_source(tmp_path: Path) -> None:
    picture = tmp_path / "frames" / "000000.png"
    picture.parent.mkdir()
    assert cv2.imwrite(str(picture), np.zeros((9, 16, 3), np.uint8))
    before = picture.read_bytes()
    masks = f"masks:{tmp_path}/./frames"
    assert_one_error(run_edgeseg("run", picture.parent, "--save", masks), 2, masks, "is the source itself")
    assert_one_error(run_edgeseg("run", picture, "--save", masks), 2, masks, "is the folder of the source")
    assert picture.read_bytes() == before


def test_two_spellings_of_one_folder_are_a_clash(tmp_path: Path) -> None:
    saves = ("--save", f"masks:{tmp_path}/a", "--save", f"masks:{tmp_path}/./a/")
    assert_one_error(run_edgeseg("run", "synthetic:64x64", *saves), 2, "./a/: is given twice")
    assert list(tmp_path.iterdir()) == []


def test_a_line_an_interval_tells_of_the_run(tmp_path: Path) -> None:
    config = tmp_path / "edgeseg.yaml"
    config.write_text("log: {interval: 500ms}")
    result = run_edgeseg("run", "synthetic:64x64@20", "--config", config, "--duration", "3s")
    lines = result.stderr.splitlines()
    assert result.returncode == 0
    assert 1 <= len(lines) <= 6
    assert all(re.match(r"edgeseg: .*\d+ in, \d+ segmented, \d+ dropped", line) for line in lines)
    config.write_text("log: {interval: 500ms, level: warning}")
    assert run_edgeseg("run", "synthetic:64x64@20", "--config", config, "--duration", "2s").stderr == ""


def test_debug_shows_what_the_libraries_say(tmp_path: Path) -> None:
    config = tmp_path / "edgeseg.yaml"
    config.write_text("log: {level: debug}")
    assert "XNNPACK" in run_edgeseg("run", "synthetic:64x64", "--config", config, "--duration", "500ms").stderr


def test_process_makes_an_overlay_and_records_and_knows_what_is_done(tmp_path: Path) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", 12), tmp_path / "out"
    first = run_edgeseg("process", clip, "--out", out)
    assert first.returncode == 0, first.stderr
    assert count_frames(out / "clip.overlay.mp4") == 12
    assert len((out / "clip.jsonl").read_text().splitlines()) == 12
    again = run_edgeseg("process", clip, "--out", out)
    assert again.returncode == 0
    assert "done already" in again.stderr


def test_process_does_the_good_files_and_names_the_bad_one(tmp_path: Path) -> None:
    clip, out = write_clip(tmp_path / "clip.mp4", 3), tmp_path / "out"
    (tmp_path / "notes.mp4").write_text("text")
    result = run_edgeseg("process", tmp_path / "notes.mp4", clip, "--out", out, "--no-records", "--masks")
    assert result.returncode == 65
    errors = [line for line in result.stderr.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith(f"edgeseg: error: {tmp_path}/notes.mp4")
    assert count_frames(out / "clip.overlay.mp4") == 3
    assert len(list((out / "clip.masks").iterdir())) == 3
    assert not (out / "clip.jsonl").exists()


def test_process_says_when_nothing_can_be_written(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "file").touch()
    assert_one_error(run_edgeseg("process", clip, "--out", tmp_path / "file"), 69, tmp_path / "file")


def test_eval_prints_json_that_other_programs_read(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((120, 160, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), np.full((120, 160), 3, np.uint8))
    result = run_edgeseg("eval", "--dataset", tmp_path, "--mapping", "camvid", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert set(figures["iou"]) == {"other", "road", "vehicle", "person"}
    assert "mean_iou" in figures


def test_bench_and_info_print_json() -> None:
    bench = run_edgeseg("bench", "--rounds", 10, "--against", BUNDLED_MODEL, "--json")
    assert (bench.returncode, bench.stderr) == (0, "")
    assert json.loads(bench.stdout)
    info = run_edgeseg("info", "--json")
    assert (info.returncode, info.stderr) == (0, "")
    assert json.loads(info.stdout)
    assert_one_error(run_edgeseg("info", "no.tflite"), 66, "no.tflite")


def test_another_model_can_be_named(tmp_path: Path) -> None:
    other = shutil.copy(BUNDLED_MODEL, tmp_path / "other.tflite")
    result = run_edgeseg("run", "synthetic:64x64", "--model", other, "--duration", "300ms", "--threads", 2)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_bug_of_ours_shows_its_traceback_and_ends_with_70() -> None:
    code = (
        "import sys, edgeseg.cli\n"
        "def broken(arguments, signals): raise ZeroDivisionError('a bug')\n"
        "edgeseg.cli.run_command_line = broken\n"
        "from edgeseg.__main__ import main\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False
    )
    assert result.returncode == 70
    assert "ZeroDivisionError: a bug" in result.stderr
    assert result.stderr.splitlines()[-1] == "edgeseg: this is a bug in edgeseg; please report it with the lines above"


@pytest.mark.parametrize("command", [("info", "--json"), ("info",), ("--version",)])
def test_an_output_that_nothing_can_be_written_to_is_no_bug(command: tuple[str, ...]) -> None:
    full = ("sh", "-c", '"$@" > /dev/full', "sh")
    assert_one_error(run_edgeseg(*command, prefix=full), 69, "stdout: cannot be written: no space left")


def test_it_runs_with_stderr_closed() -> None:
    program = [sys.executable, "-m", "edgeseg", "--version"]
    result = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *program], capture_output=True, text=True, env=environment(), check=False
    )
    assert result.returncode == 0
    assert result.stdout == f"edgeseg {__version__}\n"


def test_a_stalled_camera_is_given_two_seconds_unless_the_user_says_otherwise() -> None:
    code = (
        "import os, sys\n"
        "sys.argv = ['edgeseg', '--version']\n"
        "from edgeseg.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print(os.environ['OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT'])"
    )
    for given, expected in ({}, "2"), ({"OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "7"}, "7"):
        env = {**environment(), **given} if given else environment()
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
        assert result.stdout.splitlines()[-1] == expected
    assert "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT" not in os.environ
