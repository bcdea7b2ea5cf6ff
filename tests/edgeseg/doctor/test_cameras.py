"""Cameras and what reads CSI cameras, on made-up roots and drivers."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edgeseg.doctor.cameras import check_cameras, check_csi
from edgeseg.doctor.finding import Finding
from edgeseg.doctor.v4l2 import CameraInfo, PictureSize, query_camera
from edgeseg.doctor.wanted import WantedCamera
from tests.edgeseg.doctor.v4l2_driver import WEBCAM, Driver


def plug_in(root: Path, number: int = 0, name: str = "HD Webcam") -> Path:
    """Makes what the kernel shows of a camera, and a file in the place of its device."""
    sys_node = root / f"sys/class/video4linux/video{number}"
    sys_node.mkdir(parents=True)
    (sys_node / "name").write_text(f"{name}\n", encoding="utf-8")
    device = root / f"dev/video{number}"
    device.parent.mkdir(exist_ok=True)
    device.touch()
    return device


def asking(driver: Driver) -> Callable[[Path], CameraInfo]:
    return partial(query_camera, ioctl=driver)


def levels(findings: list[Finding]) -> list[str]:
    return [finding.level for finding in findings]


def wanted(source: str, **more: object) -> list[WantedCamera]:
    return [WantedCamera("front", source, **more)]  # type: ignore[arg-type]


def test_a_camera_tells_what_it_is_and_everything_it_gives(tmp_path: Path) -> None:
    camera = query_camera(plug_in(tmp_path), WEBCAM)
    assert (camera.card, camera.driver, camera.bus) == ("HD Webcam", "uvcvideo", "usb-0000:01:00.0-1.4")
    assert camera.captures
    assert {item.name: item.sizes for item in camera.formats} == {
        "MJPG": (PictureSize(1920, 1080, (30.0,)), PictureSize(1280, 720, (30.0, 15.0))),
        "YUYV": (PictureSize(640, 480, (30.0,)), PictureSize(1280, 720, (10.0,))),
    }


def test_a_camera_of_any_size_in_a_range(tmp_path: Path) -> None:
    # A Raspberry Pi's connector: from 16x16 to 16376x16376, in planes.
    driver = Driver(
        name="unicam", device_capabilities=0x04201000, buffer_type=9, formats={"pBAA": (16, 16376, 1, 16, 16376, 1)}
    )
    camera = query_camera(plug_in(tmp_path), driver)
    ((size,),) = (item.sizes for item in camera.formats)
    assert str(size) == "16x16 to 16376x16376"
    assert size.holds(1280, 720)
    assert not size.holds(8, 720)


def test_the_capabilities_of_the_node_count_and_not_those_of_the_device(tmp_path: Path) -> None:
    metadata = Driver(device_capabilities=0x04A00000, formats=WEBCAM.formats)
    assert not query_camera(plug_in(tmp_path), metadata).captures


def test_what_is_no_video_device_is_an_error() -> None:
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        query_camera(Path("/dev/null"))


def test_every_camera_is_listed_with_what_it_gives(tmp_path: Path) -> None:
    plug_in(tmp_path)
    (finding,) = check_cameras((), tmp_path, query=asking(WEBCAM))
    assert finding.level == "ok"
    assert finding.text == ("/dev/video0: HD Webcam (uvcvideo) gives MJPG up to 1920x1080@30, YUYV up to 1280x720@10")
    assert finding.details["formats"]["YUYV"][1] == {"width": 1280, "height": 720, "fps": [10.0], "largest": None}


def test_without_a_camera_the_doctor_says_where_to_look(tmp_path: Path) -> None:
    (finding,) = check_cameras((), tmp_path)
    assert (finding.level, "dmesg" in finding.remedy) == ("warning", True)


def test_a_camera_that_may_not_be_opened_is_a_problem_with_the_group_as_remedy(tmp_path: Path) -> None:
    plug_in(tmp_path)

    def refuse(path: Path) -> CameraInfo:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (finding,) = check_cameras((), tmp_path, query=refuse)
    assert finding.level == "problem"
    assert finding.text == "/dev/video0 (HD Webcam): no permission to use it"
    assert "usermod -aG video" in finding.remedy


def test_a_camera_that_does_not_answer_is_told_of(tmp_path: Path) -> None:
    device = plug_in(tmp_path)
    device.unlink()
    (finding,) = check_cameras((), tmp_path)
    assert (finding.level, "no such file" in finding.text) == ("warning", True)


@pytest.mark.parametrize("source", ["0", "/dev/video0", "/dev/v4l/by-id/usb-HD_Webcam-video-index0"])
def test_the_camera_that_is_asked_for_is_found_by_all_its_names(tmp_path: Path, source: str) -> None:
    plug_in(tmp_path)
    by_id = tmp_path / "dev/v4l/by-id"
    by_id.mkdir(parents=True)
    (by_id / "usb-HD_Webcam-video-index0").symlink_to("../../video0")
    asked = wanted(source, size_wh=(1280, 720), fps=30.0)
    assert levels(check_cameras(asked, tmp_path, query=asking(WEBCAM))) == ["ok"]


def test_a_camera_that_is_not_there_is_a_problem_and_names_what_is(tmp_path: Path) -> None:
    plug_in(tmp_path)
    _, finding = check_cameras(wanted("3"), tmp_path, query=asking(WEBCAM))
    assert finding.level == "problem"
    assert finding.text == "front: 3 is no camera that can be used; there is /dev/video0"


@pytest.mark.parametrize(
    ("asked", "text", "remedy"),
    [
        ({"pixel_format": "H264"}, "gives no H264, it has MJPG, YUYV", "format: MJPG"),
        ({"size_wh": (1600, 900)}, "gives no 1600x900 in MJPG", "1920x1080@30, 1280x720@30"),
        ({"size_wh": (1280, 720), "fps": 60.0}, "30 times a second at most, not 60", "fewer"),
        ({"size_wh": (1280, 720), "fps": 30.0, "pixel_format": "YUYV"}, "10 times a second at most", "another format"),
    ],
)
def test_what_a_camera_cannot_give_is_told_before_it_is_asked(
    tmp_path: Path, asked: dict[str, object], text: str, remedy: str
) -> None:
    plug_in(tmp_path)
    _, finding = check_cameras(wanted("0", **asked), tmp_path, query=asking(WEBCAM))
    assert finding.level == "warning"
    assert text in finding.text
    assert remedy in finding.remedy


def test_a_csi_connector_is_no_camera_by_itself(tmp_path: Path) -> None:
    plug_in(tmp_path, name="unicam-image")
    driver = Driver(name="unicam", formats={"pBAA": (16, 16376, 1, 16, 16376, 1)})
    _, finding = check_cameras(wanted("0"), tmp_path, query=asking(driver))
    assert (finding.level, finding.remedy) == ("problem", "write 'source: csi:' instead")


@pytest.mark.parametrize(("command", "level"), [(b"/usr/bin/cheese\0", "problem"), (b"edgeseg\0run\0", None)])
def test_who_has_the_camera_is_named_unless_it_is_edgeseg(tmp_path: Path, command: bytes, level: str | None) -> None:
    plug_in(tmp_path)
    process = tmp_path / "proc/4711"
    (process / "fd").mkdir(parents=True)
    (process / "fd/5").symlink_to("/dev/video0")
    (process / "cmdline").write_bytes(command)
    _, *more = check_cameras(wanted("0"), tmp_path, query=asking(WEBCAM))
    assert [finding.level for finding in more] == ([level] if level else [])
    assert all("/usr/bin/cheese (process 4711)" in finding.text for finding in more)


def put_program(root: Path, name: str) -> None:
    program = root / "usr/bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.touch(mode=0o755)


def test_a_csi_camera_needs_a_program(tmp_path: Path) -> None:
    (finding,) = check_csi(wanted("csi:"), tmp_path, path="/usr/bin")
    assert (finding.level, "rpicam-apps" in finding.remedy) == ("problem", True)
    assert levels(check_csi(wanted("0"), tmp_path, path="/usr/bin")) == ["ok"]
    put_program(tmp_path, "rpicam-vid")
    (finding,) = check_csi(wanted("csi:"), tmp_path, path=f"/bin{os.pathsep}/usr/bin")
    assert (finding.level, finding.details["tools"]) == ("ok", ["rpicam-vid"])


def test_gstreamer_reads_a_csi_camera_only_with_the_part_that_a_jetson_has(tmp_path: Path) -> None:
    put_program(tmp_path, "gst-launch-1.0")
    assert levels(check_csi(wanted("csi:"), tmp_path, path="/usr/bin")) == ["problem"]
    plugin = tmp_path / "usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so"
    plugin.parent.mkdir(parents=True)
    plugin.touch()
    assert levels(check_csi(wanted("csi:"), tmp_path, path="/usr/bin")) == ["ok"]
