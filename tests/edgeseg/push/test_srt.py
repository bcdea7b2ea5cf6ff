"""libsrt's own words for what the sink's tests show in use."""

from __future__ import annotations

import socket

import pytest

from edgeseg.push.srt import SrtCaller, _pack_address
from tests.receivers import find_udp_port, why_no_receiver


def test_addresses_are_packed_as_the_system_does() -> None:
    assert _pack_address(socket.AF_INET, ("127.0.0.1", 9000)).hex() == "0200" + "2328" + "7f000001" + "00" * 8
    packed = _pack_address(socket.AF_INET6, ("::1", 9000, 0, 0)).hex()
    assert packed == "0a00" + "2328" + "00000000" + "00" * 15 + "01" + "00000000"


@pytest.mark.server
def test_nobody_there_is_an_error_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    if (why_not := why_no_receiver("srt")) is not None:
        pytest.skip(why_not)
    monkeypatch.setattr("edgeseg.push.srt.CONNECT_LIMIT_MS", 200)
    caller = SrtCaller("127.0.0.1", find_udp_port(), {"latency": "50", "streamid": "drive"})
    with pytest.raises(OSError, match="Connection"):
        caller.__enter__()
    caller.__exit__(None, None, None)
