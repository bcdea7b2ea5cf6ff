"""A trained network by its place: a run folder, or a .keras file with its card beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, InputNotFoundError, explain
from edgeseg.hand_over import BAD_ARCHIVE, CARD_NAME, NETWORK_NAME
from edgeseg.model_card import ModelCard, parse_card


@dataclass(frozen=True)
class TrainedNetwork:
    """A network with the input size that it was saved for, and what it says of itself."""

    model: keras.Model
    card: ModelCard
    path: Path

    @property
    def input_hw(self) -> tuple[int, int]:
        return self.card.input_hw


def load_network(run_or_keras: Path) -> TrainedNetwork:
    """Loads what training left. Raises InputNotFoundError when a file is missing, DataError when one is damaged."""
    path = run_or_keras / NETWORK_NAME if run_or_keras.is_dir() else run_or_keras
    wanted = "give a run folder, or a .keras with its card.json beside it"
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such network; {wanted}")
    card_path = path.with_name(CARD_NAME)
    try:
        text = card_path.read_bytes()
    except OSError as error:
        raise InputNotFoundError(f"{card_path}: cannot be read: {explain(error)}; {wanted}") from error
    card = parse_card(text, str(card_path))
    if card.class_names != CLASS_NAMES:
        raise DataError(f"{card_path}: knows {', '.join(card.class_names)}; here it takes {', '.join(CLASS_NAMES)}")
    return TrainedNetwork(read_keras(path), card, path)


def read_keras(path: Path) -> keras.Model:
    """The network of a .keras file, for inference. Raises DataError with the first line of what Keras says of it."""
    try:
        return keras.saving.load_model(path, compile=False)
    except BAD_ARCHIVE as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DataError(f"{path}: cannot be loaded: {reason}") from error
