"""SrtCaller: sends datagrams over SRT, by the system's libsrt, for the libav in PyAV's wheels is built without.

Names and numbers are those of libsrt's srt.h, which have not changed since 1.3:
https://github.com/Haivision/srt/blob/master/docs/API/API.md
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

#: By the names of Debian's packages (libsrt1.4-gnutls, libsrt1.5-openssl, ...) and of others.
LIBRARIES = (
    "libsrt.so.1.5",
    "libsrt-openssl.so.1.5",
    "libsrt-gnutls.so.1.5",
    "libsrt.so.1.4",
    "libsrt-openssl.so.1.4",
    "libsrt-gnutls.so.1.4",
    "libsrt.so.1",
)
#: Seven packets of MPEG-TS, what SRT sends at a time.
PAYLOAD = 7 * 188
CONNECT_LIMIT_MS = 3000
SEND_LIMIT_MS = 5000

_SNDTIMEO, _PASSPHRASE, _CONNTIMEO, _LATENCY, _STREAMID = 13, 26, 36, 23, 46


def load_library() -> ctypes.CDLL:
    """Returns libsrt. Raises OSError where it is not installed."""
    for name in LIBRARIES:
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise OSError("no libsrt; as root: apt-get install libsrt1.5-openssl")


class SrtCaller:
    """A connection to an SRT listener, to be written to as to a file: whatever size, it goes out in `PAYLOAD`s."""

    def __init__(self, host: str, port: int, options: Mapping[str, str]) -> None:
        """`options`: streamid, passphrase, latency in milliseconds."""
        self._host, self._port, self._options = host, port, options
        self._library = load_library()
        self._library.srt_getlasterror_str.restype = ctypes.c_char_p
        self._library.srt_rejectreason_str.restype = ctypes.c_char_p
        self._socket = -1
        self._rest = b""

    def __enter__(self) -> SrtCaller:
        """Connects. Raises OSError."""
        self._check(self._library.srt_startup())
        family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
        self._socket = self._library.srt_create_socket()
        self._check(self._socket)
        for option, value in ((_CONNTIMEO, CONNECT_LIMIT_MS), (_SNDTIMEO, SEND_LIMIT_MS)):
            self._set(option, struct.pack("=i", value))
        if "latency" in self._options:
            self._set(_LATENCY, struct.pack("=i", int(self._options["latency"])))
        for option, name in ((_PASSPHRASE, "passphrase"), (_STREAMID, "streamid")):
            if self._options.get(name):
                self._set(option, self._options[name].encode())
        packed = _pack_address(family, address)
        if self._library.srt_connect(self._socket, packed, len(packed)) < 0:
            reason = self._library.srt_getrejectreason(self._socket)
            refused = self._library.srt_rejectreason_str(reason).decode(errors="replace") if reason > 0 else ""
            raise OSError(f"{self._last_error()} {refused}".strip())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket >= 0:
            self._library.srt_close(self._socket)
        self._library.srt_cleanup()

    def write(self, data: bytes) -> int:
        """Sends. Raises OSError when the connection is no more."""
        for begin in range(0, len(data), PAYLOAD):
            part = bytes(data[begin : begin + PAYLOAD])
            self._check(self._library.srt_send(self._socket, part, len(part)))
        return len(data)

    def _set(self, option: int, value: bytes) -> None:
        self._check(self._library.srt_setsockflag(self._socket, option, value, len(value)))

    def _check(self, answer: int) -> None:
        if answer < 0:
            raise OSError(self._last_error())

    def _last_error(self) -> str:
        text = self._library.srt_getlasterror_str()
        return text.decode(errors="replace").strip() if text else "SRT failed"


def _pack_address(family: int, address: Sequence[Any]) -> bytes:
    """Returns `struct sockaddr_in` or `struct sockaddr_in6` (ip(7), ipv6(7))."""
    host, port = str(address[0]), int(address[1])
    start = struct.pack("=H", family) + struct.pack("!H", port)
    if family == socket.AF_INET:
        return start + socket.inet_pton(family, host) + bytes(8)
    flow, scope = int(address[2]), int(address[3])
    return start + struct.pack("!I", flow) + socket.inet_pton(family, host.partition("%")[0]) + struct.pack("=I", scope)
