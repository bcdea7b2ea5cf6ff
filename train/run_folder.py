"""The folder of one training run: what it was made from, how it went, and what came out.

recipe.yaml  run.json  metrics.csv  tensorboard/  checkpoint.npz
best.keras  card.json  curves.png  confusion.png  predictions.png  teacher.keras  teacher.json
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from edgeseg.errors import DataError, InputNotFoundError, SinkUnavailableError, UsageError, explain
from edgeseg.hand_over import CARD_NAME, NETWORK_NAME, ORIGIN_NAME, RECIPE_NAME, fingerprint
from edgeseg.model_card import ModelCard, parse_card
from train.config import Recipe


class RunFolder:
    """Names and writes the files of a run; every file is replaced in one step, so a kill leaves old or new."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe_file = path / RECIPE_NAME
        self.run_file = path / ORIGIN_NAME
        self.metrics_file = path / "metrics.csv"
        self.checkpoint_file = path / "checkpoint.npz"
        self.best_file = path / NETWORK_NAME
        self.card_file = path / CARD_NAME
        self.tensorboard = path / "tensorboard"
        self.teacher_file = path / "teacher.keras"
        self.teacher_card_file = path / "teacher.json"

    @classmethod
    def create(cls, path: Path, recipe: Recipe, **origin: Any) -> RunFolder:
        """Starts a new run; run.json keeps `origin`, too.

        Raises UsageError when the folder already holds one that has ended an epoch.
        """
        run = cls(path)
        if run.checkpoint_file.exists():
            raise UsageError(f"{path}: already holds a run; continue it with --resume or choose another folder")
        if run.best_file.exists() and not run.metrics_file.exists():  # of a run, that one is written first
            raise UsageError(f"{path}: already holds a network that is no run's; choose another folder")
        run.prepare()
        started = {"started": datetime.now(timezone.utc).isoformat(timespec="seconds"), "git_revision": git_revision()}
        if recipe.pretrained and recipe.pretrained.path.is_file():
            started["pretrained_sha256"] = hashlib.sha256(recipe.pretrained.path.read_bytes()).hexdigest()
        started |= origin
        run.write_text(run.run_file, json.dumps(started, indent=2) + "\n")
        if recipe.teacher:
            # A copy: the run goes on as it began, also when its teacher is trained further or moved away.
            for source, target in (
                (recipe.teacher.model, run.teacher_file),
                (recipe.teacher.model.with_name(run.card_file.name), run.teacher_card_file),
            ):
                run.write_bytes(target, read_teacher(source))
        # Last: the recipe is what makes the folder a run, so a kill in here leaves none and --resume starts anew.
        run.write_bytes(run.recipe_file, _dump(recipe))
        return run

    @classmethod
    def open(cls, path: Path) -> tuple[RunFolder, Recipe]:
        """Opens an existing run. Raises InputNotFoundError when there is none, DataError when it is damaged."""
        run = cls(path)
        if not run.recipe_file.is_file():
            raise InputNotFoundError(f"{path}: holds no run (no recipe.yaml)")
        try:
            return run, Recipe.model_validate(yaml.safe_load(run.recipe_file.read_text("utf-8")))
        except (ValueError, yaml.YAMLError) as error:
            raise DataError(f"{run.recipe_file}: not a recipe that this version can read: {error}") from error

    def move(self, recipe: Recipe) -> None:
        """Writes the run's recipe again, the files of which lie elsewhere by now.

        The card first, which is then of what the folder will be: a kill between the two leaves the old recipe, and the
        next --resume comes here again. A card that is not of best.keras stays so, for conversion to refuse.
        """
        text = _dump(recipe)
        if text == self.recipe_file.read_bytes():
            return
        if self.best_file.is_file() and self.card_file.is_file():
            card = parse_card(self.card_file.read_bytes(), str(self.card_file))
            if card.training_sha256 == self.fingerprint():
                self.write_card(card.model_copy(update={"training_sha256": fingerprint(self.path, recipe=text)}))
        self.write_bytes(self.recipe_file, text)

    def prepare(self) -> None:
        """Makes the folder. Raises SinkUnavailableError when it cannot be made."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = f"cannot hold a run: {error.strerror}; choose another --out"
            raise SinkUnavailableError(f"{self.path}: {reason}") from error

    def read_origin(self) -> tuple[str | None, str | None]:
        """The sha256 of the weights that the run started from, and of its teacher; None where there is none.

        Raises InputNotFoundError or DataError when run.json is missing or damaged.
        """
        try:
            started = json.loads(self.run_file.read_bytes()).get("pretrained_sha256")
        except OSError as error:
            raise InputNotFoundError(f"{self.run_file}: cannot be read: {explain(error)}; a run needs it") from error
        except (ValueError, AttributeError) as error:
            raise DataError(f"{self.run_file}: not what a run says of its start: {error}") from error
        taught = hashlib.sha256(self.teacher_file.read_bytes()).hexdigest() if self.teacher_file.is_file() else None
        return started, taught

    def is_taught_by_another(self, path: Path) -> bool:
        """Whether there is a teacher at `path`, and it is another one than the run began with."""
        return path.is_file() and path.read_bytes() != read_teacher(self.teacher_file)

    def write(self, path: Path, save: Callable[[BinaryIO], object]) -> None:
        """As replace_file()."""
        replace_file(path, save)

    def write_bytes(self, path: Path, data: bytes) -> None:
        """As write(), for bytes."""
        self.write(path, lambda stream: stream.write(data))

    def write_text(self, path: Path, text: str) -> None:
        """As write(), for a text."""
        self.write_bytes(path, text.encode("utf-8"))

    def write_network(self, network: Any) -> None:
        """Writes best.keras."""
        partial = self.path / ".best.part.keras"  # Keras goes by the suffix
        try:
            network.save(partial)
            partial.replace(self.best_file)
        except OSError as error:
            raise SinkUnavailableError(f"{self.best_file}: cannot be written: {explain(error)}") from error

    def write_card(self, card: ModelCard) -> None:
        """Writes card.json, which says what best.keras is."""
        self.write_text(self.card_file, card.model_dump_json(indent=2) + "\n")

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Rewrites metrics.csv: one row an epoch."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(rows[0])
        table.writerows([f"{row[name]:.6g}" for name in rows[0]] for row in rows)
        self.write_text(self.metrics_file, text.getvalue())

    def read_metrics(self) -> list[dict[str, float]]:
        """The rows of metrics.csv, empty before the first epoch."""
        if not self.metrics_file.is_file():
            return []
        with self.metrics_file.open(newline="", encoding="utf-8") as stream:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]

    def fingerprint(self) -> str:
        """sha256 over recipe.yaml, run.json and best.keras, one after the other; move() alone changes one of them."""
        return fingerprint(self.path)


def _dump(recipe: Recipe) -> bytes:
    return yaml.safe_dump(json.loads(recipe.model_dump_json()), sort_keys=False).encode("utf-8")


def replace_file(path: Path, save: Callable[[BinaryIO], object]) -> None:
    """Writes a file through `save(stream)` so that a reader or a crash never meets half of it.

    Raises SinkUnavailableError when the disk is full or the folder not writable.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as stream:
            save(stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        raise SinkUnavailableError(f"{path}: cannot be written: {error.strerror}") from error


def read_teacher(path: Path) -> bytes:
    """A file of the network that a run learns from. Raises InputNotFoundError that says what must be there."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputNotFoundError(
            f"{path}: cannot be read: {explain(error)}; a teacher is the best.keras of a run, its card.json beside it"
        ) from error


def git_revision() -> str:
    """The commit of the checkout, with `-dirty` when it has changes; `unknown` outside of a git checkout."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"
