"""What the tests of the service share: a wheel of this checkout, and a machine that has it installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.systemd.machine import Machine, skip_without_machines

#: The tests' own packages stand in for what pip would fetch: installing them is pip's part, not ours.
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def machine(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with edgeseg installed by the installer, enabled and not yet started."""
    skip_without_machines()
    folder = tmp_path_factory.mktemp("machine")
    binds = {
        "/opt/checkout": ROOT,
        "/opt/wheel": wheel.parent,
        "/opt/site": Path(sysconfig.get_path("purelib")),
        # Where it is, /home or /root, the service would not see it.
        "/opt/python": Path(sys.base_prefix),
    }
    with Machine(folder, binds) as machine:
        install(machine, wheel, "--no-start")
        machine.write(f"/opt/edgeseg/venv/lib/{VERSION}/site-packages/tests.pth", "/opt/site\n")
        for unit in ("edgeseg", "edgeseg@"):
            # It looks for its library where it was built, which the service does not see.
            text = "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/python/lib\n"
            machine.write(f"/run/systemd/system/{unit}.service.d/python.conf", text)
        yield machine


def install(machine: Machine, wheel: Path, *options: str) -> str:
    """Runs the installer in the machine and returns what it says."""
    command = ["/opt/checkout/systemd/install.sh", "--wheel", f"/opt/wheel/{wheel.name}", "--python"]
    command += [f"/opt/python/bin/{VERSION}", *options]
    return machine.run(*command, env={**OFFLINE, "HOME": "/root", "TMPDIR": "/tmp"}).stdout


def offline_environment(**more: str) -> dict[str, str]:
    """The environment of an installer that is to fetch nothing."""
    return {**os.environ, **OFFLINE, **more}
