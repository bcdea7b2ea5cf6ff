"""CameraPlace: finds a camera again that comes back under another /dev/videoN."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

DEVICES, KNOWN = Path("/dev"), Path("/sys/class/video4linux")


@dataclass(frozen=True, slots=True)
class CameraIdentity:
    """What tells one camera from another.

    make: vendor, product and serial number of a USB camera, the driver's name for any other. port: where it is plugged
    in. node: which of the camera's devices it is, for many have a second one without pictures.
    """

    make: str
    port: str
    node: str


class CameraPlace:
    """Where a camera is now, by what the kernel tells in /sys of the one that was opened first.

    A path that is a link (/dev/v4l/by-id/...) is followed anew each time and needs none of this. A number is a promise
    of the moment: after an unplug the same camera may have another one, and another camera that one.
    """

    def __init__(self, device: str, *, devices: Path = DEVICES, known: Path = KNOWN) -> None:
        """`device` is a number N for /dev/videoN, or a path."""
        self.name = f"{devices}/video{device}" if device.isdecimal() else device
        self._known = known
        self._devices = devices
        self._identity: CameraIdentity | None = None
        self._others: set[str] = set()

    def find(self) -> Path | None:
        """Returns the device that is this camera now, None when it is away.

        That is the same make in the same port; else the same make in a port that had none; else whatever is in the
        camera's port, which somebody has put in its place.
        """
        ours = self._identity
        if ours is None:
            return Path(self.name)
        nodes = {name: identity for name, identity in self._list_nodes().items() if identity.node == ours.node}
        moved = [it for it in nodes.values() if it.make == ours.make and it.port not in self._others]
        for likely in (ours, moved[0] if len(moved) == 1 else None):
            for name, identity in nodes.items():
                if identity == likely:
                    return self._devices / name
        for name, identity in nodes.items():
            if identity.port == ours.port:
                return self._devices / name
        return None

    def is_there(self) -> bool:
        """Returns whether there is a device to open."""
        path = self.find()
        return path is not None and path.exists()

    def remember(self, path: Path) -> None:
        """Notes which camera it is: the one that was just opened as `path`."""
        if Path(self.name).is_symlink() or path.parent != self._devices:
            return
        nodes = self._list_nodes()
        self._identity = nodes.get(path.name)
        if self._identity is not None:
            make, port = self._identity.make, self._identity.port
            self._others = {it.port for it in nodes.values() if it.make == make and it.port != port}

    def _list_nodes(self) -> dict[str, CameraIdentity]:
        nodes: dict[str, CameraIdentity] = {}
        with contextlib.suppress(OSError):
            for entry in sorted(self._known.iterdir()):
                # One that goes away while it is looked at.
                with contextlib.suppress(OSError):
                    nodes[entry.name] = _identify(entry)
        return nodes


def _identify(entry: Path) -> CameraIdentity:
    port = (entry / "device").resolve(strict=True)
    # Of a USB camera `device` is one of its interfaces, and the folder around it the camera.
    usb = [_read(port.parent / name) for name in ("idVendor", "idProduct", "serial")]
    make = ":".join(usb) if usb[0] else _read(entry / "name")
    return CameraIdentity(make, str(port), _read(entry / "index"))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""
