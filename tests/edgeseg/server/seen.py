"""What a browser shows of the live page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


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
