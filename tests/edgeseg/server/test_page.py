"""LivePage over real sockets: what it answers, who it serves, and that no viewer can hold up the run."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from aiohttp import web

from edgeseg.errors import ConfigError, SinkUnavailableError, UsageError
from edgeseg.events import Events
from edgeseg.server import page as page_module
from edgeseg.server.access_config import Access
from edgeseg.server.address import Address
from edgeseg.server.page import LivePage
from edgeseg.server.routes import STATIC
from edgeseg.sinks.masks import enlarge_classes
from edgeseg.sinks.sink import Result
from tests.edgeseg.server.live import Site, Viewer, decode, wait_until

TOKEN = "not-to-be-guessed-by-anybody"


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        yield site


@pytest.mark.parametrize(
    ("path", "kind", "holds"),
    [
        ("/", "text/html", b"<title>edgeseg"),
        ("/page.css", "text/css", b":root"),
        ("/page.js", "text/javascript", b"poll"),
        ("/icon.svg", "image/svg+xml", b"<svg"),
    ],
)
def test_the_page_and_its_parts(site: Site, path: str, kind: str, holds: bytes) -> None:
    answer = site.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert holds in answer.body


def test_the_static_files_lie_in_the_package_and_each_is_served() -> None:
    static = Path(page_module.__file__).parent / "static"
    served = {name for name, _ in STATIC.values()} | {"index.html", "login.html"}
    assert {path.name for path in static.iterdir()} == served


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/../page.py",
        "/static/../../page.py",
        "/%2e%2e/page.py",
        "/%2e%2e%2fpage.py",
        "//etc/passwd",
        "/cameras/..%2f..%2fetc/snapshot.jpg",
        "/cameras/back/stream.mjpg",
    ],
)
def test_nothing_else_is_served(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status == 404
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_state_before_the_first_picture(site: Site) -> None:
    state = site.state()
    assert (state["name"], state["source"], state["state"], state["fps"]) == ("front", "front.mp4", "starting", 0)
    assert state["age_ms"] is None
    assert state["picture_age_s"] is None
    assert state["silence"] == {"kind": "waiting", "text": "Waiting for the first picture", "reason": None}
    assert [item["share"] for item in state["classes"]] == [None] * 4
    for still in ("snapshot.jpg", "mask.png"):
        answer = site.get(f"/{still}")
        assert (answer.status, answer.body) == (503, b"Waiting for the first picture\n")


def test_the_state_of_a_run(site: Site) -> None:
    for _ in range(3):
        result = site.publish()
    page = site.get("/api/state").json
    assert page["rss_bytes"] > 10_000_000
    assert (page["temperature_c"], page["viewers"], page["last_event"]) == (None, 0, 0)
    (state,) = page["cameras"]
    assert (state["state"], state["connection"], state["live"], state["silence"]) == ("running", "live", True, None)
    assert state["fps"] > 0
    assert 0 <= state["age_ms"] < 10_000
    assert state["picture_age_s"] >= 0
    assert state["frames"] == {"in": 3, "segmented": 3, "dropped": 0}
    assert state["timings_ms"] == {"inference": 4.5}
    assert (state["stale"], state["max_age_ms"], state["opacity"]) == (False, None, 50)
    shown = {item["name"]: item["share"] for item in state["classes"]}
    assert shown == pytest.approx(result.segmentation.shares)
    assert [item["color"] for item in state["classes"]] == ["#000000", "#26be78", "#2d78ff", "#ff9614"]


def test_what_is_late_and_how_warm_the_device_is(site: Site) -> None:
    camera = site.cameras[0]
    fresh = camera.publish()
    camera.health.temperature_c = 61.5
    camera.view.feed.publish(Result(fresh.segmentation, lambda it: it.frame.image, max_age_ms=1e-6))
    page = site.get("/api/state").json
    assert page["temperature_c"] == 61.5
    assert (page["cameras"][0]["stale"], page["cameras"][0]["max_age_ms"]) == (True, 1e-6)


def test_what_is_not_as_it_should_be_is_said_once_for_all_cameras() -> None:
    with Site("front", "rear") as site:
        assert site.get("/api/state").json["remarks"] == []
        for camera in site.cameras:
            camera.health.remarks = ("does less: rung 1 of 3", f"{camera.view.name}: recording paused: no room")
        paused = [f"{name}: recording paused: no room" for name in ("front", "rear")]
        wait_until(lambda: site.get("/api/state").json["remarks"] == ["does less: rung 1 of 3", *paused])


def test_another_opacity_of_the_run_while_it_runs(site: Site) -> None:
    result = site.publish()
    site.cameras[0].view.opacity = 0.8
    assert site.state()["opacity"] == 80
    assert site.get("/snapshot.jpg?opacity=80").body == site.get("/snapshot.jpg").body
    other = decode(site.get("/snapshot.jpg?opacity=50").body)
    assert cv2.PSNR(other, result.overlay()) > 30


def test_the_state_is_made_once_however_many_ask(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    published, same = 0, False
    while not same:  # a machine that stalled in between has made another one, and is asked again
        assert published < 20, "every answer was made anew"
        first = site.get("/api/state").body
        site.publish()
        published += 1
        same = first in {site.get("/api/state").body for _ in range(3)}
    wait_until(lambda: site.state()["frames"]["in"] == published)


def test_a_camera_that_is_lost_and_looks_bad(site: Site) -> None:
    site.publish()
    site.cameras[0].health.judged("covered")
    site.cameras[0].health.lost("front.mp4: connection refused")
    state = site.state()
    assert (state["connection"], state["live"]) == ("lost", False)
    assert state["silence"] == {"kind": "lost", "text": "No signal for 0 s", "reason": "front.mp4: connection refused"}
    assert (state["condition"], state["condition_text"]) == ("covered", "The lens is covered")
    answer = site.get("/snapshot.jpg")
    assert (answer.status, answer.body[:13]) == (503, b"No signal for"), "the last picture is not the present one"
    events = site.get("/api/events").json
    assert [event["kind"] for event in events] == ["picture_covered", "camera_lost"]
    assert {"number", "camera", "text", "level", "at"} <= set(events[0])
    assert site.get("/api/state").json["last_event"] == 2


def test_the_shares_of_the_last_minutes_outlive_the_page_that_shows_them(site: Site) -> None:
    assert site.cameras[0].view.feed.history.step_s == 2.0
    site.cameras[0].view.feed.history.step_s = 0.1
    site.publish()
    wait_until(lambda: len(site.get("/api/shares").json["front"]["shares"].get("road", [])) >= 1)
    shares = site.get("/api/shares").json["front"]
    assert (shares["step_s"], shares["steps"]) == (0.1, 150)
    assert shares["shares"]["road"][0] > 0.1


def test_health_needs_no_log_in_and_tells_no_details() -> None:
    with Site(access=Access(), token=TOKEN) as site:
        health = site.cameras[0].health
        assert [site.get(path).status for path in ("/healthz", "/readyz")] == [200, 503]
        site.publish()
        answers = [site.get(path) for path in ("/healthz", "/readyz")]
        assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok\n")] * 2
        health.lost("unplugged")
        answers = [site.get(path) for path in ("/healthz", "/readyz")]
        assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok\n"), (503, b"not ok\n")]
        health.stopped()
        assert site.get("/healthz").status == 503


def test_a_snapshot_is_the_newest_overlay_at_full_size(site: Site) -> None:
    site.publish()
    result = site.publish(width=1920, height=1080)
    answer = site.get("/snapshot.jpg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    picture = decode(answer.body)
    assert picture.shape == (1080, 1920, 3)
    assert cv2.PSNR(picture, result.overlay()) > 30
    bare = decode(site.get("/cameras/front/snapshot.jpg?opacity=0").body)
    assert bare.shape == (720, 1280, 3)
    assert cv2.PSNR(bare, cv2.resize(result.segmentation.frame.image, (1280, 720), interpolation=cv2.INTER_AREA)) > 30


def test_the_mask_holds_the_classes(site: Site) -> None:
    result = site.publish()
    answer = site.get("/cameras/front/mask.png")
    assert answer.headers["Content-Type"] == "image/png"
    read = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    colors = np.array([item.color_rgb[::-1] for item in result.segmentation.classes], np.uint8)
    np.testing.assert_array_equal(read, colors[enlarge_classes(result.segmentation)])


def test_a_viewer_sees_every_picture_it_keeps_up_with_and_how_old_it_is(site: Site) -> None:
    with Viewer(site.port) as viewer:
        site.wait_for_viewers(1)
        parts = viewer.parts()
        for _ in range(5):
            result = site.publish()
            head, body = next(parts)
            assert cv2.PSNR(decode(body), result.overlay()) > 30
            assert 0 <= int(head["x-age-ms"]) < 10_000
            assert int(head["x-time-ms"]) <= time.monotonic_ns() / 1e6


def test_many_viewers_cost_one_encoding_a_picture(site: Site) -> None:
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Viewer(site.port)).pictures() for _ in range(10)]
        site.wait_for_viewers(10)
        for _ in range(5):
            site.publish()
            for stream in streams:
                next(stream)
        site.publish()
        for stream in streams:
            next(stream)
        wait_until(lambda: site.state()["frames"]["in"] == 6)
        assert site.state()["pictures_encoded"] == 6


def test_a_look_of_ones_own_and_no_more_looks_than_the_machine_is_to_draw(site: Site) -> None:
    looks = ["/stream.mjpg", "/stream.mjpg?opacity=10", "/stream.mjpg?hide=road", "/stream.mjpg?hide=road,person"]
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Viewer(site.port, look)).pictures() for look in looks]
        site.wait_for_viewers(4)
        result = site.publish()
        shown = [next(stream) for stream in streams]
        assert len({picture.tobytes() for picture in shown}) == 4
        assert cv2.PSNR(shown[0], result.overlay()) > 30
        answer = site.get("/stream.mjpg?opacity=90")
        assert (answer.status, answer.body[:7]) == (503, b"4 looks")
    site.wait_for_viewers(0)
    assert site.get("/stream.mjpg?opacity=95").status == 400


def test_several_cameras_each_have_their_own_pictures() -> None:
    with Site("front", "rear") as site:
        site.cameras[0].publish(width=320, height=180)
        site.cameras[1].publish(width=160, height=90)
        assert [camera["name"] for camera in site.get("/api/state").json["cameras"]] == ["front", "rear"]
        shapes = [decode(site.get(f"/cameras/{name}/snapshot.jpg").body).shape for name in ("front", "rear")]
        assert shapes == [(180, 320, 3), (90, 160, 3)]
        assert decode(site.get("/snapshot.jpg").body).shape == (180, 320, 3), "the short address is the first camera's"
        with Viewer(site.port, "/cameras/rear/stream.mjpg") as viewer:
            assert next(viewer.pictures()).shape == (90, 160, 3)


def test_a_stalled_viewer_delays_neither_the_run_nor_the_others(site: Site) -> None:
    with Viewer(site.port, buffer=4096) as stalled, Viewer(site.port) as quick:
        site.wait_for_viewers(2)
        pictures = quick.pictures()
        for _ in range(60):
            # Large enough that a few of them fill every buffer on the way to the one that does not read.
            site.publish(width=1280, height=720)
            assert next(pictures).shape == (720, 1280, 3)
        site.publish(width=64, height=36)
        # It comes back: a few old pictures were on their way to it, then it is at the newest.
        old = list(itertools.takewhile(lambda picture: picture.shape != (36, 64, 3), stalled.pictures()))
        assert 1 <= len(old) < 8


def test_a_viewer_that_leaves_is_let_go_without_waiting_for_a_picture(site: Site) -> None:
    with Viewer(site.port):
        site.wait_for_viewers(1)
    site.wait_for_viewers(0)


def test_closing_ends_the_streams_and_frees_the_port() -> None:
    site = Site()
    with contextlib.ExitStack() as stack:
        with site:
            reading = stack.enter_context(Viewer(site.port))
            stack.enter_context(Viewer(site.port, buffer=4096))
            site.wait_for_viewers(2)
            port = site.port
            pictures = reading.pictures()
            for _ in range(20):
                site.publish(width=1280, height=720)
                assert next(pictures).shape == (720, 1280, 3)
        # The end of the stream, where one that was left open would time out.
        reading.file.read()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        again = stack.enter_context(socket.socket())
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_routes_of_others_are_answered_after_a_log_in() -> None:
    async def metrics(request: web.Request) -> web.StreamResponse:
        return web.Response(text="edgeseg_frames_total 7\n")

    with Site(routes=[web.get("/metrics", metrics)], token=TOKEN) as site:
        assert site.get("/metrics").status == 401
        answer = site.get("/metrics", {"Authorization": f"Bearer {TOKEN}"})
        assert (answer.status, answer.body) == (200, b"edgeseg_frames_total 7\n")


def make_page(address: Address, **options: object) -> LivePage:
    return LivePage(address, [Site().cameras[0].view], events=Events(), **options)  # type: ignore[arg-type]


def test_a_port_in_use_is_told_in_one_line(site: Site) -> None:
    with pytest.raises(SinkUnavailableError, match=f"http://127.0.0.1:{site.port}: the port is in use; ") as caught:
        make_page(Address(port=site.port)).__enter__()
    assert "\n" not in str(caught.value)


def test_an_address_of_another_machine_is_told_in_one_line() -> None:
    with pytest.raises(SinkUnavailableError, match=r"192\.0\.2\.1:0: this machine has no such address"):
        make_page(Address("192.0.2.1", 0), token=TOKEN).__enter__()


def test_a_host_that_can_be_none_is_told_in_one_line() -> None:
    page = make_page(Address("a..b", 8080), token=TOKEN)
    with pytest.raises(UsageError, match=r"http://a\.\.b:8080: 'a\.\.b' is no host name") as caught, page:
        pass
    assert "\n" not in str(caught.value)


def test_localhost_by_name() -> None:
    with Site(host="localhost") as site:
        assert site.get("/healthz").status == 200


def test_the_page_leaves_nothing_running_when_it_could_not_open(tmp_path: Path) -> None:
    page = make_page(Address(port=0), access=Access(token_file=tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="nowhere: the token cannot be read"):
        page.__enter__()
    page.__exit__(None, None, None)
