"""make_client_id: one name for one installation."""

from __future__ import annotations

import re
from pathlib import Path

from edgeseg.telemetry.identity import make_client_id


def test_a_machine_and_an_instance_have_one_name_that_gives_neither_away(tmp_path: Path) -> None:
    machine = tmp_path / "machine-id"
    machine.write_text("0123456789abcdef0123456789abcdef\n", encoding="ascii")
    name = make_client_id({}, machine)
    assert re.fullmatch(r"edgeseg-[0-9a-f]{10}", name)
    assert name[8:] not in machine.read_text(encoding="ascii")
    assert make_client_id({"HOME": "/root"}, machine) == name
    front = make_client_id({"STATE_DIRECTORY": "/var/lib/edgeseg/front"}, machine)
    rear = make_client_id({"STATE_DIRECTORY": "/var/lib/edgeseg/rear"}, machine)
    other = tmp_path / "other"
    other.write_text("fedcba9876543210fedcba9876543210\n", encoding="ascii")
    assert len({name, front, rear, make_client_id({}, other)}) == 4


def test_without_a_machine_id_the_host_has_a_name_all_the_same(tmp_path: Path) -> None:
    absent = tmp_path / "none"
    assert make_client_id({}, absent) == make_client_id({}, absent)
