"""The units and what belongs to them, as systemd's own tools judge them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeseg.config_file import check_config, load_config
from edgeseg.errors import EdgesegError, SourceUnavailableError
from tests.conftest import ROOT
from tests.edgeseg.program import own_mounts

FOLDER = ROOT / "systemd"
UNITS = ("edgeseg.service", "edgeseg@.service")
#: Of 10, as `systemd-analyze security` counts.
MOST_EXPOSED = 2.0

pytestmark = pytest.mark.server


def tool(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no {name}: run tests/install-servers")
    return path


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_exposes_little(unit: str) -> None:
    judged = subprocess.run(
        [tool("systemd-analyze"), "security", "--offline=yes", "--no-pager", FOLDER / unit],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    assert found is not None, judged.stdout
    assert float(found[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("jetson", [False, True])
def test_systemd_understands_every_line_of_a_unit(unit: str, jetson: bool, tmp_path: Path) -> None:
    # It says on stderr what it does not understand, and ends with 0 all the same.
    name = unit.replace("@", "@front")
    shutil.copy(FOLDER / unit, tmp_path / unit)
    if jetson:
        (tmp_path / f"{unit}.d").mkdir()
        shutil.copy(FOLDER / "jetson.conf", tmp_path / f"{unit}.d" / "jetson.conf")
    installed = (
        "mount -t tmpfs none /opt && mkdir -p /opt/edgeseg/venv/bin && ln -s /bin/sh /opt/edgeseg/venv/bin/python"
    )
    prefix = own_mounts(installed)
    judged = subprocess.run(
        [*prefix, tool("systemd-analyze"), "verify", "--man=no", tmp_path / name if "@" in unit else tmp_path / unit],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    assert (judged.returncode, judged.stdout, judged.stderr) == (0, "", "")


def test_the_check_above_would_find_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "edgeseg.service"
    broken.write_text((FOLDER / broken.name).read_text(encoding="utf-8").replace("MemoryMax", "MemroyMax"), "utf-8")
    judged = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", broken], capture_output=True, text=True, check=False
    )
    assert "MemroyMax" in judged.stderr


def test_the_template_is_the_unit_but_for_its_names() -> None:
    unit, template = (
        [line for line in (FOLDER / name).read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        for name in UNITS
    )
    names = {
        "Description=edgeseg %i:": "Description=edgeseg:",
        "/etc/edgeseg/%i.": "/etc/edgeseg/edgeseg.",
        "edgeseg/%i": "edgeseg",
    }
    for name, common in names.items():
        assert any(name in line for line in template), name
        template = [line.replace(name, common) for line in template]
    assert template == unit


@pytest.mark.parametrize("unit", UNITS)
def test_what_a_restart_cannot_mend_is_what_the_errors_say(unit: str) -> None:
    text = (FOLDER / unit).read_text(encoding="utf-8")
    found = re.search(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE)
    assert found is not None
    kinds = [kind for kind in EdgesegError.__subclasses__() if kind.exit_code != SourceUnavailableError.exit_code]
    assert {int(code) for code in found[1].split()} == {kind.exit_code for kind in kinds}


def test_the_default_configuration_is_valid_and_lets_nobody_in_from_outside() -> None:
    assert check_config(FOLDER / "edgeseg.yaml") == []
    config = load_config(FOLDER / "edgeseg.yaml")
    assert config.http.address is not None
    assert config.http.address.loopback


def test_what_the_default_configuration_leaves_out_may_be_put_in(tmp_path: Path) -> None:
    path = tmp_path / "edgeseg.yaml"
    text = (FOLDER / "edgeseg.yaml").read_text(encoding="utf-8")
    path.write_text(re.sub(r"^# (recording:|  \w+:)", r"\1", text, flags=re.MULTILINE), encoding="utf-8")
    assert check_config(path) == []
    assert load_config(path).recording.folder == Path("recordings")


def test_the_user_is_in_the_groups_that_the_rules_give_devices_to(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    subprocess.run(
        [tool("systemd-sysusers"), f"--root={tmp_path}", FOLDER / "sysusers.conf"], check=True, capture_output=True
    )
    groups = (tmp_path / "etc" / "group").read_text(encoding="utf-8").splitlines()
    mine = {line.split(":")[0] for line in groups if "edgeseg" in line.split(":")[3].split(",")}
    given = set(re.findall(r'GROUP="(\w+)"', (FOLDER / "udev.rules").read_text(encoding="utf-8")))
    assert mine == given == {"video"}


def test_the_folders_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name, command in (("sysusers.conf", []), ("tmpfiles.conf", ["--create"])):
        program = tool(f"systemd-{name.removesuffix('.conf')}")
        made = subprocess.run(
            [program, f"--root={tmp_path}", *command, FOLDER / name], check=True, capture_output=True, text=True
        )
        assert "rror" not in made.stderr
    assert (tmp_path / "etc" / "edgeseg").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "var" / "lib" / "edgeseg").is_dir()


def test_the_scripts_pass_shellcheck() -> None:
    scripts = [FOLDER / "install.sh", Path(__file__).parent / "boot-machine.sh", ROOT / "tests" / "install-servers"]
    checked = subprocess.run([tool("shellcheck"), *scripts], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")
