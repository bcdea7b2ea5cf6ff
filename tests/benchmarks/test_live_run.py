"""The page's stream as the benchmarks read it: it has an end, wherever that comes."""

from __future__ import annotations

import socket
import threading

import pytest

from benchmarks.live_run import read_stream

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n"
PICTURE = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: 4\r\nX-Age-Ms: 7\r\n\r\njpeg\r\n"


def read_from(answer: bytes) -> list[bytes]:
    """What is read of a server that sends `answer` and closes."""

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        pictures = [jpeg for _, jpeg in read_stream(server.getsockname()[1])]
        thread.join()
    return pictures


@pytest.mark.timeout(60)
@pytest.mark.parametrize("left", [0, 8, 20, len(PICTURE) - 4])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_stream_ends_where_it_is_cut(left: int, chunked: bool) -> None:
    cut = PICTURE[:left]
    if chunked:
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(PICTURE), piece) for piece in (PICTURE, PICTURE))
        answer = (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + (b"%x\r\n" % len(PICTURE) + cut if left else b"")
        )
    else:
        answer = HEAD + b"\r\n" + 2 * PICTURE + cut
    assert read_from(answer) == [b"jpeg"] * 2


@pytest.mark.timeout(60)
def test_an_answer_that_is_no_stream_holds_no_pictures() -> None:
    assert read_from(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nbusy\n") == []
