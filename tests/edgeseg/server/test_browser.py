"""The live page in a real browser: the picture moves, the numbers change, and a lost run comes back by itself."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeseg.health import Health
from edgeseg.metrics import Metrics
from edgeseg.server.address import Address
from edgeseg.server.page import LivePage
from edgeseg.sinks import mp4
from edgeseg.sinks.video import VideoSink
from tests.edgeseg.results import make_drive, make_result, write_all

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("EDGESEG_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

#: The sum of the picture's pixels, as the browser shows it.
PICTURE_SUM = """() => {
    const picture = document.getElementById("picture");
    if (!picture.naturalWidth) return 0;
    const canvas = Object.assign(document.createElement("canvas"), {width: 160, height: 90});
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0, 160, 90);
    return context.getImageData(0, 0, 160, 90).data.reduce((sum, value, i) => (sum + value * (i % 977)) % 1e9, 0);
}"""


class Drive:
    """A run with a live page, at 20 pictures a second, until it is stopped."""

    def __init__(self, port: int = 0) -> None:
        self.metrics, self.health = Metrics(source="highway.mp4"), Health(stall_after_s=1.0)
        self.page = LivePage(Address(port=port), metrics=self.metrics, health=self.health)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def _publish(self) -> None:
        index = 0
        while not self._stop.wait(0.05):
            result = make_result(index, width=640, height=360)
            self.metrics.count_captured(0, 1.0)
            self.metrics.count_segmented(result.segmentation, result.finished_ns)
            self.health.progressed(result.captured_ns)
            self.page.write(result)
            index += 1

    def __enter__(self) -> Drive:
        self.page.__enter__()
        self._thread.start()
        return self

    def stop_pictures(self) -> None:
        self._stop.set()
        self._thread.join()

    def __exit__(self, *_: object) -> None:
        self.stop_pictures()
        self.page.__exit__(None, None, None)


@pytest.fixture(scope="module")
def open_page() -> Iterator[Callable[..., Page]]:
    """open_page(url, **context options): a new tab of a headless Chromium, its errors collected in `page.errors`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: apt-get install chromium, or name one in EDGESEG_CHROMIUM")
    with playwright.sync_playwright() as started:
        # Chromium's own sandbox refuses to run as root, as CI does; it visits nothing but our page.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def open_(url: str, **options: object) -> Page:
            page: Page = browser.new_context(**options).new_page()
            page.errors = []  # type: ignore[attr-defined]
            page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
            page.goto(url)
            return page

        yield open_
        browser.close()


def _texts(page: Page, *ids: str) -> list[str]:
    return [page.locator(f"#{name}").inner_text() for name in ids]


def test_the_picture_moves_and_the_numbers_change(open_page: Callable[..., Page]) -> None:
    with Drive() as drive:
        page = open_page(drive.page.url)
        page.wait_for_selector("#state[data-state=running]")
        page.wait_for_function(f"() => ({PICTURE_SUM})() > 0")
        first = page.evaluate(PICTURE_SUM)
        page.wait_for_function(f"() => ({PICTURE_SUM})() !== {first}")
        frames = page.locator("#frames-in").inner_text()
        page.wait_for_function(f"() => document.getElementById('frames-in').innerText !== '{frames}'")
        page.wait_for_function("() => parseFloat(document.getElementById('fps').innerText) > 5")
        assert _texts(page, "source", "model", "viewers") == ["highway.mp4", "4.5", "1"]
        assert page.locator("#veil").is_hidden()
        assert float(page.locator("#age").inner_text()) >= 0
        assert page.locator("#trace-line").get_attribute("d", timeout=10_000)
        assert page.errors == []  # type: ignore[attr-defined]
        page.context.close()


def test_the_classes_have_the_colours_of_the_picture(open_page: Callable[..., Page]) -> None:
    with Drive() as drive:
        page = open_page(drive.page.url)
        page.wait_for_selector("#classes li[data-name=road]")
        rows = page.locator("#classes li")
        assert rows.evaluate_all("rows => rows.map(row => row.dataset.name)") == ["other", "road", "vehicle", "person"]
        road = page.locator("#classes li[data-name=road]")
        assert road.locator("i").evaluate("swatch => getComputedStyle(swatch).backgroundColor") == "rgb(38, 190, 120)"
        page.wait_for_function(
            "() => parseFloat(document.querySelector('#classes li[data-name=road] b').innerText) > 20"
        )
        page.context.close()


def test_a_run_that_stalls_or_goes_away_is_told_and_comes_back(open_page: Callable[..., Page]) -> None:
    with Drive() as drive:
        page = open_page(drive.page.url)
        page.wait_for_selector("#state[data-state=running]")
        drive.stop_pictures()
        page.wait_for_selector("#state[data-state=stalled]")
        assert "No new picture for" in page.locator("#veil").inner_text()
        port = int(drive.page.url.rpartition(":")[2])
    page.wait_for_selector("#state[data-state=lost]")
    assert "Trying again" in page.locator("#veil").inner_text()
    with Drive(port):
        page.wait_for_selector("#state[data-state=running]")
        assert page.locator("#veil").is_hidden()
        before = page.evaluate(PICTURE_SUM)
        page.wait_for_function(f"() => ({PICTURE_SUM})() !== {before}")
        page.context.close()


@pytest.mark.parametrize("most_index_first", [mp4.MOST_INDEX_FIRST, 0], ids=["short", "long, in fragments"])
def test_a_recording_plays_in_the_browser(
    open_page: Callable[..., Page], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_index_first: int
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
    page.context.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_fits_a_phone_in_dark_and_light(open_page: Callable[..., Page], scheme: str, tmp_path: Path) -> None:
    with Drive() as drive:
        page = open_page(drive.page.url, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        page.wait_for_selector("#state[data-state=running]")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        picture, panel = page.locator("#picture").bounding_box(), page.locator("#panel").bounding_box()
        assert picture is not None
        assert panel is not None
        assert picture["width"] == 360
        assert panel["y"] >= picture["y"] + picture["height"]
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        brightness = sum(int(part) for part in ground.removeprefix("rgb(").removesuffix(")").split(","))
        assert (brightness > 600) == (scheme == "light")
        page.context.close()
