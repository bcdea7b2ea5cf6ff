"""The doctor as a whole: what it looks at, in which order, what it prints and how it ends."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from edgeseg.config_file import load_config
from edgeseg.doctor import EXIT_PROBLEM, examine, heat
from edgeseg.doctor.encoder import check_encoder
from edgeseg.doctor.finding import Finding, worst
from edgeseg.doctor.model import check_model
from edgeseg.doctor.report import as_json, show, to_do
from edgeseg.doctor.wanted import Wanted, WantedCamera, working_folder
from tests.edgeseg.program import environment, run_edgeseg

FINE = Finding("page", "ok", "http://127.0.0.1:8080 is free")
SOSO = Finding("clock", "warning", "nobody keeps the clock right", "run: sudo timedatectl set-ntp true")
BAD = Finding("cameras", "problem", "no permission", "run: sudo usermod -aG video $USER")


def test_a_finding_has_a_remedy_when_and_only_when_it_is_not_well() -> None:
    with pytest.raises(ValueError, match="needs no remedy"):
        Finding("page", "ok", "free", "do something")
    with pytest.raises(ValueError, match="not needs one"):
        Finding("page", "problem", "taken")


def test_the_worst_finding_decides() -> None:
    assert worst([]) == "ok"
    assert worst([FINE]) == "ok"
    assert worst([FINE, SOSO]) == "warning"
    assert worst([BAD, FINE, SOSO]) == "problem"


def test_what_to_do_comes_worst_first_and_each_only_once() -> None:
    again = Finding("streams", "problem", "no permission here either", BAD.remedy)
    assert to_do([FINE, SOSO, BAD, again]) == [BAD, SOSO]
    assert as_json([FINE, SOSO, BAD])["to_do"] == [BAD.remedy, SOSO.remedy]


def test_people_get_a_table_and_what_to_do() -> None:
    out = StringIO()
    show([FINE, SOSO, BAD], Console(file=out, width=100))
    text = out.getvalue()
    assert text.index("http://127.0.0.1:8080 is free") < text.index("What to do:")
    assert f"1. {BAD.text}:\n   {BAD.remedy}" in text
    assert f"2. {SOSO.text}:\n   {SOSO.remedy}" in text


def test_when_all_is_well_there_is_nothing_to_do() -> None:
    out = StringIO()
    show([FINE], Console(file=out, width=100))
    assert "Nothing to do." in out.getvalue()


def test_square_brackets_in_a_finding_are_shown_as_they_are() -> None:
    out = StringIO()
    show([Finding("page", "ok", "http://[::1]:8080 is [free]")], Console(file=out, width=100))
    assert "http://[::1]:8080 is [free]" in out.getvalue()


def test_the_encoder_is_really_opened_and_gives_pictures() -> None:
    (finding,) = check_encoder()
    assert finding.level == "ok"
    assert finding.details["bytes"] > 0
    assert finding.details["ms"] > 0


def test_the_model_is_really_run(tiny_model: Path) -> None:
    (finding,) = check_model(tiny_model)
    assert finding.level == "ok"
    assert finding.text.startswith("tiny 96x64 on ")
    assert finding.details["ms"] > 0


def test_a_model_that_cannot_be_used_is_a_problem_with_what_to_do(tiny_model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    content = bytearray(tiny_model.read_bytes())
    content[len(content) // 4] ^= 1
    damaged.write_bytes(content)
    (finding,) = check_model(damaged)
    assert finding.level == "problem"
    assert "checksum" in finding.text
    assert finding.remedy == "copy it again"


def test_what_is_wanted_is_what_the_configuration_says(tmp_path: Path) -> None:
    path = tmp_path / "edgeseg.yaml"
    path.write_text(
        "cameras:\n  front: {source: 0, size: 1280x720, fps: 30}\n  rear: {source: 'rtsp://10.0.0.7/main'}\n"
        "model: {path: x.tflite, threads: 2}\nhttp: {address: 8080}\nheat: {warm_celsius: 60}\n"
        "mqtt: {broker: mq.local}\nrecording: {folder: segments, keep: {free: 3GB}}\n",
        encoding="utf-8",
    )
    wanted = Wanted.of(load_config(path), path)
    assert wanted.cameras == (
        WantedCamera("front", "0", "MJPG", (1280, 720), 30.0),
        WantedCamera("rear", "rtsp://10.0.0.7/main"),
    )
    assert (wanted.model, wanted.threads, wanted.config) == (Path("x.tflite"), 2, path)
    assert wanted.broker == ("mq.local", 1883)
    assert (wanted.folder, wanted.recordings, wanted.keep_free_bytes) == (Path.cwd(), Path("segments"), 3_000_000_000)
    assert wanted.page is not None
    assert wanted.heat is not None
    assert (wanted.page.port, wanted.heat.warm_celsius) == (8080, 60)


@pytest.mark.parametrize(
    ("config", "folder"),
    [
        ("/etc/edgeseg/edgeseg.yaml", "/var/lib/edgeseg"),
        ("/etc/edgeseg/front.yaml", "/var/lib/edgeseg/front"),
        ("/srv/edgeseg.yaml", None),
        (None, None),
    ],
)
def test_paths_start_where_the_run_would(config: str | None, folder: str | None) -> None:
    assert working_folder(Path(config) if config else None) == (Path(folder) if folder else Path.cwd())


def test_everything_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    checks = [finding.check for finding in examine(root=tmp_path)]
    order = list(dict.fromkeys(checks))
    assert order == [
        "packages",
        "cameras",
        "csi",
        "model",
        "encoder",
        "storage",
        "page",
        "heat",
        "clock",
        "permissions",
    ]


def test_a_configuration_that_is_wrong_is_a_finding_and_the_rest_is_looked_at_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "edgeseg.yaml"
    path.write_text("soruce: 0\n", encoding="utf-8")
    findings = list(examine(path, tmp_path))
    (finding,) = (item for item in findings if item.check == "configuration")
    assert finding.level == "problem"
    assert "did you mean 'source'" in finding.text
    assert findings[-1].check == "permissions"


def test_what_the_system_refuses_ends_one_check_and_not_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> list[Finding]:
        raise PermissionError(errno.EACCES, "Permission denied", "/sys/secret")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(heat, "check_heat", refuse)
    findings = list(examine(root=tmp_path))
    (finding,) = (item for item in findings if item.check == "heat")
    assert (finding.level, finding.text) == ("warning", "could not be looked at: permission denied")
    assert findings[-1].check == "permissions"


@pytest.fixture
def run_doctor(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """The program in a folder of its own; returns its exit code and what it prints."""

    def run(*arguments: object) -> tuple[int, str]:
        result = run_edgeseg("doctor", *arguments, cwd=tmp_path)
        assert "Traceback" not in result.stderr, result.stderr
        return result.returncode, result.stdout

    return run


def test_the_program_ends_with_0_or_with_69_by_what_it_found(
    tmp_path: Path, run_doctor: Callable[..., tuple[int, str]]
) -> None:
    config = tmp_path / "edgeseg.yaml"
    config.write_text("source: synthetic:64x48@5\n", encoding="utf-8")
    code, text = run_doctor("--json", "--config", config)
    answer = json.loads(text)
    problems = [item for item in answer["findings"] if item["level"] == "problem"]
    assert code == (EXIT_PROBLEM if problems else 0)
    config.write_text("source: synthetic:64x48@5\nmodel: {path: nowhere.tflite}\n", encoding="utf-8")
    code, text = run_doctor("--config", config)
    assert code == EXIT_PROBLEM
    assert "What to do:" in text
    assert "nowhere.tflite" in text


def test_a_broken_package_is_found_and_not_met(tmp_path: Path) -> None:
    """What a second OpenCV leaves behind often cannot be imported: that is what the doctor is asked for."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')", "utf-8")
    env = {**environment(), "PYTHONPATH": f"{tmp_path}:{environment()['PYTHONPATH']}"}
    result = subprocess.run(
        [sys.executable, "-m", "edgeseg", "doctor", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        cwd=tmp_path,
    )
    assert result.returncode == EXIT_PROBLEM, result.stderr
    assert "libGL.so.1" in result.stdout
