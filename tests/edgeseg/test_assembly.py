"""Assembly: what a configuration becomes, and what of it changes in mid-run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from edgeseg.assembly import Assembly
from edgeseg.classes import CLASSES
from edgeseg.config import Config
from edgeseg.errors import ConfigError, InputNotFoundError, ModelError, UsageError
from edgeseg.model_card import CardClass
from edgeseg.offline import Choices, OfflineJob
from edgeseg.summary import Summary


def make(**values: object) -> Config:
    return Config.model_validate(values)


TWO = {"front": {"source": "synthetic:128x96@30"}, "rear": {"source": "synthetic:96x128@30", "rotate": 90}}


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Running:
    """An assembly that runs in a thread of its own while the block lasts."""

    def __init__(self, config: Config) -> None:
        self.assembly = Assembly(config)
        self.summaries: list[Summary] = []
        self._thread = Thread(target=lambda: self.summaries.extend(self.assembly.run()))

    def __enter__(self) -> Running:
        self._thread.start()
        wait_for(lambda: all(lane.metrics.summary().segmented for lane in self.assembly.lanes.values()))
        return self

    def __exit__(self, *exception: object) -> None:
        self.assembly.stop()
        self._thread.join()


def test_two_cameras_share_a_segmenter_and_each_has_its_outputs(tmp_path: Path) -> None:
    with Running(make(cameras=TWO, output={"save": [f"{tmp_path}/{{camera}}.jsonl"]})) as running:
        wait_for(lambda: all(lane.metrics.summary().segmented > 5 for lane in running.assembly.lanes.values()))
    for name, summary in zip(TWO, running.summaries, strict=True):
        written = (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(written) == summary.sinks[f"{tmp_path}/{name}.jsonl"]["written"] > 5
        assert summary.source == TWO[name]["source"]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "no source"),
        ({"cameras": TWO, "output": {"save": ["out.mp4"]}}, "put {camera} into the name"),
        ({"cameras": TWO, "output": {"window": True}}, "shows a single camera"),
        ({"source": "synthetic:", "output": {"save": ["a.jsonl", "./a.jsonl"]}}, "is given twice"),
        ({"source": "drive.mp4.part", "output": {"save": ["drive.mp4"]}}, "would write over the source"),
        ({"source": "drive.mp4", "output": {"save": ["drive.mp4"]}}, "is the source itself"),
    ],
)
def test_what_cannot_be_put_together_is_told(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Assembly(make(**values))


def test_what_can_change_in_mid_run_changes_and_the_rest_is_named() -> None:
    cameras = {**TWO, "front": {"source": "synthetic:64x64@30"}}
    with Running(make(cameras=TWO)) as running:
        assembly = running.assembly
        fusion = assembly.lanes["front"].fusion
        changes = assembly.change(
            make(
                cameras=cameras,
                model={"threads": 2},
                overlay={"opacity": 0.1},
                max_age="20s",
                output={"save": ["x.jsonl"]},
                log={"interval": "1m"},
            )
        )
        assert changes.applied == ["cameras.front", "model", "overlay", "max_age"]
        assert changes.later == ["output", "log.interval"]
        assert assembly.lanes["front"].fusion is fusion
        limit = assembly.lanes["rear"].age_limit
        assert limit is not None
        assert (limit.max_age_ms, limit.drop) == (20_000, False)
        wait_for(lambda: assembly.lanes["front"].source.name == "synthetic:64x64@30")
        before = assembly.lanes["front"].metrics.summary().segmented
        wait_for(lambda: assembly.lanes["front"].metrics.summary().segmented > before + 5)

        changes = assembly.change(make(cameras={"front": cameras["front"]}, fusion={"enabled": False}))
        assert "cameras" in changes.later
        assert "fusion" in changes.applied
        assert assembly.lanes["rear"].fusion is None


def test_a_camera_that_waits_for_a_start_may_be_changed_meanwhile() -> None:
    with Assembly(make(cameras=TWO)) as assembly:
        for source in ("synthetic:64x64@30", "synthetic:64x64@5"):
            changes = assembly.change(make(cameras={**TWO, "top": {"source": source}}))
            assert (changes.applied, changes.later) == ([], ["cameras"])
        rear = {**TWO["rear"], "person_in_path": {"corridor": [[0, 1], [0.5, 0.5], [1, 1]]}}
        changes = assembly.change(make(cameras={"front": TWO["front"], "rear": rear}))
        assert (changes.applied, changes.later) == (["cameras.rear.person_in_path"], [])
        assert list(assembly.lanes) == ["front", "rear"]


def test_a_file_that_is_none_does_not_take_the_place_of_a_source_that_runs(tmp_path: Path) -> None:
    with Running(make(source="synthetic:128x96@30")) as running:
        for missing in ("none.mp4", "none.jpg"):
            with pytest.raises(InputNotFoundError, match=missing):
                running.assembly.change(make(source=str(tmp_path / missing)))
        assert running.assembly.lanes["camera"].source.name == "synthetic:128x96@30"
    assert running.summaries[0].segmented


def test_a_token_that_is_another_one_in_the_same_file_is_taken_over(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("the-first-of-two-tokens")
    token.chmod(0o600)
    config = make(source="synthetic:128x96@30", http={"address": "127.0.0.1:0", "token_file": str(token)})

    def ask(secret: str) -> int:
        assert running.assembly.page is not None
        request = Request(f"{running.assembly.page.url}/api/state", headers={"Authorization": f"Bearer {secret}"})
        try:
            with urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code

    with Running(config) as running:
        assert [ask("the-first-of-two-tokens"), ask("the-second-of-two-tokens")] == [200, 401]
        token.write_text("the-second-of-two-tokens")
        running.assembly.change(config)
        assert [ask("the-first-of-two-tokens"), ask("the-second-of-two-tokens")] == [401, 200]
        # A file that is gone is told, and keeps nothing else from being taken over.
        token.unlink()
        assert running.assembly.change(config.model_copy(update={"max_age": 1.0})).applied == ["max_age"]
        (event,) = (it for it in running.assembly.events.recent() if it.kind == "config_refused")
        assert "http: stays as it was" in event.text
        assert ask("the-second-of-two-tokens") == 200
        with pytest.raises(ConfigError, match="the token cannot be read"):
            running.assembly.change(
                config.model_copy(update={"http": config.http.model_copy(update={"hosts": ("other",)})})
            )


def test_that_misses_are_not_blurred_is_said_plainly(caplog: pytest.LogCaptureFixture) -> None:
    said = "people are blurred where the model sees them; whoever it misses is not"
    with Running(make(source="synthetic:128x96@30")) as running:
        assert said not in caplog.text
        running.assembly.change(make(source="synthetic:128x96@30", privacy="blur_people"))
        running.assembly.change(make(source="synthetic:128x96@30", privacy="blur_people", max_age="1s"))
        assert caplog.text.count(said) == 1
    caplog.clear()
    with Running(make(source="synthetic:128x96@30", privacy="blur_people")):
        assert caplog.text.count(said) == 1


def test_a_picture_from_before_people_were_blurred_is_shown_no_more() -> None:
    config: dict[str, object] = {"source": "synthetic:128x96@0.1", "http": {"address": "127.0.0.1:0"}}
    with Running(make(**config)) as running:
        (view,) = running.assembly._views
        wait_for(lambda: view.feed.newest)
        running.assembly.change(make(**config, privacy="blur_people"))
        assert view.feed.newest is None


def test_people_are_not_blurred_by_a_model_that_knows_none(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    model = make_model(tmp_path / "three.tflite", "three-classes", classes=[CardClass.of(it) for it in CLASSES[:3]])
    plain: dict[str, object] = {"source": "synthetic:128x96@30", "model": {"path": str(model)}}
    with pytest.raises(ModelError, match="cannot blur people: the model knows other, road, vehicle"):
        Assembly(make(**plain, privacy="blur_people"))
    with Assembly(make(**plain)) as assembly:
        with pytest.raises(ModelError, match="cannot blur people"):
            assembly.change(make(**plain, privacy="blur_people", max_age="1s"))
        assert assembly.lanes["camera"].age_limit is None


def test_a_model_that_cannot_be_had_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"no model")
    config = make(source="synthetic:64x64@30")
    with Assembly(config) as assembly:
        with pytest.raises(Exception, match=r"bad\.tflite"):
            assembly.change(
                make(source="synthetic:64x64@30", max_age="1s", model={"path": str(tmp_path / "bad.tflite")})
            )
        assert assembly.config is config
        assert assembly.lanes["camera"].age_limit is None


@pytest.mark.slow
def test_the_same_clip_tells_the_same_of_people_in_the_path_live_and_offline(tmp_path: Path) -> None:
    clip = Path(__file__).parents[1] / "data" / "carpark" / "carpark.mp4"
    path = {"corridor": [[0.3, 0], [0.5, 0], [0.5, 0.25], [0.3, 0.25]]}
    config = make(source=str(clip), person_in_path=path, output={"save": [str(tmp_path / "live.jsonl")]})
    with Assembly(config) as assembly:
        assembly.run()
    times_s = [json.loads(line)["time_s"] for line in (tmp_path / "live.jsonl").read_text("utf-8").splitlines()]
    # A busy machine leaves frames out.
    longest_gap_s = max(later - earlier for earlier, later in pairwise(times_s))
    live = [event.details for event in assembly.events.recent() if event.kind == "person_in_path"]
    OfflineJob([clip], tmp_path, choices=Choices(overlay=False, path=config.person_in_path)).run()
    lines = (tmp_path / "carpark.events.jsonl").read_text(encoding="utf-8").splitlines()
    offline = [json.loads(line)["details"] for line in lines]
    assert [item["change"] for item in live] == [item["change"] for item in offline] == ["begin", "end"]
    for one, other in zip(live, offline, strict=True):
        # To within a frame at each end: live the clock's times stand for the file's.
        assert one["duration_s"] == pytest.approx(other["duration_s"], abs=2 * longest_gap_s + 0.5 / 12)
        assert one.get("reason") == other.get("reason")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"cameras": TWO, "push": ["udp://127.0.0.1:5000"]}, r"push udp://127.0.0.1:5000: .* put \{camera\}"),
        ({"source": "synthetic:", "push": ["udp://h:1", "udp://h:1"]}, "push udp://h:1: is given twice"),
    ],
)
def test_pushes_that_cannot_be_told_apart_are_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        Assembly(make(**values))


def test_two_streams_of_one_server_have_names_without_their_keys() -> None:
    assembly = Assembly(make(source="synthetic:", push=["rtmp://host/live/secret1", "rtmp://host/live/secret2"]))
    names = [outlet.sink.name for outlet in assembly.lanes["camera"].outlets]
    assert names[-2:] == ["rtmp://host/live/***", "rtmp://host/live/*** (2)"]


def test_what_is_not_as_it_should_be_is_said_for_as_long_as_it_is_so(tmp_path: Path) -> None:
    """Whoever opens the page hours later sees why there are few pictures, and that none is recorded."""
    heat = {"max_age": "1ms", "dwell": "100ms", "rates": [5]}
    recording = {"folder": str(tmp_path / "drive"), "keep": {"free": "1000TB"}}
    with Running(make(source="synthetic:128x96@30", heat=heat, recording=recording)) as running:
        health = running.assembly.lanes["camera"].health
        wait_for(lambda: len(health.remarks) == 2)
        assert health.remarks[0].startswith("does less: rung ")
        assert health.remarks[1].startswith("recording paused: less than 1000TB are free")


def test_what_tells_others_lasts_as_long_as_the_run(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with Assembly(make(source="synthetic:64x48@50", duration="500ms", event_log={"path": str(log)})) as assembly:
        assembly.run()
        assembly.events.add("config_reloaded", "the last word")
    assert "the last word" in log.read_text(encoding="utf-8")


def test_a_path_that_was_drawn_holds_in_the_next_run_and_under_another_configuration(tmp_path: Path) -> None:
    drawn, configured = ((0.1, 0.9), (0.4, 0.4), (0.9, 0.9)), [[0.2, 1], [0.5, 0.5], [0.8, 1]]
    values = {"source": "synthetic:128x96@30", "state_folder": str(tmp_path)}
    Assembly(make(**values)).corridors.draw("camera", drawn)
    assembly = Assembly(make(**values, person_in_path={"corridor": configured}))
    assert assembly.paths["camera"].config.corridor == drawn
    assembly.change(make(**values, person_in_path={"corridor": configured, "begin_area": 0.5}))
    assert (assembly.paths["camera"].config.corridor, assembly.paths["camera"].config.begin_area) == (drawn, 0.5)
    assembly.corridors.draw("camera", None)
    assert assembly.paths["camera"].config.corridor == tuple((x, y) for x, y in configured)
