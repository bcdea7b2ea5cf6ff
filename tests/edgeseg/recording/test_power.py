"""A recording process that is killed, and one whose power goes; benchmarks/recorder.py does it more often."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.recorder import cut_power_at, kill_at
from edgeseg.recording.recovery import RECOVERY_S


@pytest.mark.parametrize("seconds", [0.9, 1.4, 2.3])
def test_a_kill_costs_a_second_at_most(tmp_path: Path, seconds: float) -> None:
    outcome = kill_at(tmp_path, seconds, segment_s=1.0)
    assert outcome.recovered > 0
    assert outcome.lost_s <= RECOVERY_S


def test_a_power_cut_costs_a_second_at_most(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("only root may mount a file system that lies in a file, and mkfs.ext4 makes it")
    (tmp_path / "probe").mkdir()
    with (tmp_path / "probe.img").open("wb") as file:
        file.truncate(2**22)
    subprocess.run(["mkfs.ext4", "-q", str(tmp_path / "probe.img")], check=True)
    if subprocess.run(["mount", "-o", "loop", tmp_path / "probe.img", tmp_path / "probe"], check=False).returncode:
        pytest.skip("this machine has no loop devices")
    subprocess.run(["umount", tmp_path / "probe"], check=True)
    outcome = cut_power_at(tmp_path, 2.2, segment_s=1.0)
    assert outcome.recovered > 0
    assert outcome.lost_s <= RECOVERY_S
