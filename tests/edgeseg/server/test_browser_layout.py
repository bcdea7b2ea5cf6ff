"""The live page fits every screen, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.edgeseg.server.live import Drive, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page
from tests.edgeseg.server.seen import OpenPage, wait_for_kind, wait_until_it_moves

pytestmark = pytest.mark.browser


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
