from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from convert.trained import read_trained
from edgeseg.errors import DataError, InputNotFoundError, SinkUnavailableError, UsageError
from edgeseg.model_card import ModelCard
from tests.train.conftest import write_recipe
from train.config import Recipe, load_recipe
from train.run_folder import RunFolder


@pytest.fixture
def recipe(tmp_path: Path, recipe_fields: dict[str, Any]) -> Recipe:
    return load_recipe(write_recipe(tmp_path / "recipe.yaml", recipe_fields))


def test_a_run_is_opened_with_the_recipe_it_was_started_with(tmp_path: Path, recipe: Recipe) -> None:
    created = RunFolder.create(tmp_path / "run", recipe)
    opened, started = RunFolder.open(tmp_path / "run")
    assert started == recipe
    assert opened.run_file == created.run_file
    assert set(json.loads(opened.run_file.read_text())) == {"started", "git_revision"}


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"holds no run \(no recipe\.yaml\)"):
        RunFolder.open(tmp_path)
    (tmp_path / "recipe.yaml").write_text("epochs: [")
    with pytest.raises(DataError, match=r"recipe\.yaml: not a recipe"):
        RunFolder.open(tmp_path)


def test_a_start_that_was_cut_short_leaves_no_run(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "run" / "run.json").mkdir(parents=True)
    with pytest.raises(SinkUnavailableError, match=r"run\.json: cannot be written"):
        RunFolder.create(tmp_path / "run", recipe)
    with pytest.raises(InputNotFoundError, match="holds no run"):
        RunFolder.open(tmp_path / "run")
    (tmp_path / "run" / "run.json").rmdir()
    RunFolder.create(tmp_path / "run", recipe)
    RunFolder.open(tmp_path / "run")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_text(run.card_file, "old")

    def fail(stream: Any) -> None:
        stream.write(b"half of the ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(SinkUnavailableError, match=r"card\.json: cannot be written: No space left on device"):
        run.write(run.card_file, fail)
    assert run.card_file.read_text() == "old"


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_metrics() == []
    rows = [
        {"epoch": 0, "loss": 2.5, "streets, by day_person": float("nan")},
        {"epoch": 1, "loss": 1.25, "streets, by day_person": 0.5},
    ]
    run.write_metrics(rows)
    assert run.read_metrics() == [pytest.approx(row, nan_ok=True) for row in rows]


def test_a_run_whose_data_moved_says_so_and_its_card_stays_its_own(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path / "run", recipe)
    run.best_file.write_bytes(b"a network")
    card = ModelCard(name="edgeseg-tiny", input_hw=(96, 128), quantization="float32", training_sha256=run.fingerprint())
    run.write_card(card)
    moved = recipe.model_copy(
        update={"datasets": tuple(item.model_copy(update={"root": tmp_path / "new"}) for item in recipe.datasets)}
    )
    written: list[Path] = []
    write_bytes = RunFolder.write_bytes

    def killed(self: RunFolder, path: Path, data: bytes) -> None:
        """A kill after the first of the two files, whichever that is."""
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write_bytes(self, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_bytes", killed)
        with pytest.raises(KeyboardInterrupt):
            run.move(moved)
    run.move(moved)
    opened, found = RunFolder.open(run.path)
    assert found == moved
    assert read_trained(run.path).card.training_sha256 == opened.fingerprint() != card.training_sha256
    before = run.recipe_file.stat().st_mtime_ns
    run.move(moved)
    assert run.recipe_file.stat().st_mtime_ns == before
    # A card that is of another best.keras, after a kill between the two, does not become one of this.
    run.best_file.write_bytes(b"a better network")
    run.move(recipe)
    with pytest.raises(DataError, match="is not of this best"):
        read_trained(run.path)


def test_what_a_run_lacks_is_named(tmp_path: Path, recipe: Recipe) -> None:
    run = RunFolder.create(tmp_path / "run", recipe)
    with pytest.raises(InputNotFoundError, match=r"best\.keras: cannot be read: .*; a run needs it"):
        run.fingerprint()
    with pytest.raises(InputNotFoundError, match=r"teacher\.keras: cannot be read"):
        run.is_taught_by_another(run.recipe_file)
    run.run_file.write_text("[]")
    with pytest.raises(DataError, match=r"run\.json: not what a run says"):
        run.read_origin()
    run.run_file.unlink()
    with pytest.raises(InputNotFoundError, match=r"run\.json: cannot be read"):
        run.read_origin()


def test_a_folder_without_an_epoch_is_begun_again(tmp_path: Path, recipe: Recipe) -> None:
    """What a mistake left behind is in nobody's way."""
    run = RunFolder.create(tmp_path / "run", recipe)
    RunFolder.create(tmp_path / "run", recipe)
    run.write_bytes(run.checkpoint_file, b"an epoch")
    with pytest.raises(UsageError, match="already holds a run; continue it with --resume"):
        RunFolder.create(tmp_path / "run", recipe)
