"""The process that carries encoded pictures to a server: `python -m edgeseg.push.carrier`, started by link.py.

Reads from stdin an order, one line of JSON with `url` and `limit_s`, and packets, each a `HEADER` and so many bytes of
H.264 (Annex B), the first of them a picture that can be decoded by itself. Writes to stdout a line when the server
takes pictures ("live"), and one when there is no going on ("lost REASON"). Ends with its stdin, and by itself when the
server takes longer than it may: an alarm ends a process whatever it waits for.
"""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import av
import av.error
from av.container import OutputContainer
from av.packet import Packet

from edgeseg.push.address import PushAddress
from edgeseg.push.srt import PAYLOAD, SrtCaller

#: Bytes that follow; the picture's time in ticks; whether it can be decoded by itself.
HEADER = struct.Struct("=Iq?")
TIME_BASE = Fraction(1, 90_000)

#: How long a server may take to hear us say good-bye.
CLOSE_LIMIT_S = 1.0

OPTIONS = {
    "rtsp": {"rtsp_transport": "tcp"},
    # A stream has no end whose place could be written at its front.
    "rtmp": {"flvflags": "no_duration_filesize"},
    "srt": {},
    "udp": {},
}


@dataclass(frozen=True, slots=True)
class Picture:
    """One encoded picture."""

    data: bytes
    pts: int
    keyframe: bool


class Destination:
    """A server that pictures go to. Opening, sending and closing raise OSError, FFmpegError or ValueError."""

    def __init__(self, address: PushAddress, first: Picture) -> None:
        """Connects; `first` tells size and profile."""
        # What the encoder does not say beforehand (a hardware one never does) stands in its first picture.
        with av.open(io.BytesIO(first.data), format="h264") as template:
            self._caller = _call(address) if address.scheme == "srt" else None
            self._container: OutputContainer = av.open(
                self._caller if self._caller is not None else _url_of(address),
                "w",
                format=address.format,
                # Every picture at once, not when a buffer is full.
                options={**OPTIONS[address.scheme], "flush_packets": "1"},
            )
            self._stream: Any = self._container.add_stream_from_template(template.streams.video[0])
        self._stream.time_base = TIME_BASE
        self._container.start_encoding()

    def send(self, picture: Picture) -> None:
        packet = Packet(picture.data)
        packet.pts = packet.dts = picture.pts
        packet.time_base = TIME_BASE
        packet.is_keyframe = picture.keyframe
        packet.stream = self._stream
        self._container.mux(packet)

    def close(self) -> None:
        self._container.close()
        if self._caller is not None:
            self._caller.__exit__(None, None, None)


def main() -> None:
    """Carries until stdin ends. The exit code is 1 when the server is lost."""
    # What a terminal or systemd sends to all processes is for the parent to answer; when it ends, so does our stdin.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe = sys.stdin.buffer
    order = json.loads(pipe.readline())
    address, limit_s = PushAddress(order["url"]), float(order["limit_s"])
    pictures = read_pictures(pipe)
    first = next(pictures, None)
    if first is None:
        return
    try:
        _alarm_in(limit_s)
        destination = Destination(address, first)
        destination.send(first)
        _tell("live")
        _alarm_in(0)
        for picture in pictures:
            _alarm_in(limit_s)
            destination.send(picture)
            _alarm_in(0)
        _alarm_in(CLOSE_LIMIT_S)
        destination.close()
    except (OSError, ValueError, av.error.FFmpegError) as error:
        _tell(f"lost {(getattr(error, 'strerror', None) or str(error)).lower()}")
        # Without good-byes to who has gone.
        os._exit(1)


def read_pictures(pipe: BinaryIO) -> Iterator[Picture]:
    """Yields what was sent, until the pipe ends or breaks off."""
    while len(head := pipe.read(HEADER.size)) == HEADER.size:
        size, pts, keyframe = HEADER.unpack(head)
        if len(data := pipe.read(size)) < size:
            return
        yield Picture(data, pts, keyframe)


def _url_of(address: PushAddress) -> str:
    """Returns the address as libavformat takes it."""
    if address.scheme != "udp" or "pkt_size=" in address.url:
        return address.url
    # Its own choice, 1472, would cut packets of MPEG-TS in two, and who loses one half loses both.
    return f"{address.url}{'&' if '?' in address.url else '?'}pkt_size={PAYLOAD}"


def _call(address: PushAddress) -> SrtCaller:
    parts = urlsplit(address.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return SrtCaller(parts.hostname, parts.port, address.srt_options()).__enter__()


def _alarm_in(seconds: float) -> None:
    """Ends this process after so long; 0 for never."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _tell(line: str) -> None:
    sys.stdout.write(" ".join(line.split()) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
