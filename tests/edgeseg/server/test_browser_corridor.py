"""The corridor is drawn on the live page in a real browser, and who is in it is said there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from edgeseg.corridors import FILE_NAME
from tests.edgeseg.server.live import Drive, PathSite
from tests.edgeseg.server.seen import OpenPage, text_of, wait_for_kind

pytestmark = pytest.mark.browser


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
