"""Whether servers are reached, on real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from edgeseg.doctor.servers import check_broker, check_streams
from edgeseg.doctor.wanted import WantedCamera


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Somebody who listens; closed by a test, nobody does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def camera(source: str) -> list[WantedCamera]:
    return [WantedCamera("front", source)]


def test_a_stream_whose_server_listens_is_well_and_one_whose_does_not_is_a_problem_without_its_password(
    server: socket.socket,
) -> None:
    port = server.getsockname()[1]
    source = f"rtsp://admin:secret@127.0.0.1:{port}/main"
    assert [item.level for item in check_streams(camera(source))] == ["ok"]
    server.close()
    (finding,) = check_streams(camera(source))
    assert finding.level == "problem"
    assert finding.text == f"front: 127.0.0.1:{port} cannot be reached: connection refused"
    assert "secret" not in finding.text + finding.remedy


def test_an_address_that_is_none_is_a_problem_without_its_password() -> None:
    (finding,) = check_streams(camera("rtsp://admin:secret@10.0.0.7:99999/main"))
    assert finding.level == "problem"
    assert "is no address" in finding.text
    assert "secret" not in finding.text + finding.remedy


def test_a_name_that_cannot_be_one_is_told_of() -> None:
    (finding,) = check_streams(camera("rtsp://a..b/main"))
    assert "its host can be none" in finding.text
    (finding,) = check_broker(("a..b", 1883))
    assert "cannot be reached" in finding.text


@pytest.mark.parametrize("source", ["0", "drive.mp4", "udp://239.0.0.1:5000", "synthetic:1280x720@30", "pipe:cat x"])
def test_what_has_no_server_is_not_looked_for(source: str) -> None:
    assert check_streams(camera(source)) == []


def test_a_broker_that_is_away_is_a_warning_for_a_run_goes_on_without_it(server: socket.socket) -> None:
    place = server.getsockname()[:2]
    assert [item.level for item in check_broker(place)] == ["ok"]
    server.close()
    (finding,) = check_broker(place)
    assert (finding.level, "connection refused" in finding.text) == ("warning", True)
    assert check_broker(None) == []
