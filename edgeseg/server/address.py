"""Where the live page listens, and who can reach it there."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from edgeseg.errors import UsageError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a TCP port; port 0 lets the system choose one."""

    host: str = LOOPBACK
    port: int = 8080

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads `PORT`, `HOST:PORT` or `[IPV6]:PORT`. Raises UsageError."""
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]") or LOOPBACK
        if not (port.isascii() and port.isdigit() and int(port) <= 0xFFFF):
            raise UsageError(f"http address {text!r}: the port must be 0 to 65535; write PORT or HOST:PORT")
        return cls(host, int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return self.url_over(tls=False)

    def url_over(self, *, tls: bool) -> str:
        """Returns the address as a browser wants it."""
        return f"{'https' if tls else 'http'}://{self}"

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
