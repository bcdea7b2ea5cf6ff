"""Machine: a real systemd as process 1, in namespaces of its own on an overlay of this machine's files.

It boots in half a second, runs services as a board does, and leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pytest

BOOT = Path(__file__).parent / "boot-machine.sh"
NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup")
LIMIT_S = 60.0


class Machine:
    """A context manager: the machine runs inside it. `binds` are folders to be seen there, by their place there."""

    def __init__(self, folder: Path, binds: Mapping[str, Path] | None = None) -> None:
        self._folder = folder
        self._binds = [f"{source}:{place}" for place, source in (binds or {}).items()]
        self._outer: subprocess.Popen[bytes] | None = None
        self._group: Path | None = None
        self._pid = 0

    def __enter__(self) -> Machine:
        self._group = _make_group()
        join = f'echo $$ > "{self._group}/cgroup.procs" && exec "$@"'
        command = ["sh", "-c", join, "sh", "unshare", *NAMESPACES, "--fork", "--kill-child", BOOT, self._folder]
        log = self._folder.with_suffix(".log")
        with log.open("wb") as output:
            self._outer = subprocess.Popen([*command, *self._binds], stdout=output, stderr=output)
        try:
            self._wait_until_booted(log)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def run(
        self, *command: object, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the machine, as root, to its end."""
        result = subprocess.run(
            ["nsenter", "--target", str(self._pid), *NAMESPACES, "--root", "--wd", *map(str, command)],
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", **(env or {})},
        )
        assert not check or result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result

    def write(self, path: str, text: str) -> None:
        """Writes a file in the machine."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"', "sh", path, text)

    def show(self, unit: str, name: str) -> str:
        """Returns what `systemctl show` says of one property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def wait_for(self, unit: str, name: str, value: str) -> None:
        """Waits until a property of a unit holds `value`."""
        deadline = time.monotonic() + LIMIT_S
        while value not in (now := self.show(unit, name)):
            assert time.monotonic() < deadline, f"{unit}: {name} is {now}, not {value}: {self.journal(unit)}"
            time.sleep(0.1)

    def journal(self, unit: str) -> str:
        """Returns what the journal holds of a unit."""
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False).stdout

    def _wait_until_booted(self, log: Path) -> None:
        assert self._outer is not None
        deadline = time.monotonic() + LIMIT_S
        while True:
            assert self._outer.poll() is None, f"the machine does not start: {log.read_text(errors='replace')}"
            assert time.monotonic() < deadline, f"the machine does not come up: {log.read_text(errors='replace')}"
            children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
            if children and "systemd" in Path(f"/proc/{children[0]}/comm").read_text():
                self._pid = int(children[0])
                if self.run("systemctl", "is-system-running", "--wait", check=False).returncode == 0:
                    return
            time.sleep(0.05)

    def _end(self) -> None:
        if self._outer is not None:
            # Its child, process 1 of the machine, goes with it, and with that everything in the machine.
            self._outer.send_signal(signal.SIGKILL)
            self._outer.wait()
        if self._group is not None:
            _remove_group(self._group)


def skip_without_machines() -> None:
    """Skips the test where no machine can be made, and says why."""
    if os.geteuid() != 0:
        pytest.skip("a machine of one's own needs root")
    for program in ("/usr/lib/systemd/systemd", "unshare", "nsenter"):
        if not shutil.which(program):
            pytest.skip(f"no {program}: run tests/install-servers")
    if _group_root() is None:
        pytest.skip("no cgroup2 is mounted, which systemd needs")
    mounts = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True, check=False
    )
    if mounts.returncode != 0 or "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        pytest.skip("nothing can be mounted here")


def _group_root() -> Path | None:
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return Path(place)
    return None


def _make_group() -> Path:
    root = _group_root()
    assert root is not None
    group = root / f"edgeseg-test-{os.getpid()}"
    group.mkdir()
    return group


def _remove_group(group: Path) -> None:
    """Removes a control group and those in it, once their processes are gone."""
    deadline = time.monotonic() + LIMIT_S
    while group.exists():
        try:
            for folder, _, _ in os.walk(group, topdown=False):
                Path(folder).rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
