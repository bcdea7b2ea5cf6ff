"""PushAddress: what can be pushed to, and what of it may be shown."""

from __future__ import annotations

import pytest

from edgeseg.push.address import PushAddress


@pytest.mark.parametrize(
    ("text", "form", "shown"),
    [
        ("rtsp://user:p%40ss@10.0.0.2:8554/drive?token=x", "rtsp", "rtsp://10.0.0.2:8554/drive"),
        ("rtsp://cam.lan/{camera}", "rtsp", "rtsp://cam.lan/{camera}"),
        ("rtmp://a.example/live2/abcd-efgh", "flv", "rtmp://a.example/live2/***"),
        ("rtmp://10.0.0.2:1935/drive", "flv", "rtmp://10.0.0.2:1935/drive"),
        ("srt://[::1]:9000?streamid=publish:x&passphrase=0123456789&latency=200", "mpegts", "srt://[::1]:9000"),
        ("udp://239.0.0.1:5000", "mpegts", "udp://239.0.0.1:5000"),
    ],
)
def test_addresses_are_read_and_shown_without_what_is_secret(text: str, form: str, shown: str) -> None:
    address = PushAddress.parse(text)
    assert (str(address), address.format, address.shown) == (text, form, shown)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("http://host/x", "rtsp://, rtmp://, srt:// or udp://"),
        ("rtsp:///x", "with a host"),
        ("rtsp://host", "has no path"),
        ("udp://host", "has no port"),
        ("srt://host", "has no port"),
        ("rtsp://host:99999/x", "is no address"),
        ("rtsp://host/two words", "is no address"),
        ("srt://host:1?mode=listener", "has an option 'mode'"),
        ("srt://host:1?latency=1.5s", "no number of milliseconds"),
        ("srt://host:1?passphrase=short", "10 to 79 signs"),
    ],
)
def test_what_cannot_be_pushed_to_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        PushAddress.parse(text)


def test_each_camera_has_its_own() -> None:
    address = PushAddress.parse("rtsp://host/{camera}/overlay").for_camera("front")
    assert address.shown == "rtsp://host/front/overlay"
