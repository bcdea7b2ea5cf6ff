"""One headless Chromium for a module's tests: starting one takes longer than most of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("EDGESEG_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


# Not for longer than a module: while playwright runs, no other test of the thread can run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: apt-get install chromium, or name one in EDGESEG_CHROMIUM")
    with playwright.sync_playwright() as started:
        # Chromium's own sandbox refuses to run as root, as CI does; it visits nothing but our page.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """open_page(url, **context options): a new tab; an error in its scripts or against its policy fails the test."""
    contexts, errors = [], []

    def open_(url: str, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda it: errors.append(it.text) if "Content Security Policy" in it.text else None)
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert errors == []
