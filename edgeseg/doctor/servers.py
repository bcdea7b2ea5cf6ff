"""Whether the servers of streams and the MQTT broker can be reached."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from edgeseg.doctor.finding import Finding
from edgeseg.doctor.wanted import WantedCamera
from edgeseg.errors import UsageError
from edgeseg.sources.stream_address import PORTS, StreamAddress

CONNECT_LIMIT_S = 3.0


def check_streams(wanted: Sequence[WantedCamera]) -> list[Finding]:
    """Connects to the server of every stream. Names hosts only, for an address may hold a password."""
    findings = []
    for camera in wanted:
        scheme, is_address, _ = camera.source.partition("://")
        if not is_address or scheme.lower() not in PORTS:
            continue
        try:
            address = StreamAddress.parse(camera.source)
        except UsageError as error:
            text, _, remedy = str(error).partition("; ")
            findings.append(Finding("streams", "problem", f"{camera.name}: {text}", remedy or "correct 'source:'"))
            continue
        if PORTS[address.scheme] is None:
            # It is sent without being asked for: there is nobody to connect to.
            continue
        refusal = _refusal(address.host, address.port)
        place = f"{camera.name}: {address.host}:{address.port}"
        if refusal is None:
            findings.append(Finding("streams", "ok", f"{place} can be reached"))
        else:
            remedy = "check that the camera is on, its address and port, and that this machine is in its network"
            findings.append(Finding("streams", "problem", f"{place} cannot be reached: {refusal}", remedy))
    return findings


def check_broker(broker: tuple[str, int] | None) -> list[Finding]:
    """Connects to the MQTT broker at (host, port). One that is away is a warning: a run goes on without it."""
    if broker is None:
        return []
    place = f"the MQTT broker {broker[0]}:{broker[1]}"
    refusal = _refusal(*broker)
    if refusal is None:
        return [Finding("broker", "ok", f"{place} can be reached")]
    remedy = "check that it runs, its address and port; until then what is told there waits, and the oldest is dropped"
    return [Finding("broker", "warning", f"{place} cannot be reached: {refusal}", remedy)]


def _refusal(host: str, port: int) -> str | None:
    """Returns why nobody can be reached there, None when somebody can."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_LIMIT_S).close()
    except (OSError, UnicodeError) as error:
        return (getattr(error, "strerror", None) or str(error)).lower()
    return None
