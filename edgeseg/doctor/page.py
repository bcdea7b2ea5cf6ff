"""Whether the live page can have its port."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from edgeseg.doctor.finding import Finding
from edgeseg.doctor.processes import holders_of_port
from edgeseg.errors import explain
from edgeseg.server.address import Address


def check_page(address: Address | None, root: Path = Path("/")) -> list[Finding]:
    """Tries to listen where the page would. A port that an edgeseg has already is well: that is the page."""
    if address is None:
        return [Finding("page", "ok", "no live page is asked for")]
    try:
        family, _, _, _, place = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the page does: what a run that has just ended left behind in the kernel is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen()
    except UnicodeError:
        return [
            Finding("page", "problem", f"{address.url}: {address.host!r} is no host name", "write PORT or HOST:PORT")
        ]
    except OSError as error:
        return [_refused(address, error, root)]
    return [Finding("page", "ok", f"{address.url} is free")]


def _refused(address: Address, error: OSError, root: Path) -> Finding:
    if error.errno == errno.EADDRINUSE:
        holders = holders_of_port(address.port, root)
        if any(process.is_edgeseg for process in holders):
            return Finding("page", "ok", f"{address.url} is served by {holders[0]}")
        who = str(holders[0]) if holders else "another program (sudo ss -ltnp tells which)"
        return Finding("page", "problem", f"{address.url} is in use by {who}", "end it, or choose another port")
    if error.errno == errno.EACCES:
        return Finding("page", "problem", f"{address.url}: ports below 1024 are root's", "choose a higher port")
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return Finding(
            "page", "problem", f"{address.url}: this machine has no such address", "serve 127.0.0.1, or 0.0.0.0 for all"
        )
    return Finding("page", "problem", f"{address.url}: {explain(error)}", "choose another address")
