"""The service under a real systemd: ready, watched, restarted, fenced in, upgraded and removed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.conftest import install
from tests.systemd.machine import Machine

pytestmark = [pytest.mark.server, pytest.mark.slow]

UNIT = "edgeseg.service"
CONFIG = "/etc/edgeseg/edgeseg.yaml"
WORKS = "source: synthetic:320x200@10\nhttp: {address: 127.0.0.1:8080}\n"
PYTHON = "/opt/edgeseg/venv/bin/python"


@pytest.fixture
def service(machine: Machine) -> Iterator[Machine]:
    """The machine with the service as it was installed, a configuration that works, and nothing running."""
    machine.write(CONFIG, WORKS)
    machine.run("systemctl", "daemon-reload")
    yield machine
    machine.run("systemctl", "stop", UNIT, "edgeseg@*.service", check=False)
    machine.run("systemctl", "reset-failed", check=False)
    machine.run("rm", "-f", "/run/systemd/system/edgeseg.service.d/test.conf")


def change(machine: Machine, **settings: str) -> None:
    """Puts settings of the unit's [Service] beside it, as `systemctl edit --runtime` does."""
    text = "[Service]\n" + "".join(f"{key}={value}\n" for key, value in settings.items())
    machine.write("/run/systemd/system/edgeseg.service.d/test.conf", text)
    machine.run("systemctl", "daemon-reload")


def start(machine: Machine, unit: str = UNIT) -> None:
    """Starts a unit; returns when it has said READY=1."""
    result = machine.run("systemctl", "start", unit, check=False)
    assert result.returncode == 0, machine.journal(unit)


def page_answers(machine: Machine, port: int = 8080) -> bool:
    """Whether a program in the machine gets an answer from the page, whatever it says."""
    script = (
        "import http.client, sys\n"
        "connection = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=5)\n"
        "connection.request('GET', '/healthz')\n"
        "connection.getresponse()\n"
    )
    return machine.run(PYTHON, "-I", "-c", script, port, check=False).returncode == 0


def test_it_is_enabled_and_its_user_may_use_cameras(service: Machine) -> None:
    assert service.run("systemctl", "is-enabled", UNIT).stdout.strip() == "enabled"
    assert "video" in service.run("id", "-nG", "edgeseg").stdout.split()
    assert service.run("stat", "-c", "%U:%G %a", "/etc/edgeseg", "/var/lib/edgeseg").stdout.splitlines() == [
        "root:edgeseg 750",
        "edgeseg:edgeseg 750",
    ]


def test_it_is_started_when_the_page_answers_and_tells_how_the_camera_is(service: Machine) -> None:
    start(service)
    # `start` returns with READY=1.
    assert page_answers(service)
    service.wait_for(UNIT, "StatusText", "live")
    assert service.show(UNIT, "NRestarts") == "0"


def test_a_camera_that_is_away_holds_nothing_up_and_is_told_of(service: Machine) -> None:
    service.write(CONFIG, WORKS.replace("synthetic:320x200@10", "/dev/video77"))
    start(service)
    service.wait_for(UNIT, "StatusText", "no signal")
    assert service.show(UNIT, "ActiveState") == "active"
    assert page_answers(service)


def test_a_run_that_hangs_is_killed_by_the_watchdog_and_started_anew(service: Machine) -> None:
    change(service, WatchdogSec="2", RestartSec="100ms")
    start(service)
    service.run("kill", "-STOP", service.show(UNIT, "MainPID"))
    service.wait_for(UNIT, "NRestarts", "1")
    service.wait_for(UNIT, "ActiveState", "active")
    assert "Watchdog timeout" in service.journal(UNIT)
    assert page_answers(service)


def test_a_run_that_is_killed_is_started_anew(service: Machine) -> None:
    change(service, RestartSec="100ms")
    start(service)
    service.run("kill", "-KILL", service.show(UNIT, "MainPID"))
    service.wait_for(UNIT, "NRestarts", "1")
    service.wait_for(UNIT, "ActiveState", "active")


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ("soruce: 0\n", "78"),
        (WORKS + "model: {path: /etc/passwd}\n", "65"),
        (WORKS + "model: {path: /nowhere}\n", "66"),
    ],
)
def test_what_a_restart_cannot_mend_is_not_restarted(service: Machine, config: str, status: str) -> None:
    service.write(CONFIG, config)
    assert service.run("systemctl", "start", UNIT, check=False).returncode != 0
    assert service.show(UNIT, "ExecMainStatus") == status
    assert (service.show(UNIT, "ActiveState"), service.show(UNIT, "NRestarts")) == ("failed", "0")


def test_a_reload_changes_what_can_change_and_restarts_nothing(service: Machine) -> None:
    start(service)
    pid = service.show(UNIT, "MainPID")
    service.write(CONFIG, WORKS + "overlay: {opacity: 0.25}\n")
    service.run("systemctl", "reload", UNIT)
    for _ in range(100):
        if "overlay" in service.journal(UNIT):
            break
        service.run("sleep", "0.1")
    assert "overlay" in service.journal(UNIT)
    assert service.show(UNIT, "MainPID") == pid


