"""Recordings and WebRTC play in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.sinks import mp4
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.results import make_drive, write_all
from tests.edgeseg.server.live import Drive, Site
from tests.edgeseg.server.seen import OpenPage, wait_for_color, wait_for_kind, wait_until_it_moves

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("most_index_first", [mp4.MOST_INDEX_FIRST, 0], ids=["short", "long, in fragments"])
def test_a_recording_plays_in_the_browser(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_index_first: int
) -> None:
    monkeypatch.setattr(mp4, "MOST_INDEX_FIRST", most_index_first)
    path = tmp_path / "drive.mp4"
    write_all(VideoSink(path), make_drive(50, fps=25))
    page = open_page(path.as_uri())
    page.wait_for_function("() => document.querySelector('video')?.readyState === 4")
    video = page.locator("video")
    assert video.evaluate("video => [video.videoWidth, video.videoHeight]") == [320, 180]
    assert video.evaluate("video => video.duration") == pytest.approx(2.0, abs=0.01)
    video.evaluate("video => { video.muted = true; video.currentTime = 1; return video.play(); }")
    page.wait_for_function("() => document.querySelector('video').currentTime > 1.2")


def test_video_over_webrtc_plays_tells_of_a_lost_camera_and_falls_back(open_page: OpenPage) -> None:
    pytest.importorskip("aiortc", reason="needs aiortc: pip install 'edgeseg[webrtc]'")
    with Site(webrtc=True) as site, Drive(site.cameras[0]) as drive:
        page = open_page(site.page.url)
        wait_for_kind(page, "live")
        page.get_by_role("switch", name="Save bandwidth").check()
        page.wait_for_function("() => document.querySelector('video').currentTime > 0.5")
        assert page.locator("canvas").is_hidden()
        assert page.url.endswith("#front?video=webrtc")
        wait_until_it_moves(page)
        wait_for_color(page, "road", (64, 140, 105))
        assert site.state()["viewers"] == 0, "the picture stream was let go"
        assert site.get("/api/state").json["viewers"] == 1
        drive.lose("unplugged")
        wait_for_kind(page, "lost")
        drive.bring_back()
        wait_for_kind(page, "live")
        wait_until_it_moves(page)
        # Colours of one's own are drawn into the picture stream.
        page.get_by_role("switch", name="person").uncheck()
        wait_for_color(page, "person", (200, 150, 120))
        assert page.locator("video").is_hidden()
        page.wait_for_function("() => fetch('api/state').then(it => it.json()).then(it => it.viewers === 1)")


def test_where_video_does_not_get_through_there_is_the_picture_stream(open_page: OpenPage) -> None:
    pytest.importorskip("aiortc", reason="needs aiortc: pip install 'edgeseg[webrtc]'")
    with Site(webrtc=True) as site, Drive(site.cameras[0]):
        page = open_page(site.page.url)
        wait_for_kind(page, "live")
        page.route("**/offer", lambda route: route.fulfill(status=503, body="too many watch this way already\n"))
        page.get_by_role("switch", name="Save bandwidth").click()
        page.wait_for_function("() => document.getElementById('notice').innerText.includes('too many watch')")
        wait_until_it_moves(page)
        assert not page.get_by_role("switch", name="Save bandwidth").is_checked()
