"""The live page in a real browser: it moves, can be changed, says when a camera is lost, and comes back by itself."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from edgeseg.server.access_config import Access
from edgeseg.server.passwords import PasswordHash
from tests.edgeseg.server.live import Drive, Site, Viewer
from tests.edgeseg.server.seen import OpenPage, text_of, wait_for_color, wait_for_kind, wait_until_it_moves

pytestmark = pytest.mark.browser


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
