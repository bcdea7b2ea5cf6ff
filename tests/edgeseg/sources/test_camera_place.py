"""CameraPlace: the same camera is found again under another number, and no other one is taken for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeseg.sources.camera_place import CameraPlace


class Machine:
    """What the kernel shows of its cameras: /dev and /sys, in a folder."""

    def __init__(self, root: Path) -> None:
        self.devices, self.known, self.ports = root / "dev", root / "class", root / "ports"
        for folder in (self.devices, self.known, self.ports):
            folder.mkdir()

    def plug(self, number: int, port: str, *, make: str = "046d:0825:", serial: str = "", node: int = 0) -> None:
        """Gives a USB camera's device a number."""
        vendor, product, _ = make.split(":")
        interface = self.ports / port / "1.0"
        interface.mkdir(parents=True, exist_ok=True)
        for name, text in (("idVendor", vendor), ("idProduct", product), ("serial", serial)):
            if text:
                (self.ports / port / name).write_text(text + "\n")
        entry = self.known / f"video{number}"
        entry.mkdir()
        (entry / "device").symlink_to(interface)
        (entry / "name").write_text("HD Webcam\n")
        (entry / "index").write_text(f"{node}\n")
        (self.devices / f"video{number}").touch()

    def unplug(self, number: int) -> None:
        port = (self.known / f"video{number}" / "device").resolve().parent
        shutil.rmtree(self.known / f"video{number}")
        (self.devices / f"video{number}").unlink()
        if not any((entry / "device").resolve().parent == port for entry in self.known.iterdir()):
            shutil.rmtree(port)

    def place(self, device: str) -> CameraPlace:
        """Opens a camera, as far as a place is concerned."""
        place = CameraPlace(device, devices=self.devices, known=self.known)
        found = place.find()
        assert found is not None
        place.remember(found)
        return place


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def found(place: CameraPlace) -> str | None:
    path = place.find()
    assert place.is_there() == (path is not None and path.exists())
    return path.name if path else None


def test_before_it_was_ever_opened_it_is_what_was_said(machine: Machine) -> None:
    place = CameraPlace("3", devices=machine.devices, known=machine.known)
    assert place.name == str(machine.devices / "video3")
    assert found(place) == "video3"
    assert not place.is_there()


def test_it_comes_back_under_another_number_in_its_port(machine: Machine) -> None:
    machine.plug(0, "1-1")
    place = machine.place("0")
    machine.unplug(0)
    assert found(place) is None
    machine.plug(2, "1-1")
    assert found(place) == "video2"


def test_it_comes_back_in_another_port(machine: Machine) -> None:
    machine.plug(0, "1-1", serial="A1")
    place = machine.place("0")
    machine.unplug(0)
    machine.plug(1, "1-2", serial="A1")
    assert found(place) == "video1"


def test_another_camera_with_its_number_is_not_it(machine: Machine) -> None:
    machine.plug(0, "1-1")
    place = machine.place("0")
    machine.unplug(0)
    machine.plug(0, "1-2", make="1d6c:0103:")
    assert found(place) is None
    machine.plug(1, "1-1")
    assert found(place) == "video1"


def test_two_of_one_make_that_come_back_exchanged_are_told_apart_by_their_ports(machine: Machine) -> None:
    machine.plug(0, "1-1")
    machine.plug(1, "1-2")
    first, second = machine.place("0"), machine.place("1")
    for number in (0, 1):
        machine.unplug(number)
    machine.plug(0, "1-2")
    assert (found(first), found(second)) == (None, "video0")
    machine.plug(1, "1-1")
    assert (found(first), found(second)) == ("video1", "video0")


def test_a_twin_that_was_there_all_the_time_is_not_it(machine: Machine) -> None:
    machine.plug(0, "1-1")
    machine.plug(1, "1-2")
    place = machine.place("0")
    machine.unplug(0)
    assert found(place) is None


def test_of_two_new_ones_of_its_make_none_is_guessed(machine: Machine) -> None:
    machine.plug(0, "1-1")
    place = machine.place("0")
    machine.unplug(0)
    machine.plug(4, "1-3")
    machine.plug(5, "1-4")
    assert found(place) is None


def test_a_device_without_pictures_of_the_same_camera_is_not_it(machine: Machine) -> None:
    machine.plug(0, "1-1", node=0)
    machine.plug(1, "1-1", node=1)
    place = machine.place("0")
    machine.unplug(0)
    machine.unplug(1)
    machine.plug(0, "1-1", node=1)
    assert found(place) is None
    machine.plug(1, "1-1", node=0)
    assert found(place) == "video1"


def test_one_that_was_put_in_its_place_is_taken(machine: Machine) -> None:
    machine.plug(0, "1-1")
    place = machine.place("0")
    machine.unplug(0)
    machine.plug(0, "1-1", make="1d6c:0103:")
    assert found(place) == "video0"


def test_a_link_is_followed_anew_and_nothing_is_remembered_of_it(machine: Machine) -> None:
    machine.plug(0, "1-1")
    link = machine.devices / "usb-cam-video-index0"
    link.symlink_to("video0")
    place = machine.place(str(link))
    machine.unplug(0)
    machine.plug(3, "1-4", make="1d6c:0103:")
    assert place.find() == link
    assert not place.is_there()
    link.unlink()
    link.symlink_to("video3")
    assert place.is_there()


def test_a_camera_that_is_no_usb_camera_is_known_by_its_drivers_name(machine: Machine) -> None:
    for number, name in ((0, "vivid-000-vid-cap"), (1, "vivid-001-vid-cap")):
        entry = machine.known / f"video{number}"
        port = machine.ports / f"vivid.{number}"
        entry.mkdir()
        port.mkdir()
        (entry / "device").symlink_to(port)
        (entry / "name").write_text(name)
        (entry / "index").write_text("0")
        (machine.devices / f"video{number}").touch()
    place = machine.place("0")
    (machine.known / "video0").rename(machine.known / "video7")
    (machine.devices / "video0").rename(machine.devices / "video7")
    assert found(place) == "video7"


def test_where_the_kernel_tells_nothing_the_number_has_to_do(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    place = CameraPlace("0", devices=tmp_path, known=tmp_path / "nowhere")
    place.remember(tmp_path / "video0")
    assert found(place) == "video0"
