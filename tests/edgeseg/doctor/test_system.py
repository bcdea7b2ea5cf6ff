"""Disk, clock, heat, page and permissions: on made-up roots, and on what is really here where that is harmless."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.board import BoardReading
from edgeseg.doctor.clock import UNSYNCHRONISED, check_clock, kernel_clock_status
from edgeseg.doctor.finding import Finding
from edgeseg.doctor.heat import check_heat
from edgeseg.doctor.page import check_page
from edgeseg.doctor.permissions import check_permissions, read_account
from edgeseg.doctor.processes import Process, holders_of_device, holders_of_port
from edgeseg.doctor.storage import check_storage, file_system, measure_writing
from edgeseg.heat_config import HeatConfig
from edgeseg.server.address import Address
from tests.edgeseg.program import environment

NOW = 1_800_000_000.0


def put(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def only(findings: list[Finding], level: str) -> Finding:
    """The one finding that is not well; the others are."""
    (finding,) = (item for item in findings if item.level != "ok")
    assert finding.level == level
    return finding


def test_a_folder_that_can_be_written_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    first = check_storage(tmp_path / "not/yet/there", low_bytes=0)[0]
    assert first.level == "ok"
    assert first.text.startswith(f"{tmp_path}: ")
    assert first.details["bytes_per_s"] > 0
    assert first.details["slowest_sync_s"] > 0
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_nearly_full_is_told_of(tmp_path: Path) -> None:
    findings = check_storage(tmp_path, low_bytes=1 << 62)
    assert any(item.level == "warning" and "are free" in item.text for item in findings)


def test_a_folder_that_cannot_be_written_is_a_problem() -> None:
    # Not even root can.
    (finding,) = check_storage(Path("/proc/self"))
    assert finding.level == "problem"
    assert "cannot be written" in finding.text


def test_a_file_in_place_of_the_folder_is_a_problem(tmp_path: Path) -> None:
    (finding,) = check_storage(put(tmp_path, "recordings"))
    assert (finding.level, "is no folder" in finding.text) == ("problem", True)


def test_a_folder_that_is_hidden_from_this_user_is_told_of(tmp_path: Path) -> None:
    """As that of the service is from everybody else: it ended the doctor."""
    put(tmp_path, "private/recordings/00000001.keep")
    (tmp_path / "private").chmod(0)
    script = (
        "import pathlib, sys; from edgeseg.doctor.storage import check_storage;"
        "print(check_storage(pathlib.Path(sys.argv[1])))"
    )
    # Root may look everywhere, unless it does without that right.
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    command = [*prefix, sys.executable, "-c", script, str(tmp_path / "private" / "recordings")]
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
    (tmp_path / "private").chmod(0o755)
    assert "this user may not look at it" in said


def test_recordings_in_memory_are_told_of(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/mounts", f"/dev/sda1 / ext4 rw 0 0\nram {tmp_path} tmpfs rw 0 0\n")
    findings = check_storage(tmp_path, tmp_path, low_bytes=0)
    assert any("lies in memory" in item.text for item in findings)


def test_the_file_system_is_that_of_the_nearest_mount_and_the_last_of_two(tmp_path: Path) -> None:
    mounts = "a / ext4 rw 0 0\nb /media/my\\040card vfat rw 0 0\nc /media/disk xfs rw 0 0\nd /media/disk btrfs rw 0 0\n"
    put(tmp_path, "proc/self/mounts", mounts)
    assert file_system(Path("/media/my card/recordings"), tmp_path) == "vfat"
    assert file_system(Path("/media/disk"), tmp_path) == "btrfs"
    assert file_system(Path("/media"), tmp_path) == "ext4"
    assert file_system(Path("/"), tmp_path / "nothing") is None


def test_writing_is_measured_in_the_folder_itself(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measure_writing(tmp_path / "missing")


def test_a_clock_that_somebody_keeps_right_is_well(tmp_path: Path) -> None:
    (finding,) = check_clock(tmp_path, status=lambda: 0x2001, now=lambda: NOW)
    assert (finding.level, finding.details["synchronised"]) == ("ok", True)


def test_a_clock_that_nobody_keeps_right_is_told_of(tmp_path: Path) -> None:
    finding = only(check_clock(tmp_path, status=lambda: UNSYNCHRONISED, now=lambda: NOW), "warning")
    assert "set-ntp" in finding.remedy


def test_a_clock_in_the_past_is_a_problem(tmp_path: Path) -> None:
    finding = only(check_clock(tmp_path, status=lambda: 0, now=lambda: 60.0), "problem")
    assert "1970-01-01" in finding.text


@pytest.mark.parametrize("synchronised", [False, True])
def test_where_the_kernel_may_not_be_asked_the_time_service_is(tmp_path: Path, synchronised: bool) -> None:
    def refuse() -> int:
        raise PermissionError

    if synchronised:
        put(tmp_path, "run/systemd/timesync/synchronized")
    (finding,) = check_clock(tmp_path, status=refuse, now=lambda: NOW)
    assert finding.level == ("ok" if synchronised else "warning")


def test_the_kernel_is_really_asked() -> None:
    script = "import ctypes, sys; b = ctypes.create_string_buffer(256); print(ctypes.CDLL(None).adjtimex(b))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    # adjtimex returns TIME_ERROR (5) while nobody keeps the clock right, which is what the bit says too.
    assert (int(answer) == 5) == bool(kernel_clock_status() & UNSYNCHRONISED)


@pytest.mark.parametrize(
    ("reading", "level", "text"),
    [
        (BoardReading(temperature_c=80.0, zone="cpu-thermal"), "warning", "80 °C (cpu-thermal), above the limit of 72"),
        (BoardReading(throttled=True), "warning", "throttles itself now"),
        (BoardReading(throttled=False, throttled_since_boot=True), "warning", "throttled itself at times"),
        (BoardReading(under_voltage=True), "problem", "too little voltage"),
        (BoardReading(under_voltage=False, under_voltage_since_boot=True), "warning", "too little voltage at times"),
    ],
)
def test_heat_and_power_are_judged(tmp_path: Path, reading: BoardReading, level: str, text: str) -> None:
    assert text in only(check_heat(tmp_path, reading=reading), level).text


def test_a_cool_board_is_well_and_the_limit_is_that_of_the_configuration(tmp_path: Path) -> None:
    put(tmp_path, "sys/firmware/devicetree/base/model", "Raspberry Pi 5 Model B\0")
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "51000\n")
    (finding,) = check_heat(tmp_path)
    assert finding.text == "Raspberry Pi 5 Model B: 51 °C (cpu-thermal)"
    assert only(check_heat(tmp_path, limits=HeatConfig(warm_celsius=50, hot_celsius=60)), "warning")


def test_a_board_that_tells_nothing_is_neither_cool_nor_hot(tmp_path: Path) -> None:
    (finding,) = check_heat(tmp_path)
    assert finding.text == "this machine does not tell its temperature"


def test_a_free_port_is_well_and_stays_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for _ in range(2):
        assert [item.level for item in check_page(Address("127.0.0.1", port))] == ["ok"]
    assert check_page(None)[0].level == "ok"


def test_a_port_in_use_is_a_problem_and_names_who_has_it() -> None:
    script = (
        "import socket, sys\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "print(server.getsockname()[1], flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        (finding,) = check_page(Address("127.0.0.1", port))
        assert [process.pid for process in holders_of_port(port)] == [other.pid]
        assert other.stdin is not None
        other.stdin.close()
    assert finding.level == "problem"
    assert f"process {other.pid}" in finding.text


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("edgeseg run 0", True),
        ("/opt/edgeseg/venv/bin/python /opt/edgeseg/venv/bin/edgeseg run --config /etc/edgeseg/edgeseg.yaml", True),
        ("/usr/bin/python3 -m edgeseg run 0", True),
        ("/home/pi/edgeseg/.venv/bin/python -m http.server", False),
        ("vi /etc/edgeseg/edgeseg.yaml", False),
    ],
)
def test_an_edgeseg_is_known_by_its_name_and_not_by_its_folder(command: str, ours: bool) -> None:
    assert Process(1, command).is_edgeseg == ours


def test_a_port_that_edgeseg_itself_has_is_well(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        put(tmp_path, "proc/net/tcp", f"head\n 0: 0100007F:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 999 1\n")
        fd = tmp_path / "proc/31/fd"
        fd.mkdir(parents=True)
        (fd / "7").symlink_to("socket:[999]")
        put(tmp_path, "proc/31/cmdline", "python\0-m\0edgeseg\0run\0")
        (finding,) = check_page(Address("127.0.0.1", port), tmp_path)
    assert (finding.level, "served by python -m edgeseg run (process 31)" in finding.text) == ("ok", True)


@pytest.mark.parametrize(
    ("address", "text"),
    [(Address("192.0.2.1", 8080), "no such address"), (Address("a..b", 8080), "is no host name")],
)
def test_an_address_that_is_not_this_machines_is_a_problem(address: Address, text: str) -> None:
    assert text in only(check_page(address), "problem").text


def test_a_device_that_is_open_is_found_with_its_process(tmp_path: Path) -> None:
    path = put(tmp_path, "device")
    with subprocess.Popen(["tail", "-f", str(path)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        try:
            while not (found := holders_of_device(path)):
                assert other.poll() is None
        finally:
            other.kill()
    assert [process.pid for process in found] == [other.pid]


def make_system(root: Path, *, groups: str = "video:x:44:edgeseg") -> Path:
    """A root with the service installed; returns its state folder, which is this user's."""
    put(root, "usr/local/lib/systemd/system/edgeseg.service")
    put(
        root,
        "etc/passwd",
        f"root:x:0:0::/root:/bin/sh\nedgeseg:x:{os.getuid() or 997}:997::/var/lib/edgeseg:/bin/false\n",
    )
    put(root, "etc/group", f"root:x:0:\nedgeseg:x:997:\n{groups}\n")
    state = root / "var/lib/edgeseg"
    state.mkdir(parents=True)
    if os.getuid() == 0:
        os.chown(state, 997, 997)
    return state


