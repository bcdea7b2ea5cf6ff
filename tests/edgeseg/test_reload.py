"""Reloading: what changed is taken over, what is wrong is refused, and the run goes on either way."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.changes import Changes
from edgeseg.config import Config
from edgeseg.config_file import Flag, load_config
from edgeseg.errors import ModelError
from edgeseg.events import Events
from edgeseg.reload import Reloader, read_stamp


@dataclass
class FakeRun:
    """Takes every configuration over, unless it asks for the model that is broken."""

    config: Config
    events: Events = field(default_factory=Events)

    def change(self, config: Config) -> Changes:
        if config.model.path == Path("broken.tflite"):
            raise ModelError("broken.tflite: is damaged")
        before, self.config = self.config, config
        changes = Changes()
        changes.note(before, config, ["overlay"], changes.applied)
        changes.note(before, config, ["output"], changes.later)
        return changes

    def told(self) -> list[str]:
        return [f"{event.kind}: {event.text}" for event in self.events.recent()]


def start(tmp_path: Path, text: str, *flags: Flag) -> tuple[FakeRun, Reloader, Path]:
    path = tmp_path / "edgeseg.yaml"
    path.write_text(text, encoding="utf-8")
    run = FakeRun(load_config(path, flags))
    return run, Reloader(run, path, flags), path


def test_a_changed_file_is_taken_over_once_it_has_settled(tmp_path: Path) -> None:
    run, reloader, path = start(tmp_path, "overlay: {opacity: 0.5}")
    reloader.look()
    assert run.told() == []
    path.write_text("overlay: {opacity: 0.9}\noutput: {save: [a.mp4]}\n", encoding="utf-8")
    reloader.look()
    # It may be half written.
    assert run.config.overlay.opacity == 0.5
    reloader.look()
    assert run.config.overlay.opacity == 0.9
    reloader.look()
    assert run.told() == [f"config_reloaded: {path}: changed overlay; output will change at the next start"]


def test_a_file_that_changes_while_the_run_is_put_together_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "edgeseg.yaml"
    path.write_text("overlay: {opacity: 0.5}", encoding="utf-8")
    stamp = read_stamp(path)
    run = FakeRun(load_config(path))
    path.write_text("overlay: {opacity: 0.25}", encoding="utf-8")
    reloader = Reloader(run, path, stamp=stamp)
    reloader.look()
    reloader.look()
    assert run.config.overlay.opacity == 0.25


def test_flags_still_win(tmp_path: Path) -> None:
    run, reloader, path = start(tmp_path, "model: {threads: 1}", Flag("--threads", ("model", "threads"), 3))
    path.write_text("model: {threads: 2}\noverlay: {legend: true}", encoding="utf-8")
    reloader.look()
    reloader.look()
    assert run.config.overlay.legend
    assert run.config.model.threads == 3


def test_a_bad_file_leaves_the_old_one_running(tmp_path: Path) -> None:
    run, reloader, path = start(tmp_path, "overlay: {opacity: 0.5}")
    for text in ("overlay: {opacity: 7}", "overlay: [", "model: {path: broken.tflite}"):
        path.write_text(text, encoding="utf-8")
        reloader.look()
        reloader.look()
        assert run.config.overlay.opacity == 0.5
    path.unlink()
    reloader.look()
    reloader.look()
    first, second, third = run.told()
    assert f"config_refused: the configuration stays as it was: {path}:1: overlay.opacity: 7" in first
    assert "not valid YAML" in second
    assert "broken.tflite: is damaged" in third
    assert {event.level for event in run.events.recent()} == {"warning"}


def test_sighup_asks_for_it_at_once_and_only_meanwhile(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGHUP)
    run, reloader, path = start(tmp_path, "overlay: {opacity: 0.5}")
    with reloader:
        os.kill(os.getpid(), signal.SIGHUP)
        reloader.look()
        assert run.told() == [f"config_reloaded: {path}: nothing in it has changed"]
        path.write_text("overlay: {opacity: 0.4}", encoding="utf-8")
        os.kill(os.getpid(), signal.SIGHUP)
        reloader.look()
        assert run.config.overlay.opacity == 0.4
    assert signal.getsignal(signal.SIGHUP) is before
