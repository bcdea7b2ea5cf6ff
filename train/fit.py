"""The training loop: recipe in, run folder out; a killed run continues exactly where its last epoch ended."""

from __future__ import annotations

import json
import logging
import math
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, UsageError
from edgeseg.hand_over import RECIPE_NAME
from edgeseg.iou import ConfusionMatrix
from edgeseg.preprocess import normalise_float
from train.architectures import build_network, freeze_encoder
from train.batch_norm import STATISTICS_BATCHES, estimate_statistics, fuse_normalisation
from train.config import Recipe
from train.datasets import BatchLoader, Dataset, Mixer, count_classes, find_shared
from train.distill import Distillation, load_teacher, make_distillation
from train.learner import make_learner
from train.losses import SegmentationLoss, balance_classes
from train.pretrained import load_earlier, load_encoder, require_weights
from train.report import write_report
from train.result import (
    describe_network,
    describe_row,
    judge_network,
    make_row,
    recipe_architecture,
    save_network,
    spare_batches,
)
from train.run_folder import RunFolder

log = logging.getLogger(__name__)

# Pictures enough for the mean and the variance of every channel.
PRETRAINED_BATCHES = 6


def make_optimizer(recipe: Recipe) -> keras.optimizers.AdamW:
    """AdamW, warm-up and cosine decay; normalisation and biases are not decayed."""
    config = recipe.optimizer
    total = recipe.epochs * recipe.steps_per_epoch
    warmup = min(round(config.warmup_epochs * recipe.steps_per_epoch), total - 1)
    optimizer = keras.optimizers.AdamW(
        keras.optimizers.schedules.CosineDecay(
            config.lr * 1e-2 if warmup else config.lr,
            decay_steps=max(1, total - warmup),
            alpha=config.final_lr_ratio,
            warmup_target=config.lr if warmup else None,
            warmup_steps=warmup,
        ),
        weight_decay=config.weight_decay,
        global_clipnorm=config.clip_norm,
        use_ema=config.ema > 0,
        ema_momentum=config.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


class Trainer:
    """One run: the network, its optimizer, and the state that a checkpoint holds."""

    def __init__(self, recipe: Recipe, run: RunFolder) -> None:
        self.recipe = recipe
        self.run = run
        self.rows: list[dict[str, Any]] = []
        keras.utils.set_random_seed(recipe.seed)
        self.architecture = recipe_architecture(recipe)
        self.network = fuse_normalisation(build_network(self.architecture, (None, None), len(CLASS_NAMES)))
        if recipe.freeze is not None:
            freeze_encoder(self.network, recipe.freeze)
        self.mixer = Mixer(recipe)
        self.validation = [Dataset.open(entry) for entry in recipe.validation]
        weights = balance_classes(count_classes(self.mixer.datasets), recipe.loss.balance)
        # What follows makes weights of its own, after the network, which so begins as it would without.
        self.model = make_learner(
            self.network,
            SegmentationLoss(weights, **recipe.loss.model_dump(exclude={"auxiliary", "balance"})),
            auxiliary=recipe.loss.auxiliary,
            distillation=self._distillation(weights),
        )
        self.optimizer = make_optimizer(recipe)
        self.optimizer.build(self.model.trainable_variables)
        # TensorFlow's XLA runs convolutions on one core: 1.2 s a step instead of 0.6 s on two. JAX is XLA alone.
        self.model.compile(optimizer=self.optimizer, jit_compile=keras.backend.backend() != "tensorflow")

    def _distillation(self, class_weights: Sequence[float]) -> Distillation | None:
        if (lesson := self.recipe.teacher) is None:
            return None
        teacher = load_teacher(self.run.teacher_file, self.recipe.train_hw, len(CLASS_NAMES))
        return make_distillation(teacher, lesson.weight, lesson.temperature, class_weights)

    @property
    def next_epoch(self) -> int:
        return len(self.rows)

    def start(self) -> None:
        """Puts the weights where the recipe says a run begins."""
        if self.recipe.pretrained is None:
            return
        path = self.recipe.pretrained.path
        if path.suffix == ".keras":
            anew = load_earlier(self.network, path, partial=self.recipe.pretrained.partial)
            if drawn := [name for name in anew if not self.network.get_layer(name).trainable]:
                raise DataError(f"{path}: nothing in it fits {', '.join(drawn)}, which `freeze` would keep as drawn")
            log.info("loaded %s; %s", path, f"{', '.join(anew)} start anew" if anew else "all weights are from there")
        else:
            count = load_encoder(self.network, path, self._spare_batches(PRETRAINED_BATCHES))
            log.info("loaded %d pretrained layers from %s", count, path.name)

    def resume(self) -> None:
        """Loads the last checkpoint. Raises DataError when there is none or it belongs to another network."""
        try:
            with np.load(self.run.checkpoint_file) as archive:
                arrays = dict(archive.items())
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.run.checkpoint_file}: no checkpoint to resume from: {error}") from error
        variables = self._variables()
        if len(arrays) != len(variables) + 1 or "rows" not in arrays:
            raise DataError(f"{self.run.checkpoint_file}: belongs to another network or version; start a new run")
        for index, variable in enumerate(variables):
            variable.assign(arrays[f"v{index}"])
        # Not from metrics.csv: its rounded figures could choose another best epoch than the unbroken run.
        self.rows = json.loads(str(arrays["rows"]))

    def _variables(self) -> list[Any]:
        # `variables`, not `weights`: the dropout's random state is part of what the next epoch depends on.
        return [*self.model.variables, *self.optimizer.variables]

    def checkpoint(self) -> None:
        """Saves everything that the next epoch depends on."""
        arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self._variables())}
        self.run.write(self.run.checkpoint_file, lambda stream: np.savez(stream, rows=json.dumps(self.rows), **arrays))

    def fit(self) -> None:
        """Trains until the last epoch or until early stopping."""
        best = max((row["val_mean"] for row in self.rows), default=-math.inf)
        with (
            BatchLoader(self.recipe) as loader,
            SummaryWriter(str(self.run.tensorboard), purge_step=self.next_epoch) as board,
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[status]}"),
            ) as progress,
        ):
            for epoch in range(self.next_epoch, self.recipe.epochs):
                # Before the epoch, not after it: a run that was killed past its early stop must not go on either.
                if self._should_stop():
                    log.info("early stop: no better epoch for %d", self.recipe.early_stop_epochs)
                    break
                began = time.monotonic()
                loss = self._train_epoch(loader, epoch, progress)
                row = {"epoch": epoch, "loss": loss, **self._validate()}
                row["seconds"] = time.monotonic() - began
                self.rows.append(row)
                self.run.write_metrics(self.rows)
                for name, value in row.items():
                    if name != "epoch" and not math.isnan(value):
                        board.add_scalar(name, value, epoch)
                if row["val_mean"] > best:
                    best = row["val_mean"]
                    self._save_best(row)
                self.checkpoint()
                log.info("epoch %d: %s", epoch, describe_row(row))

    def _train_epoch(self, loader: BatchLoader, epoch: int, progress: Progress) -> float:
        """One epoch; returns the mean loss of its batches."""
        total = 0.0
        last = describe_row(self.rows[-1]) if self.rows else ""
        steps = self.recipe.steps_per_epoch
        task = progress.add_task(f"epoch {epoch + 1}/{self.recipe.epochs}", total=steps, status="")
        for step, (images, labels) in enumerate(loader.epoch(epoch), 1):
            # Keras 3.8 goes on with its running mean, later versions begin anew: the loss of this batch alone.
            self.model.reset_metrics()
            loss = float(self.model.train_on_batch(normalise_float(images), labels))
            if not math.isfinite(loss):
                raise DataError(f"the loss became {loss} in epoch {epoch}, step {step}; lower the learning rate")
            total += loss
            progress.update(task, advance=1, status=f"loss {total / step:.4f}  {last}")
        progress.remove_task(task)
        return total / steps

    def _validate(self) -> dict[str, float]:
        """IoU of the averaged weights on every validation set; `val_mean` is the mean of their foreground means."""
        # All of them: estimating the statistics of the average runs the network in training mode.
        live = [keras.ops.convert_to_numpy(variable) for variable in self.model.variables]
        if self.recipe.optimizer.ema:
            self.optimizer.finalize_variable_values(self.model.trainable_variables)
            for variable in self.model.trainable_variables:
                # On JAX the weights and their average are one buffer now; prediction may give it away.
                variable.assign(np.array(keras.ops.convert_to_numpy(variable)))
            estimate_statistics(self.model, self._spare_batches(STATISTICS_BATCHES))
        row = make_row(judge_network(self.network, self.validation, self.recipe.input_size))
        self._average = [keras.ops.convert_to_numpy(variable) for variable in self.network.weights]
        for variable, value in zip(self.model.variables, live, strict=True):
            variable.assign(value)
        return row

    def _spare_batches(self, count: int) -> Iterator[NDArray[np.float32]]:
        return spare_batches(self.mixer, count)

    def _save_best(self, row: dict[str, Any]) -> None:
        """best.keras (the averaged weights) and its card."""
        save_network(self.run, self.recipe, self._average)
        card = describe_network(self.run, self.recipe, row, self.network.count_params(), self.mixer, self.validation)
        self.run.write_card(card)

    def _should_stop(self) -> bool:
        patience = self.recipe.early_stop_epochs
        if patience is None or len(self.rows) <= patience:
            return False
        scores = [row["val_mean"] for row in self.rows]
        return max(scores[-patience:]) <= max(scores[:-patience])


