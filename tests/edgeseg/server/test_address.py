"""Address: what the user may write, and what is reachable from elsewhere."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from edgeseg.server.address import Address


@pytest.mark.parametrize(
    ("text", "host", "port", "url"),
    [
        ("8080", "127.0.0.1", 8080, "http://127.0.0.1:8080"),
        (":0", "127.0.0.1", 0, "http://127.0.0.1:0"),
        ("0.0.0.0:80", "0.0.0.0", 80, "http://0.0.0.0:80"),
        ("localhost:9000", "localhost", 9000, "http://localhost:9000"),
        ("[::1]:9000", "::1", 9000, "http://[::1]:9000"),
    ],
)
def test_what_can_be_written(text: str, host: str, port: int, url: str) -> None:
    address = Address.parse(text)
    assert (address.host, address.port, address.url) == (host, port, url)


@pytest.mark.parametrize("text", ["", "localhost", "localhost:", "127.0.0.1:65536", "1:2:x", "127.0.0.1:-1", "٣"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="port must be 0 to 65535") as caught:
        Address.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("raspberrypi.local", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_only_what_stays_on_this_machine(host: str, loopback: bool) -> None:
    assert Address(host).loopback is loopback
