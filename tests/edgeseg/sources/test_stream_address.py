"""StreamAddress: what can be read is read, anything else is refused in one line without the password."""

from __future__ import annotations

import socket

import pytest

from edgeseg.errors import UsageError
from edgeseg.sources.stream_address import StreamAddress


@pytest.mark.parametrize(
    ("url", "name", "host", "port"),
    [
        ("rtsp://cam/live", "rtsp://cam/live", "cam", 554),
        ("rtsp://admin:hunter2@192.0.2.7:8554/x?a=b", "rtsp://***@192.0.2.7:8554/x?a=b", "192.0.2.7", 8554),
        ("RTSPS://cam/live", "RTSPS://cam/live", "cam", 322),
        ("http://[::1]:81/v.mjpg", "http://[::1]:81/v.mjpg", "::1", 81),
        ("https://cam", "https://cam", "cam", 443),
        ("udp://@:5000", "udp://@:5000", "", 5000),
        ("udp://239.0.0.1:1234", "udp://239.0.0.1:1234", "239.0.0.1", 1234),
    ],
)
def test_each_kind(url: str, name: str, host: str, port: int) -> None:
    address = StreamAddress.parse(url)
    assert (address.name, address.host, address.port) == (name, host, port)
    # libav knows schemes in small letters only.
    assert address.url.startswith(f"{address.scheme}://")
    assert address.scheme in ("rtsp", "rtsps", "http", "https", "udp")
    assert address.url.partition("://")[2] == url.partition("://")[2]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gopher://admin:hunter2@cam/", r"^gopher://\.\.\.: no such kind of source"),
        ("rtsp://", "names no camera"),
        ("rtsp:///live", "names no camera"),
        ("rtsp://admin:hunter2@/live", "names no camera"),
        ("http://cam:0/", "names no camera"),
        ("rtsp://cam:99999/", "the port must be 1 to 65535"),
        ("rtsp://admin:hunter2@cam:port/", "the port must be 1 to 65535"),
        ("rtsp://admin:hun/ter2@cam/", "write / as %2F"),
        ("rtsp://[::1/x", "is no address"),
        ("rtsp://cam/my camera", "write one as %20"),
        ("rtsp://cam/a\nb", "write one as %20"),
        (f"rtsp://admin:hunter2@{'a' * 64}.example/x", "its host can be none"),
        ("http://a..b/x", "its host can be none"),
        ("rtsp://./x", "its host can be none"),
        ("udp://239.0.0.1", "needs a port"),
        ("udp://", "needs a port"),
    ],
)
def test_what_is_none_is_refused_without_its_password(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        StreamAddress.parse(url)
    assert "hunter2" not in str(raised.value)
    assert "ter2" not in str(raised.value)


def test_whether_somebody_is_there_is_asked_of_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = StreamAddress.parse(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x")
        assert address.is_there()
    assert not address.is_there()
    assert StreamAddress.parse("udp://@:5000").is_there()
    assert not StreamAddress.parse("rtsp://nobody.invalid/x").is_there()


def test_whether_a_host_is_known() -> None:
    assert StreamAddress.parse("rtsp://127.0.0.1/x").is_known()
    assert StreamAddress.parse("rtsp://localhost/x").is_known()
    assert not StreamAddress.parse("rtsp://nobody.invalid/x").is_known()
