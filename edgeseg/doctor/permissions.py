"""Whether the user of the service, or whoever runs this, may use cameras and write what is to be written."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from edgeseg.doctor.finding import Finding

SERVICE_USER = "edgeseg"
SERVICE_FILES = ("usr/local/lib/systemd/system", "etc/systemd/system", "usr/lib/systemd/system")
STATE_FOLDER = "var/lib/edgeseg"


@dataclass(frozen=True, slots=True)
class Account:
    """A user by number, with the numbers and the names of all its groups."""

    name: str
    uid: int
    gids: frozenset[int]
    groups: frozenset[str]

    def may(self, wanted: int, status: os.stat_result) -> bool:
        """Whether it may do `wanted` (the bits of one octal digit: 4 read, 2 write, 1 enter) with that file."""
        if self.uid == 0:
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.gids else 0
        return stat.S_IMODE(status.st_mode) >> shift & wanted == wanted


def read_account(name: str, root: Path = Path("/")) -> Account | None:
    """Returns a user from /etc/passwd and /etc/group below `root`, None when there is none of that name."""
    user = next((fields for fields in _records(root / "etc/passwd") if fields[0] == name), None)
    if user is None:
        return None
    gids, groups = {int(user[3])}, set()
    for group, _, number, members in (fields[:4] for fields in _records(root / "etc/group")):
        if int(number) == int(user[3]) or name in members.split(","):
            gids.add(int(number))
            groups.add(group)
    return Account(name, int(user[2]), frozenset(gids), frozenset(groups))


def check_permissions(config: Path | None = None, root: Path = Path("/")) -> list[Finding]:
    """Looks at the service's user where the service is installed; without it there is nothing to look at."""
    if not any((root / folder / "edgeseg.service").exists() for folder in SERVICE_FILES):
        return [Finding("permissions", "ok", "the service is not installed")]
    account = read_account(SERVICE_USER, root)
    if account is None:
        return [
            Finding(
                "permissions", "problem", f"the service's user {SERVICE_USER} is missing", "run: sudo systemd-sysusers"
            )
        ]
    findings = []
    if "video" not in account.groups:
        findings.append(
            Finding(
                "permissions",
                "problem",
                f"the service's user {SERVICE_USER} is not in the group video: it cannot use cameras",
                f"run: sudo usermod -aG video {SERVICE_USER} && sudo systemctl restart edgeseg",
            )
        )
    findings += _check_place(account, root / STATE_FOLDER, 7, "cannot write its state and recordings", root)
    if config is not None:
        findings += _check_place(account, config, 4, "cannot read its configuration", root)
    return findings or [
        Finding(
            "permissions",
            "ok",
            f"the service's user {SERVICE_USER} may use cameras and write /{STATE_FOLDER}",
            details={"groups": sorted(account.groups)},
        )
    ]


def _check_place(account: Account, place: Path, wanted: int, what: str, root: Path) -> list[Finding]:
    shown = "/" + str(place.relative_to(root)) if place.is_relative_to(root) else str(place)
    try:
        allowed = account.may(wanted, place.stat())
    except FileNotFoundError:
        return [Finding("permissions", "problem", f"{shown}: is missing", "run: sudo systemd-tmpfiles --create")]
    except PermissionError:
        return [Finding("permissions", "warning", f"{shown}: cannot be looked at", "run: sudo edgeseg doctor")]
    if allowed:
        return []
    mode = "u+rwx" if wanted == 7 else "g+r"
    return [
        Finding(
            "permissions",
            "problem",
            f"{shown}: the service's user {account.name} {what}",
            f"run: sudo chgrp {account.name} {shown} && sudo chmod {mode} {shown}"
            if wanted == 4
            else f"run: sudo chown -R {account.name}: {shown} && sudo chmod {mode} {shown}",
        )
    ]


def _records(path: Path) -> list[list[str]]:
    """Returns the lines of a file such as /etc/passwd, split at their colons; those that are none are left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [fields for line in lines if len(fields := line.split(":")) >= 4]
