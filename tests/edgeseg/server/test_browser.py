"""The live page in a real browser: it moves, can be changed, says when a camera is lost, and comes back by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from edgeseg.corridors import FILE_NAME
from edgeseg.server.access_config import Access
from edgeseg.server.passwords import PasswordHash
from edgeseg.sinks import mp4
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.results import make_drive, write_all
from tests.edgeseg.server.live import Drive, PathSite, Site, Viewer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

OpenPage = Callable[..., "Page"]

#: What the browser shows of a camera: how different it is from one moment to another (sum), and its mean colours in
#: three places of the made-up drive (results.py): the road in the middle below, the person on the right, the sky.
LOOK_AT = """(name) => {
    const picture = document.querySelector(`.camera[data-name="${name}"] .picture:not([hidden])`);
    const canvas = Object.assign(document.createElement("canvas"), {width: 160, height: 90});
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0, 160, 90);
    const mean = (x, y) => [...context.getImageData(x, y, 2, 2).data].slice(0, 3);
    const all = context.getImageData(0, 0, 160, 90).data;
    return {
        sum: all.reduce((sum, value, i) => (sum + value * (i % 977)) % 1e9, 0),
        road: mean(80, 84), person: mean(144, 60), sky: mean(80, 10),
    };
}"""


def see(page: Page, name: str = "front") -> dict[str, object]:
    return dict(page.evaluate(LOOK_AT, name))


def wait_until_it_moves(page: Page, name: str = "front") -> None:
    before = see(page, name)["sum"]
    page.wait_for_function(f"([name, before]) => ({LOOK_AT})(name).sum !== before", arg=[name, before])


def wait_for_color(page: Page, place: str, color: tuple[int, int, int], name: str = "front") -> None:
    """Waits until a place of the picture (RGB) has this colour, as nearly as JPEG keeps it."""
    page.wait_for_function(
        f"([name, place, color]) => ({LOOK_AT})(name)[place].every((it, i) => Math.abs(it - color[i]) < 14)",
        arg=[name, place, color],
    )


def wait_for_kind(page: Page, kind: str, name: str = "front") -> None:
    page.wait_for_selector(f'.camera[data-name="{name}"][data-kind="{kind}"]')


def text_of(page: Page, selector: str) -> str:
    return page.locator(selector).inner_text()


def test_one_camera_and_what_can_be_changed(open_page: OpenPage) -> None:
    with Site() as site, Drive(site.cameras[0]):
        page = open_page(site.page.url)
        wait_for_kind(page, "live")
        wait_until_it_moves(page)
        frames = text_of(page, "#frames-in")
        page.wait_for_function(f"() => document.getElementById('frames-in').innerText !== '{frames}'")
        page.wait_for_function("() => parseFloat(document.getElementById('fps').innerText) > 2")
        assert [text_of(page, f"#{name}") for name in ("source", "model", "viewers")] == ["front.mp4", "4.5", "1"]
        assert float(text_of(page, "#age")) >= 0
        assert page.locator(".veil").is_hidden()
        assert page.locator("#temperature").is_hidden(), "it is not known"
        assert text_of(page, "#remarks") == ""
        site.cameras[0].health.remarks = ("does less: rung 1 of 3", "recording paused: no room")
        page.wait_for_function("() => document.querySelectorAll('#remarks p').length === 2")
        site.cameras[0].health.remarks = ()
        page.wait_for_function("() => document.querySelectorAll('#remarks p').length === 0")
        assert page.locator("#classes li").evaluate_all("rows => rows.map(row => row.dataset.name)") == [
            "road",
            "vehicle",
            "person",
        ]
        page.wait_for_function("() => parseFloat(document.querySelector('#classes [data-name=road] b').innerText) > 20")
        # Half the grey of the road (BGR 90, 90, 90), half the class's green; the person likewise.
        wait_for_color(page, "road", (64, 140, 105))
        wait_for_color(page, "person", (227, 150, 70))
        # By keyboard, as a switch is used.
        switch = page.get_by_role("switch", name="person")
        switch.focus()
        page.keyboard.press("Space")
        wait_for_color(page, "person", (200, 150, 120))
        wait_for_color(page, "road", (64, 140, 105))
        slider = page.get_by_role("slider", name="Opacity")
        slider.fill("100")
        wait_for_color(page, "road", (38, 190, 120))
        assert text_of(page, "#opacity-value") == "100 %"
        # How sure the model is, in place of the classes: as sure of one as of the other.
        page.get_by_role("combobox", name="Show").select_option("confidence")
        wait_for_color(page, "road", (252, 172, 18))
        wait_for_color(page, "person", (252, 172, 18))
        page.get_by_role("combobox", name="Show").select_option("classes")
        # A reload finds what was chosen and the minutes before it.
        page.reload()
        wait_for_color(page, "road", (38, 190, 120))
        wait_for_color(page, "person", (200, 150, 120))
        assert not page.get_by_role("switch", name="person").is_checked()
        page.wait_for_selector("#classes [data-name=road] svg[aria-label*='last 5 minutes']")
        page.wait_for_function("() => document.querySelector('#classes [data-name=road] .line').getAttribute('d')")
        assert site.state()["pictures_encoded"] > 5
        # A picture that is no good is told as what it is: it is a live one.
        site.cameras[0].health.judged("covered")
        wait_for_kind(page, "bad")
        assert text_of(page, ".badges") == "The lens is covered"
        assert text_of(page, "#announcer") == "front: The lens is covered"
        assert page.locator(".veil").is_hidden()
        site.cameras[0].health.judged("ok")
        wait_for_kind(page, "live")
        assert text_of(page, ".badges") == ""


def test_looks_beyond_what_the_machine_draws_are_told_and_the_runs_own_is_shown(open_page: OpenPage) -> None:
    with Site() as site, Drive(site.cameras[0]), ExitStack() as stack:
        for look in ("opacity=10", "opacity=20", "opacity=30"):
            stack.enter_context(Viewer(site.port, f"/stream.mjpg?{look}"))
        site.wait_for_viewers(3)
        page = open_page(f"{site.page.url}#front?opacity=90")
        page.wait_for_function("() => document.getElementById('notice').innerText.startsWith('4 looks')")
        wait_for_color(page, "road", (64, 140, 105))
        assert page.get_by_role("slider", name="Opacity").input_value() == "50"


def test_two_cameras_of_which_one_is_lost_and_comes_back(open_page: OpenPage) -> None:
    with Site("front", "rear") as site, Drive(site.cameras[0]), Drive(site.cameras[1]) as rear:
        page = open_page(site.page.url)
        for name in ("front", "rear"):
            wait_for_kind(page, "live", name)
            wait_until_it_moves(page, name)
        assert text_of(page, "#source") == "2 cameras"
        rear.lose("rear.mp4: no such device")
        wait_for_kind(page, "lost", "rear")
        tile = page.locator('.camera[data-name="rear"]')
        assert tile.locator(".veil strong").inner_text().startswith("No signal for")
        assert "no such device" in tile.locator(".veil").inner_text()
        assert "grayscale" in tile.locator("canvas").evaluate("it => getComputedStyle(it).filter")
        assert text_of(page, "#announcer") == "rear: no signal"
        page.wait_for_function("() => document.getElementById('link').innerText === '1 of 2 live'")
        # It counts up, and the other camera goes on.
        seconds = tile.locator(".veil strong").inner_text()
        page.wait_for_function(
            "before => document.querySelector('[data-name=rear] .veil strong').innerText !== before", arg=seconds
        )
        wait_until_it_moves(page, "front")
        assert "no such device" in text_of(page, "#events li:first-child")
        # Enlarged with the keyboard, and back.
        page.get_by_role("link", name="Enlarge rear").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("body[data-mode=one]")
        assert page.locator('.camera[data-name="front"]').is_hidden()
        assert page.evaluate("document.activeElement.innerText") == "← All cameras"
        assert text_of(page, "#fps") == "–"
        rear.bring_back()
        wait_for_kind(page, "live", "rear")
        wait_until_it_moves(page, "rear")
        assert tile.locator(".veil").is_hidden()
        assert text_of(page, "#reconnects") == "1"
        page.keyboard.press("Escape")
        page.wait_for_selector("body[data-mode=all]")
        assert page.evaluate("document.activeElement.ariaLabel") == "Enlarge rear"
        wait_until_it_moves(page, "front")


def test_a_run_that_stalls_or_goes_away_is_told_and_comes_back(open_page: OpenPage) -> None:
    with Site(stall_after_s=1.0) as site:
        with Drive(site.cameras[0]) as drive:
            page = open_page(site.page.url)
            wait_for_kind(page, "live")
            drive.paused.set()
            wait_for_kind(page, "stalled")
            assert "No new picture for" in text_of(page, ".veil strong")
        port = site.port
    wait_for_kind(page, "away")
    assert "Trying again" in text_of(page, ".veil strong")
    with Site(port=port) as site, Drive(site.cameras[0]):
        wait_for_kind(page, "live")
        assert page.locator(".veil").is_hidden()
        wait_until_it_moves(page)


def test_logging_in_and_out(open_page: OpenPage) -> None:
    access = Access(users={"viewer": str(PasswordHash.make("correct horse", 4))})
    with Site(access=access) as site, Drive(site.cameras[0]):
        page = open_page(site.page.url)
        assert page.url == f"{site.page.url}/login"
        page.get_by_label("Name").fill("viewer")
        page.get_by_label("Password").fill("wrong horse")
        page.get_by_role("button", name="Log in").click()
        assert page.get_by_role("alert").inner_text() == "Name or password is wrong."
        page.get_by_label("Name").fill("viewer")
        page.get_by_label("Password").fill("correct horse")
        page.keyboard.press("Enter")
        wait_for_kind(page, "live")
        wait_until_it_moves(page)
        assert page.evaluate("document.cookie") == "", "no script can read the session"
        # The key is changed while the page is open: it goes back to the log-in by itself.
        site.page.use_access(Access(users={"viewer": str(PasswordHash.make("a new password", 4))}))
        page.wait_for_url("**/login")
        page.get_by_label("Name").fill("viewer")
        page.get_by_label("Password").fill("a new password")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")


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


def brightness_of(page: Page) -> int:
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    return sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(","))


def test_it_fits_a_phone_in_dark_and_light_and_has_a_name_for_everything(open_page: OpenPage) -> None:
    with Site("front", "rear") as site, Drive(site.cameras[0]), Drive(site.cameras[1]):
        phone = {"width": 360, "height": 740}
        page = open_page(f"{site.page.url}#front", viewport=phone, color_scheme="dark", reduced_motion="reduce")
        wait_for_kind(page, "live")
        wait_until_it_moves(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        picture, panel = (
            page.locator('[data-name="front"] canvas').bounding_box(),
            page.locator("#panel").bounding_box(),
        )
        assert picture is not None
        assert panel is not None
        assert picture["width"] >= 356
        assert panel["y"] >= picture["y"] + picture["height"]
        # Each switch is large enough for a thumb.
        rows = page.locator("#classes label").evaluate_all(
            "rows => rows.map(row => row.getBoundingClientRect().height)"
        )
        assert min(rows) >= 28
        assert brightness_of(page) < 100
        page.emulate_media(color_scheme="light")
        assert brightness_of(page) > 600
        # For who cannot see it.
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll("a, button, input, canvas, svg, [tabindex='0']")]
                .filter((it) => it.checkVisibility() && !it.matches("[aria-hidden] *"))
                .filter((it) => !(it.textContent.trim() || it.labels?.length || it.getAttribute("aria-label")
                                  || it.getAttribute("aria-labelledby")))
                .map((it) => it.outerHTML)"""
        )
        assert unnamed == []
        assert page.locator("#announcer").get_attribute("aria-live") == "polite"
        assert page.evaluate("getComputedStyle(document.querySelector('.pill'), '::before').animationName") == "none"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"


