"""Whether the cameras are there, can be used, and give what the configuration asks for."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edgeseg.doctor.finding import Finding
from edgeseg.doctor.processes import holders_of_device
from edgeseg.doctor.v4l2 import CameraInfo, PictureSize, PixelFormat, query_camera
from edgeseg.doctor.wanted import WantedCamera

Query = Callable[[Path], CameraInfo]

#: Drivers of a CSI connector: they give the sensor's raw mosaic, which only libcamera or Argus makes a picture of.
RAW_DRIVERS = ("unicam", "rp1-cfe", "tegra-video", "bcm2835-isp", "pispbe")
#: The programs that read a CSI camera: on a Raspberry Pi, by its present and its former name, and on a Jetson.
PI_TOOLS = ("rpicam-vid", "libcamera-vid")
JETSON_TOOL = "gst-launch-1.0"
#: GStreamer is everywhere; this part of it, which reads the camera, comes with JetPack.
JETSON_PLUGIN = "usr/lib/*/gstreamer-1.0/libgstnvarguscamerasrc.so"


def check_cameras(
    wanted: Sequence[WantedCamera], root: Path = Path("/"), *, query: Query = query_camera
) -> list[Finding]:
    """Looks at every camera of the machine, then at every one that is asked for."""
    findings, found = [], {}
    for node in sorted(root.glob("sys/class/video4linux/video*")):
        device = root / "dev" / node.name
        try:
            camera = query(device)
        except OSError as error:
            name = _read(node / "name") or node.name
            findings.append(_unreadable(f"/dev/{node.name} ({name})", error))
            continue
        if camera.captures and camera.formats:
            found[f"/dev/{node.name}"] = camera
            findings.append(_describe(f"/dev/{node.name}", camera))
    for camera_wanted in wanted:
        findings += _check_wanted(camera_wanted, found, root)
    if not findings:
        findings.append(
            Finding(
                "cameras",
                "warning",
                "there is no camera that the kernel knows",
                "plug one in and look for it in the output of dmesg; a CSI camera needs its overlay or dtoverlay line",
            )
        )
    return findings


def check_csi(wanted: Sequence[WantedCamera], root: Path = Path("/"), *, path: str | None = None) -> list[Finding]:
    """Looks for the program that reads a CSI camera, below `root` in the folders of `path` (those of PATH)."""
    folders = (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep)
    wanted_tools = [*PI_TOOLS, *([JETSON_TOOL] if any(root.glob(JETSON_PLUGIN)) else [])]
    tools = [
        tool
        for tool in wanted_tools
        if any((root / folder.lstrip("/") / tool).is_file() for folder in folders if folder)
    ]
    sources = [camera for camera in wanted if camera.source.startswith("csi:")]
    details = {"tools": tools}
    if sources and not tools:
        return [
            Finding(
                "csi",
                "problem",
                f"{sources[0].name}: nothing here reads a CSI camera",
                "run: sudo apt install rpicam-apps (Raspberry Pi), or gstreamer1.0-tools (Jetson, with JetPack)",
                details,
            )
        ]
    if tools:
        return [Finding("csi", "ok", f"CSI cameras are read by {', '.join(tools)}", details=details)]
    return [Finding("csi", "ok", "no program for CSI cameras, and none is asked for", details=details)]


def _check_wanted(wanted: WantedCamera, found: dict[str, CameraInfo], root: Path) -> Iterator[Finding]:
    device = _device_of(wanted.source, root)
    if device is None:
        return
    camera = found.get(device)
    if camera is None:
        there = f"there is {', '.join(found)}" if found else "there is none that gives pictures"
        yield Finding(
            "cameras",
            "problem",
            f"{wanted.name}: {wanted.source} is no camera that can be used; {there}",
            "check the cable, or change 'source:'; names under /dev/v4l/by-id stay the same camera",
        )
        return
    others = [process for process in holders_of_device(Path(device), root) if not process.is_edgeseg]
    if others:
        yield Finding(
            "cameras", "problem", f"{wanted.name}: {device} is in use by {others[0]}", "end that program first"
        )
    if camera.driver in RAW_DRIVERS:
        yield Finding(
            "cameras",
            "problem",
            f"{wanted.name}: {device} is a CSI connector ({camera.driver}): it gives no pictures by itself",
            "write 'source: csi:' instead",
        )
        return
    yield from _check_mode(wanted, device, camera)


def _check_mode(wanted: WantedCamera, device: str, camera: CameraInfo) -> Iterator[Finding]:
    formats = {item.name: item for item in camera.formats}
    chosen = formats.get(wanted.pixel_format)
    if chosen is None:
        yield Finding(
            "cameras",
            "warning",
            f"{wanted.name}: {device} gives no {wanted.pixel_format}, it has {', '.join(formats)}",
            f"write for instance 'format: {next(iter(formats))}' under camera:; otherwise the camera chooses",
        )
        return
    if wanted.size_wh is None:
        return
    sizes = [size for size in chosen.sizes if size.holds(*wanted.size_wh)]
    width, height = wanted.size_wh
    if not sizes:
        yield Finding(
            "cameras",
            "warning",
            f"{wanted.name}: {device} gives no {width}x{height} in {chosen.name}; it will give the nearest",
            f"ask for one of {', '.join(map(str, chosen.sizes)) or 'its own'}",
        )
    elif wanted.fps and sizes[0].fps and max(sizes[0].fps) < wanted.fps:
        yield Finding(
            "cameras",
            "warning",
            f"{wanted.name}: {device} gives {width}x{height} in {chosen.name} {sizes[0].fps[0]:g} times a second at "
            f"most, not {wanted.fps:g}",
            "ask for fewer, for a smaller size, or for another format",
        )


def _device_of(source: str, root: Path) -> str | None:
    """Returns the /dev/videoN that a source names, through links such as those of by-id; None when it is no device."""
    if source.isdecimal():
        return f"/dev/video{source}"
    if not source.startswith("/dev/"):
        return None
    link = root / source.lstrip("/")
    if link.is_symlink():
        return "/dev/" + link.readlink().name
    return source


def _describe(device: str, camera: CameraInfo) -> Finding:
    offers = ", ".join(_offer(item) for item in camera.formats)
    return Finding(
        "cameras",
        "ok",
        f"{device}: {camera.card} ({camera.driver}) gives {offers}",
        details={
            "device": device,
            "card": camera.card,
            "driver": camera.driver,
            "bus": camera.bus,
            "formats": {item.name: [_size_record(size) for size in item.sizes] for item in camera.formats},
        },
    )


def _offer(item: PixelFormat) -> str:
    if not item.sizes:
        return item.name
    largest = max(item.sizes, key=lambda size: size.largest_wh or (size.width, size.height))
    return f"{item.name} up to {largest}"


def _size_record(size: PictureSize) -> dict[str, Any]:
    return {"width": size.width, "height": size.height, "fps": list(size.fps), "largest": size.largest_wh}


def _unreadable(what: str, error: OSError) -> Finding:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Finding(
            "cameras",
            "problem",
            f"{what}: no permission to use it",
            "run: sudo usermod -aG video $USER, and log in again; a service needs DeviceAllow=char-video4linux",
        )
    return Finding(
        "cameras",
        "warning",
        f"{what}: does not answer: {(error.strerror or str(error)).lower()}",
        "unplug it and plug it in",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
