"""What training hands over and conversion takes: the names of the files, and the sum that ties them together."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

from edgeseg.errors import InputNotFoundError, explain

NETWORK_NAME = "best.keras"
CARD_NAME = "card.json"
RECIPE_NAME = "recipe.yaml"
ORIGIN_NAME = "run.json"

#: What readers of .keras and .npz files, which are zip archives, raise for one that is damaged or something else.
BAD_ARCHIVE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def find_damage(path: Path, what: str) -> list[str]:
    """Says, as a list of one line or none, what is wrong with a .keras or .npz; `what` is missing when it is."""
    if not path.is_file():
        return [f"{path}: no such {what}"]
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except BAD_ARCHIVE as error:
        return [f"{path}: cannot be read: {error}"]
    return [] if bad is None else [f"{path}: is damaged in {bad}"]


def fingerprint(folder: Path, *, recipe: bytes | None = None) -> str:
    """sha256 over recipe.yaml, run.json and best.keras of a run, one after the other: the card's `training_sha256`.

    recipe: what recipe.yaml is about to hold, instead of what it holds. Raises InputNotFoundError when one is missing.
    """

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise InputNotFoundError(f"{folder / name}: cannot be read: {explain(error)}; a run needs it") from error

    parts = (read(RECIPE_NAME) if recipe is None else recipe, read(ORIGIN_NAME), read(NETWORK_NAME))
    return hashlib.sha256(b"".join(parts)).hexdigest()
