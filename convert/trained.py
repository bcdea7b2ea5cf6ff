"""What training hands over: a .keras file, the card beside it, and the recipe that names the datasets."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from convert.labelled import LabelledSet
from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import ConfigError, DataError, InputNotFoundError
from edgeseg.hand_over import CARD_NAME, NETWORK_NAME, ORIGIN_NAME, RECIPE_NAME, fingerprint
from edgeseg.model_card import ModelCard, parse_card
from edgeseg.splits import GroupSplit


@dataclass(frozen=True, slots=True)
class Trained:
    """A trained network, what its training says of it, and the data it names (none for a lone .keras)."""

    network: Path
    card: ModelCard
    trained_on: tuple[LabelledSet, ...] = ()
    validation: tuple[LabelledSet, ...] = ()


def read_trained(run_or_keras: Path) -> Trained:
    """Finds the network of a run folder, or takes the .keras given, with the card and the recipe that lie beside it.

    Raises InputNotFoundError when network or card is missing, DataError when the card is not that of a float network,
    ConfigError when the recipe cannot be read.
    """
    if run_or_keras.is_dir():
        network = run_or_keras / NETWORK_NAME
        if not network.is_file():
            raise InputNotFoundError(f"{run_or_keras}: holds no {NETWORK_NAME}; give a run folder of `python -m train`")
    elif run_or_keras.is_file():
        network = run_or_keras
    else:
        raise InputNotFoundError(f"{run_or_keras}: no such run folder or .keras file")
    trained_on, validation = _read_datasets(network.with_name(RECIPE_NAME))
    return Trained(network, _read_card(network), trained_on, validation)


def _read_card(network: Path) -> ModelCard:
    path = network.with_name(CARD_NAME)
    if not path.is_file():
        raise InputNotFoundError(f"{path}: no such card; it must lie beside {network.name}, as training leaves it")
    card = parse_card(path.read_bytes(), str(path))
    if card.quantization != "float32":
        raise DataError(f"{path}: describes a {card.quantization} model; give the card that training wrote")
    if card.class_names != CLASS_NAMES:
        raise DataError(f"{path}: names the classes {', '.join(card.class_names)}; must be {', '.join(CLASS_NAMES)}")
    if card.training_sha256 is None:
        return card.model_copy(update={"training_sha256": hashlib.sha256(network.read_bytes()).hexdigest()})
    # Of a run, the card follows its network; a kill may come between the two.
    folder = network.parent
    of_a_run = network.name == NETWORK_NAME and all((folder / name).is_file() for name in (RECIPE_NAME, ORIGIN_NAME))
    if of_a_run and fingerprint(folder) != card.training_sha256:
        raise DataError(f"{path}: is not of this {NETWORK_NAME}; end the run with --resume, or train it anew")
    return card


def _read_datasets(recipe: Path) -> tuple[tuple[LabelledSet, ...], tuple[LabelledSet, ...]]:
    """The training sets and the validation sets of a run's recipe."""
    if not recipe.is_file():
        return (), ()
    try:
        content = yaml.safe_load(recipe.read_text("utf-8"))
        trained_on = tuple(_read_set(entry, recipe) for entry in content["datasets"])
        validation = tuple(_read_set(entry, recipe) for entry in content["validation"])
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{recipe}: not the recipe of a training run; give --calibration and --validation") from error
    return trained_on, validation


def _read_set(entry: dict[str, Any], recipe: Path) -> LabelledSet:
    split = entry.get("split") and GroupSplit.model_validate(entry["split"])
    return LabelledSet(recipe.parent / entry["root"], str(entry["mapping"]), split)