def fit_recipe(recipe: Recipe, folder: Path, *, resume: bool = False) -> dict[str, ConfusionMatrix]:
    """Trains `recipe` in `folder` and writes its report; `resume` continues what is there, or starts anew.

    Resuming, `recipe` must be the run's own; only its files may lie elsewhere by now. Raises UsageError when it is
    another one. Returns the confusion matrix on each validation set.
    """
    if resume and RunFolder(folder).checkpoint_file.exists():
        run, started = RunFolder.open(folder)
        if different := started.differences(recipe):
            raise UsageError(
                f"{folder}: was started with other values of {', '.join(different)}; resume it with its own "
                f"{RECIPE_NAME}, or start a new run in another folder"
            )
        if recipe.teacher is not None and run.is_taught_by_another(recipe.teacher.model):
            log.warning("%s: goes on with the teacher it began with, which %s is not", folder, recipe.teacher.model)
    else:
        if recipe.pretrained is not None:
            require_weights(recipe.pretrained.path)
        run, started = RunFolder.create(folder, recipe), recipe
    trainer = Trainer(recipe, run)
    for problem in find_shared(trainer.mixer.datasets, trainer.validation):
        log.warning("%s", problem)  # no error: to try a recipe out, the scores need not be true
    if run.checkpoint_file.exists():
        # Now that the data sets are open: a wrong --data takes the right places from nobody.
        run.move(recipe.model_copy(update={"workers": started.workers}))
        trainer.resume()
    else:
        trainer.start()
    trainer.fit()
    return write_report(run, recipe)
