"""redact: nothing secret is left of an address, and enough to know which one it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.redact import redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("rtsp://admin:hunter2@cam:554/stream1", "rtsp://***@cam:554/stream1"),
        ("rtsp://admin@cam/stream1", "rtsp://***@cam/stream1"),
        ("RTSP://admin:hunter2@[fe80::1]:554/x", "RTSP://***@[fe80::1]:554/x"),
        # Written where only a host belongs.
        ("'admin:hunter2@10.0.0.2:1883' is no broker", "'***@10.0.0.2:1883' is no broker"),
        ("at 12:30 to a@b.c", "at 12:30 to a@b.c"),
        # Signs that a password ought to have escaped.
        ("rtsp://admin:hun@ter2@cam/x", "rtsp://***@cam/x"),
        ("rtsp://admin:hun/ter2@cam/x", "rtsp://***@cam/x"),
        ("rtsp://admin:hun?ter#2@cam/x", "rtsp://***@cam/x"),
        ("rtsp://admin:h:unter2@cam/x", "rtsp://***@cam/x"),
        # The ways of cameras that know no log-in.
        ("rtsp://cam/live?user=admin&password=hunter2&channel=1", "rtsp://cam/live?user=***&password=***&channel=1"),
        ("http://cam/v.cgi?Token=abc;res=vga", "http://cam/v.cgi?Token=***;res=vga"),
        ("rtsp://cam/user=admin&pwd=hunter2&channel=1/s.sdp", "rtsp://cam/user=***&pwd=***&channel=1/s.sdp"),
        ("http://cam/v.cgi?loginuse=admin&loginpas=hunter2", "http://cam/v.cgi?loginuse=***&loginpas=***"),
        ("http://cam/v?access_token=a.b-c&api_key=d&res=1", "http://cam/v?access_token=***&api_key=***&res=1"),
        # Commands.
        ("pipe:cam --rtsp-password hunter2 --user_pwd=x -o -", "pipe:cam --rtsp-password *** --user_pwd=*** -o -"),
        ("pipe:cam --password hunter2 -o -", "pipe:cam --password *** -o -"),
        ("gst user-id=admin user-pw=hunter2 ! x", "gst user-id=*** user-pw=*** ! x"),
        ("two: rtsp://a:b@c/d and http://e:f@g.", "two: rtsp://***@c/d and http://***@g."),
        ("rtsp:/admin:hunter2@cam/x: no such file", "rtsp:/***@cam/x: no such file"),
        # Where pictures are pushed to: the stream's name is the secret of RTMP.
        ("rtmp://a.example/live2/abcd-efgh", "rtmp://a.example/live2/***"),
        ("rtmp://u:p@a.example:1935/app/inst/key?x=1", "rtmp://***@a.example:1935/app/inst/***?x=1"),
        ("rtmp://10.0.0.2/drive", "rtmp://10.0.0.2/drive"),
        ("srt://h:1?streamid=publish:x:y&passphrase=0123456789", "srt://h:1?streamid=***&passphrase=***"),
        # Nothing to hide.
        ("pipe:/usr/bin/cam --at a@b", "pipe:/usr/bin/cam --at a@b"),
        ("rtsp://cam/live/@home", "rtsp://cam/live/@home"),
        ("rtsp://cam:554/live/home", "rtsp://cam:554/live/home"),
        ("rtsp://[fe80::1]/x", "rtsp://[fe80::1]/x"),
        ("udp://@239.0.0.1:5000", "udp://@239.0.0.1:5000"),
        ("x264enc key-int-max=25", "x264enc key-int-max=25"),
        ("/dev/video0", "/dev/video0"),
        ("", ""),
    ],
)
def test_each_way_a_secret_is_written(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    assert redact(redacted) == redacted


@pytest.mark.parametrize(
    "text",
    ["pass" * 20_000, "-" * 100_000, "a_" * 50_000, "--a " * 20_000, "pass-" * 20_000, "%" * 100_000, "%:" * 50_000],
)
def test_a_long_text_takes_no_longer_than_its_length(text: str) -> None:
    # What took the square of it would take minutes.
    assert redact(text) == text


@given(st.text(st.characters(exclude_categories=("Z", "C")), min_size=1), st.sampled_from(["", "/live", ":554/a?b=c"]))
def test_no_password_of_any_signs_is_left(password: str, path: str) -> None:
    assert redact(f"rtsp://admin:{password}@cam{path}") == f"rtsp://***@cam{path}"
