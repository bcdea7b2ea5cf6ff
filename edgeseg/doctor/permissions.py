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


def check_permissions(
    config: Path | None = None, root: Path = Path("/"), *, recordings: Path | None = None
) -> list[Finding]:
    """Looks at the service's user where the service is installed; without it there is nothing to look at.

    `recordings` is where the service records.
    """
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
    if recordings is not None and not recordings.is_relative_to(f"/{STATE_FOLDER}"):
        findings += _check_recordings(account, recordings, root)
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


def _check_recordings(account: Account, folder: Path, root: Path) -> list[Finding]:
    """Looks whether the service may record into a folder that is none of its own."""
    findings = []
    let_in = _let_in(root)
    if not any(folder.is_relative_to(place) for place in let_in):
        findings.append(
            Finding(
                "permissions",
                "problem",
                f"{folder}: the service sees it read-only",
                f"run: sudo systemctl edit edgeseg, and write below [Service]: ReadWritePaths={folder}",
                {"let_in": sorted(map(str, let_in))},
            )
        )
    place = root / folder.relative_to("/")
    try:
        allowed = place.is_dir() and account.may(7, place.stat())
    except PermissionError:
        return [
            *findings,
            Finding("permissions", "warning", f"{folder}: cannot be looked at", "run: sudo edgeseg doctor"),
        ]
    if not allowed:
        remedy = f"run: sudo install -d -o {account.name} -g {account.name} -m 0750 {folder}"
        findings.append(
            Finding(
                "permissions", "problem", f"{folder}: the service's user {account.name} cannot record there", remedy
            )
        )
    return findings


def _let_in(root: Path) -> set[Path]:
    """Returns the folders that files beside the service's units let it write to."""
    lines = [
        line.strip()
        for folder in (*SERVICE_FILES, "run/systemd/system")
        for path in sorted((root / folder).glob("edgeseg*.service.d/*.conf"))
        for line in _lines(path)
    ]
    places = [line.partition("=")[2].split() for line in lines if line.startswith("ReadWritePaths=")]
    return {Path(place.lstrip("-+")) for row in places for place in row}


def _records(path: Path) -> list[list[str]]:
    """Returns the lines of a file such as /etc/passwd, split at their colons; those that are none are left out."""
    # Also those that send for other users elsewhere (+::::::).
    return [fields for line in _lines(path) if len(fields := line.split(":")) >= 4 and fields[2].isdecimal()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
