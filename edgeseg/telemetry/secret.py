"""Secrets: from the environment or from a file that holds nothing else."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path

from edgeseg.errors import ConfigError, explain


def take_secret(key: str, path: Path | None, variable: str, environment: MutableMapping[str, str]) -> str | None:
    """Returns the secret in the file that `key` of the configuration names, or else in a variable; None for neither.

    The variable is taken out of the environment, which every program that this one starts would be given. Raises
    ConfigError when the file cannot be read or is empty.
    """
    told = environment.pop(variable, None)
    if path is None:
        return told
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{key} {path}: is not text in UTF-8; it must hold the secret and nothing else") from error
    except OSError as error:
        raise ConfigError(f"{key} {path}: cannot be read: {explain(error)}") from error
    if not secret:
        raise ConfigError(f"{key} {path}: is empty; it must hold the secret and nothing else")
    return secret