def test_an_upright_picture_stretches_nothing_and_nothing_sticks_out(open_page: OpenPage) -> None:
    with Site("front", "upright") as site, Drive(site.cameras[0]):
        site.cameras[1].publish(width=180, height=320)
        page = open_page(site.page.url, viewport={"width": 1280, "height": 800})
        wait_for_kind(page, "live")
        wait_until_it_moves(page)
        page.wait_for_function("document.querySelector('[data-name=upright] canvas').height === 320")
        front, upright = (page.locator(f'[data-name="{name}"] .frame').bounding_box() for name in ("front", "upright"))
        assert front is not None
        assert upright is not None
        assert (upright["y"], upright["height"]) == (front["y"], pytest.approx(front["height"], abs=1))
        assert front["height"] == pytest.approx(front["width"] * 9 / 16, abs=1)
        sticking_out = page.evaluate(
            """() => {
                const right = document.querySelector("#panel").getBoundingClientRect().right;
                return [...document.querySelectorAll("#panel *")]
                    .filter((it) => it.checkVisibility() && it.getBoundingClientRect().right > right)
                    .map((it) => it.outerHTML);
            }"""
        )
        assert sticking_out == []


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


def test_a_path_is_drawn_by_mouse_and_by_keyboard_and_kept(open_page: OpenPage, tmp_path: Path) -> None:
    def read() -> list[list[float]]:
        return list(json.loads((tmp_path / FILE_NAME).read_text())["corridors"]["front"])

    with PathSite(tmp_path) as site, Drive(site.cameras[0]):
        page = open_page(site.page.url)
        wait_for_kind(page, "live")
        page.get_by_role("button", name="Draw the path").click()
        # From the lower left one, clockwise: it is shown where it will be.
        picture = page.locator(".picture:not([hidden])").bounding_box()
        assert picture is not None
        second = page.get_by_role("button", name="Corner 2 of 4")
        box = second.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] / 2 == pytest.approx(picture["x"] + 0.44 * picture["width"], abs=1)
        assert box["y"] + box["height"] / 2 == pytest.approx(picture["y"] + 0.55 * picture["height"], abs=1)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(picture["x"] + 0.3 * picture["width"], picture["y"] + 0.4 * picture["height"], steps=4)
        page.mouse.up()
        page.get_by_role("button", name="Corner 3 of 4").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Shift+ArrowUp")
        page.get_by_role("button", name="Add a corner after corner 4").focus()
        page.keyboard.press("Enter")
        assert text_of(page, "#path-state") == "No path is drawn, so nobody can be in it."
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("#path-state:text('Nobody is in the path')")
        drawn = read()
        assert drawn[0] == [0.2, 1]
        assert drawn[1] == pytest.approx([0.3, 0.4], abs=0.01)
        assert drawn[2:] == [[0.57, 0.5], [0.8, 1], [0.5, 1]]
        assert yaml.safe_load(text_of(page, "#path-line")) == {"corridor": drawn}
        # The other pages learn of it by the event, and a reload finds it.
        page.wait_for_selector("#events :text('the path was drawn anew')")
        page.reload()
        page.get_by_role("button", name="Change the path").click()
        page.get_by_role("button", name="Corner 5 of 5").press("Delete")
        # What crosses itself is refused, and is still there to be mended.
        for _ in range(4):
            page.get_by_role("button", name="Corner 1 of 4").press("Shift+ArrowUp")
        for _ in range(14):
            page.get_by_role("button", name="Corner 1 of 4").press("Shift+ArrowRight")
        page.get_by_role("button", name="Save").click()
        page.wait_for_selector("#path-notice:text('The path crosses or touches itself')")
        assert read() == drawn
        page.keyboard.press("Escape")
        assert page.locator(".corner").count() == 0
        page.get_by_role("button", name="Remove what was drawn").click()
        page.get_by_role("button", name="Draw the path").wait_for()
        assert json.loads((tmp_path / FILE_NAME).read_text()) == {"corridors": {}}


def test_who_is_in_the_path_is_said(open_page: OpenPage, tmp_path: Path) -> None:
    with PathSite(tmp_path) as site, site.path:
        # All of the picture; a person is in it from the first one on.
        site.corridors.draw("front", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
        page = open_page(site.page.url)
        with Drive(site.cameras[0], [site.path]):
            page.wait_for_selector("#path-state:text('A person is in the path')")
            assert page.locator('.corridor[data-inside="true"]').count() == 1
            outline = page.locator(".corridor polygon")
            assert outline.is_visible()
            # Over what is said instead of a picture it would only be in the way.
            site.cameras[0].health.lost("unplugged")
            page.wait_for_selector(".veil:not([hidden])")
            assert not outline.is_visible()
            site.cameras[0].health.back()
            page.wait_for_selector(".veil", state="hidden")
            assert outline.is_visible()