def test_without_the_service_there_is_nobody_to_look_at(tmp_path: Path) -> None:
    (finding,) = check_permissions(None, tmp_path)
    assert (finding.level, finding.text) == ("ok", "the service is not installed")


def test_a_service_user_with_all_it_needs_is_well(tmp_path: Path) -> None:
    make_system(tmp_path)
    config = put(tmp_path, "etc/edgeseg/edgeseg.yaml")
    config.chmod(0o644)
    (finding,) = check_permissions(config, tmp_path)
    assert (finding.level, finding.details["groups"]) == ("ok", ["edgeseg", "video"])


def test_an_account_has_its_own_group_and_those_that_name_it(tmp_path: Path) -> None:
    make_system(tmp_path, groups="video:x:44:other,edgeseg\nrender:x:45:edgesegs")
    account = read_account("edgeseg", tmp_path)
    assert account is not None
    assert (account.gids, account.groups) == ({997, 44}, {"edgeseg", "video"})
    assert read_account("nobody", tmp_path) is None


def test_what_the_service_user_lacks_is_told_with_what_to_do(tmp_path: Path) -> None:
    state = make_system(tmp_path, groups="video:x:44:")
    state.chmod(0o500)
    config = put(tmp_path, "etc/edgeseg/edgeseg.yaml")
    config.chmod(0o600)
    if os.getuid() != 0:
        config.chmod(0o000)
    findings = check_permissions(config, tmp_path)
    assert [item.level for item in findings] == ["problem"] * 3
    group, state_finding, config_finding = findings
    assert "usermod -aG video edgeseg" in group.remedy
    assert "chown -R edgeseg: /var/lib/edgeseg" in state_finding.remedy
    assert "chgrp edgeseg /etc/edgeseg/edgeseg.yaml" in config_finding.remedy
    assert "chmod g+r" in config_finding.remedy


