"""Which corridor a camera goes by, and that what was drawn outlives the run."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from edgeseg.corridor import PathConfig, Polygon
from edgeseg.corridors import FILE_NAME, Corridors, find_state_folder
from edgeseg.events import Events
from edgeseg.sinks.path import PathSink

CONFIGURED: Polygon = ((0.2, 1.0), (0.5, 0.5), (0.8, 1.0))
DRAWN: Polygon = ((0.1, 0.9), (0.4, 0.4), (0.9, 0.9))


def make(folder: Path | None, events: Events | None = None) -> Corridors:
    """Two cameras, of which the first has a configured corridor."""
    events = events or Events()
    made = Corridors({name: PathSink(PathConfig(), events, name) for name in ("front", "rear")}, folder, events)
    made.configure("front", PathConfig(corridor=CONFIGURED, begin_area=0.3))
    made.configure("rear", PathConfig())
    return made


def polygons(corridors: Corridors) -> dict[str, tuple[Polygon | None, bool]]:
    return {name: (it.corridor, it.drawn) for name, it in corridors.snapshot().items()}


def test_what_is_drawn_goes_first_is_told_and_is_known_to_the_next_run(tmp_path: Path) -> None:
    events = Events()
    corridors = make(tmp_path / "state", events)
    assert polygons(corridors) == {"front": (CONFIGURED, False), "rear": (None, False)}
    corridors.draw("front", DRAWN)
    assert polygons(corridors)["front"] == (DRAWN, True)
    assert [(it.kind, it.camera, it.details) for it in events.recent()] == [
        ("corridor_drawn", "front", {"corridor": [list(point) for point in DRAWN]})
    ]
    assert polygons(make(tmp_path / "state")) == {"front": (DRAWN, True), "rear": (None, False)}


def test_the_rest_of_the_configuration_still_holds(tmp_path: Path) -> None:
    events = Events()
    path = PathSink(PathConfig(), events, "front")
    corridors = Corridors({"front": path}, None, events)
    corridors.configure("front", PathConfig(corridor=CONFIGURED, begin_area=0.3))
    corridors.draw("front", DRAWN)
    assert (path.config.corridor, path.config.begin_area) == (DRAWN, 0.3)
    corridors.configure("front", PathConfig(corridor=CONFIGURED, begin_area=0.2))
    assert (path.config.corridor, path.config.begin_area) == (DRAWN, 0.2), "a new configuration leaves it drawn"


def test_it_can_be_taken_back(tmp_path: Path) -> None:
    events = Events()
    corridors = make(tmp_path, events)
    corridors.draw("front", DRAWN)
    corridors.draw("rear", DRAWN)
    corridors.draw("front", None)
    corridors.draw("front", None)
    assert polygons(corridors) == {"front": (CONFIGURED, False), "rear": (DRAWN, True)}
    assert [it.kind for it in events.recent()] == ["corridor_drawn", "corridor_drawn", "corridor_reset"]
    assert polygons(make(tmp_path)) == {"front": (CONFIGURED, False), "rear": (DRAWN, True)}


def test_without_a_folder_it_lasts_as_long_as_the_run() -> None:
    corridors = make(None)
    corridors.draw("rear", DRAWN)
    assert polygons(corridors)["rear"] == (DRAWN, True)
    assert not corridors.kept
    assert polygons(make(None))["rear"] == (None, False)


def test_what_cannot_be_kept_changes_nothing(tmp_path: Path) -> None:
    corridors = make(tmp_path / "file" / "state")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError):
        corridors.draw("front", DRAWN)
    assert polygons(corridors)["front"] == (CONFIGURED, False)


@pytest.mark.parametrize("content", ["", "[]", '{"corridors": 3}', '{"corridors": {"front": [[0, 0]]}}', "\xff"])
def test_a_damaged_file_is_told_and_the_next_drawing_mends_it(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content.encode("latin-1"))
    corridors = make(tmp_path)
    assert polygons(corridors)["front"] == (CONFIGURED, False)
    assert caplog.messages == [
        f"{tmp_path / FILE_NAME}: is damaged, so the paths are the configured ones; draw them anew"
    ]
    corridors.draw("front", DRAWN)
    assert json.loads((tmp_path / FILE_NAME).read_text())["corridors"]["front"] == [list(it) for it in DRAWN]
    assert [it.name for it in tmp_path.iterdir()] == [FILE_NAME]


def test_a_disk_that_hangs_holds_up_nobody_but_who_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corridors = make(tmp_path)
    reached, answered = threading.Event(), threading.Event()

    def hang(path: Path) -> None:
        reached.set()
        assert answered.wait(20)

    monkeypatch.setattr("edgeseg.corridors.flush_to_disk", hang)
    drawing = threading.Thread(target=corridors.draw, args=("front", DRAWN), daemon=True)
    drawing.start()
    assert reached.wait(20)
    asking = threading.Thread(
        target=lambda: (corridors.snapshot(), corridors.configure("rear", PathConfig())), daemon=True
    )
    asking.start()
    asking.join(5)
    assert not asking.is_alive()
    assert polygons(corridors)["front"] == (CONFIGURED, False)
    answered.set()
    drawing.join(20)
    assert polygons(corridors)["front"] == (DRAWN, True)


def test_the_state_folder_is_the_configured_one_or_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    assert find_state_folder(None) is None
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edgeseg:/var/lib/more")
    assert find_state_folder(None) == Path("/var/lib/edgeseg")
    assert find_state_folder(Path("/data")) == Path("/data")
