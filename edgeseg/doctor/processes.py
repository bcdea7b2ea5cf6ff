"""Which process has a file or a port open, as /proc tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

#: Of the states in /proc/net/tcp.
LISTENING = "0A"


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its number and its command line."""

    pid: int
    command: str

    @property
    def is_edgeseg(self) -> bool:
        """Whether it is an edgeseg, this one or another: by the program's name, for a folder may be called so too."""
        words = self.command.split()
        return any(Path(word).name == "edgeseg" for word in words[:2]) or ("-m", "edgeseg") in pairwise(words)

    def __str__(self) -> str:
        return f"{self.command.split(' --')[0][:60]} (process {self.pid})"


def holders_of_device(device: Path, root: Path = Path("/")) -> list[Process]:
    """Returns who has the device at `device` (below `root`) open; without rights only processes of one's own."""
    target = str(device)
    return [process for process, links in _open_files(root) if target in links]


def holders_of_port(port: int, root: Path = Path("/")) -> list[Process]:
    """Returns who listens on the TCP port `port`; without rights only processes of one's own."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port, root)}
    return [process for process, links in _open_files(root) if sockets & links]


def _open_files(root: Path) -> Iterator[tuple[Process, set[str]]]:
    for folder in root.glob("proc/[0-9]*"):
        if int(folder.name) == os.getpid():
            continue
        try:
            links = {str(entry.readlink()) for entry in (folder / "fd").iterdir()}
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", errors="replace").strip()
        except OSError:
            # It has ended, or is somebody else's.
            continue
        yield Process(int(folder.name), command), links


def _listening(port: int, root: Path) -> Iterator[str]:
    for name in ("tcp", "tcp6"):
        try:
            lines = (root / "proc/net" / name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]