def test_a_missing_user_and_a_missing_folder_are_told(tmp_path: Path) -> None:
    make_system(tmp_path).rmdir()
    assert "is missing" in only(check_permissions(None, tmp_path), "problem").text
    put(tmp_path, "etc/passwd", "root:x:0:0::/root:/bin/sh\n")
    assert "systemd-sysusers" in only(check_permissions(None, tmp_path), "problem").remedy


def test_lines_for_users_elsewhere_are_passed_over(tmp_path: Path) -> None:
    make_system(tmp_path)
    for path in ("etc/passwd", "etc/group"):
        with (tmp_path / path).open("a", encoding="utf-8") as file:
            file.write("+::::::\n")
    assert [item.level for item in check_permissions(None, tmp_path)] == ["ok"]


def test_recordings_elsewhere_must_be_let_in_and_be_the_users(tmp_path: Path) -> None:
    """The service is read-only but for its own folder; what is not let in is found out when it records."""
    make_system(tmp_path)
    disk, folder = tmp_path / "mnt/disk", Path("/mnt/disk/drive")
    (disk / "drive").mkdir(parents=True)
    os.chown(disk / "drive", os.getuid() or 997, os.getgid())
    finding = only(check_permissions(None, tmp_path, recordings=folder), "problem")
    assert finding.text == "/mnt/disk/drive: the service sees it read-only"
    assert "ReadWritePaths=/mnt/disk/drive" in finding.remedy
    put(tmp_path, "etc/systemd/system/edgeseg.service.d/override.conf", "[Service]\nReadWritePaths=-/srv /mnt/disk\n")
    assert [item.level for item in check_permissions(None, tmp_path, recordings=folder)] == ["ok"]
    (disk / "drive").chmod(0o500)
    finding = only(check_permissions(None, tmp_path, recordings=folder), "problem")
    assert "sudo install -d -o edgeseg -g edgeseg -m 0750 /mnt/disk/drive" in finding.remedy
    own = Path("/var/lib/edgeseg/drive")
    assert [item.level for item in check_permissions(None, tmp_path, recordings=own)] == ["ok"]