PROBE = """
import ctypes, json, os, pathlib, socket, time
def attempt(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "allowed"
found = {
    "etc": attempt(lambda: open("/etc/edgeseg/x", "w")),
    "opt": attempt(lambda: open("/opt/edgeseg/x", "w")),
    "state": attempt(lambda: open("x", "w").close()),
    "tmp": attempt(lambda: open("/tmp/x", "w").close()),
    "home": sorted(os.listdir("/root")) if os.access("/root", os.R_OK) else "hidden",
    "forbidden device": attempt(lambda: os.open("/dev/forbidden", os.O_RDONLY)),
    "group's device": attempt(lambda: os.open("/dev/camera", os.O_RDWR)),
    "another group's device": attempt(lambda: os.open("/dev/others", os.O_RDWR)),
    "packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "clock asked": ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) >= 0,
    "clock set": attempt(lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())),
    "internet": attempt(lambda: socket.socket(socket.AF_INET).close()),
    "namespace": attempt(lambda: os.unshare(os.CLONE_NEWUTS) if hasattr(os, "unshare") else socket.sethostname("x")),
    "status": dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines()),
}
pathlib.Path("probe.json").write_text(json.dumps(found))
"""


def test_it_can_do_what_it_must_and_nothing_else(service: Machine) -> None:
    service.write("/opt/probe.py", PROBE)
    service.run("mknod", "-m", "666", "/dev/forbidden", "c", "1", "11")
    # These are the kernel's null device, which every service may open: here the group decides.
    for name, group in (("camera", "video"), ("others", "disk")):
        service.run("mknod", "-m", "660", f"/dev/{name}", "c", "1", "3")
        service.run("chgrp", group, f"/dev/{name}")
    change(service, ExecStartPre=f"{PYTHON} -I /opt/probe.py")
    start(service)
    service.wait_for(UNIT, "StatusText", "live")
    found = json.loads(service.run("cat", "/var/lib/edgeseg/probe.json").stdout)
    status = found.pop("status")
    assert found == {
        "etc": "Read-only file system",
        "opt": "Read-only file system",
        "state": "allowed",
        "tmp": "allowed",
        "home": "hidden",
        "forbidden device": "Operation not permitted",
        "group's device": "allowed",
        "another group's device": "Permission denied",
        "packets": "Address family not supported by protocol",
        "clock asked": True,
        "clock set": "Operation not permitted",
        "internet": "allowed",
        "namespace": "Operation not permitted",
    }
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert service.run("stat", "-c", "%U %a", "/var/lib/edgeseg/probe.json").stdout.split() == ["edgeseg", "640"]
    # What it writes to /tmp is its own.
    assert service.run("test", "-e", "/tmp/x", check=False).returncode != 0


def test_several_run_side_by_side_each_with_its_own_configuration_and_state(service: Machine) -> None:
    for number, name in enumerate(("front", "rear")):
        service.write(f"/etc/edgeseg/{name}.yaml", WORKS.replace("8080", str(8081 + number)))
    start(service, "edgeseg@front.service")
    start(service, "edgeseg@rear.service")
    assert page_answers(service, 8081)
    assert page_answers(service, 8082)
    assert service.run("stat", "-c", "%U", "/var/lib/edgeseg/front", "/var/lib/edgeseg/rear").stdout.split() == [
        "edgeseg",
        "edgeseg",
    ]


def test_the_doctor_finds_the_service_in_order(service: Machine) -> None:
    answer = service.run("edgeseg", "doctor", "--json", "--config", CONFIG, check=False)
    findings = {item["check"]: item for item in json.loads(answer.stdout)["findings"] if item["check"] == "permissions"}
    assert findings["permissions"]["level"] == "ok", findings
    service.run("gpasswd", "-d", "edgeseg", "video")
    answer = service.run("edgeseg", "doctor", "--json", "--config", CONFIG, check=False)
    assert answer.returncode == 69
    assert any("not in the group video" in item["text"] for item in json.loads(answer.stdout)["findings"])
    service.run("usermod", "-aG", "video", "edgeseg")


def test_an_upgrade_restarts_it_and_keeps_the_configuration_and_removal_keeps_what_is_the_users(
    service: Machine, wheel: Path
) -> None:
    start(service)
    pid = service.show(UNIT, "MainPID")
    service.write("/var/lib/edgeseg/recordings/drive.mp4", "pictures")
    install(service, wheel)
    assert service.show(UNIT, "MainPID") != pid
    assert service.run("cat", CONFIG).stdout == WORKS
    service.run("/opt/checkout/systemd/install.sh", "--remove")
    assert service.run("pgrep", "-f", "edgeseg run", check=False).returncode != 0
    for gone in ("/opt/edgeseg", "/usr/local/bin/edgeseg", f"/usr/local/lib/systemd/system/{UNIT}"):
        assert service.run("test", "-e", gone, check=False).returncode != 0, gone
    assert service.run("cat", CONFIG, "/var/lib/edgeseg/recordings/drive.mp4").stdout == WORKS + "pictures"
    service.run("/opt/checkout/systemd/install.sh", "--purge")
    assert service.run("ls", "/etc/edgeseg", "/var/lib/edgeseg", check=False).stdout == ""
    assert service.run("id", "edgeseg", check=False).returncode != 0
    assert f"python{sys.version_info[0]}" not in service.run("ls", "/opt").stdout
