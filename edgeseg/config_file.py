"""Reads a configuration file so that an error names file, line, key and value, and all errors come at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edgeseg.config import Config, allowed_keys
from edgeseg.errors import ConfigError, UsageError, explain
from edgeseg.redact import redact

Place = tuple["str | int", ...]

#: What stands below these keys is not repeated: it may be a password.
SECRET_KEYS = frozenset({"users", "password"})
NAME_HELP = "is no name; write small letters, digits, - and _, 32 at most"


@dataclass(frozen=True, slots=True)
class Flag:
    """A value from the command line: what the user wrote, where it belongs and what it is."""

    name: str
    place: tuple[str, ...]
    value: object


def load_config(path: Path | None = None, flags: Sequence[Flag] = ()) -> Config:
    """Returns the configuration: defaults, then the file, then the flags that have a value (not None).

    Raises ConfigError for everything that is wrong with the file, UsageError for everything that is with the flags.
    """
    data: dict[str, Any] = {}
    if path is not None:
        data = _load(path)
    given = [flag for flag in flags if flag.value is not None]
    for flag in given:
        if flag.place == ("source",):
            # Another camera than those of the file.
            data.pop("cameras", None)
        _put(data, flag.place, flag.value)
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        details = error.errors()
        raise UsageError("; ".join(_say_flag(given, item) for item in details)) from error


def check_config(path: Path) -> list[str]:
    """Returns every error of a file as `FILE:LINE: KEY: what is wrong and what is allowed`; none when it is in order.

    Raises ConfigError when it cannot be read at all.
    """
    _, problems = _read(path)
    return problems


def describe_schema() -> str:
    """Returns the JSON schema of the file."""
    schema = Config.model_json_schema()
    # A heading whose lines are all commented out is in order, see _read.
    schema["properties"] = {
        key: {"anyOf": [value, {"type": "null"}]} if "$ref" in value else value
        for key, value in schema["properties"].items()
    }
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "edgeseg.yaml"
    return json.dumps(schema, indent=2) + "\n"


def describe_config(config: Config) -> str:
    """Returns a configuration as YAML that `load_config` reads back to the same; secrets are hidden."""
    return yaml.safe_dump(hide(config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)


def hide(value: Any) -> Any:
    """Returns JSON-ready values with what is secret in the addresses among them hidden."""
    if isinstance(value, dict):
        return {key: hide(item) for key, item in value.items()}
    if isinstance(value, list):
        return [hide(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _load(path: Path) -> dict[str, Any]:
    data, problems = _read(path)
    if problems:
        raise ConfigError("; ".join(problems))
    return data


def _read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Returns what a file says and what is wrong with it. Raises ConfigError when it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such configuration file; check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not text in UTF-8; save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {explain(error)}") from error
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        return {}, [f"{path}:{_say_yaml(error)}"]
    if root is None or data is None:
        return {}, []
    if not isinstance(root, yaml.MappingNode):
        return {}, [f"{path}:1: must be a mapping of keys to values, such as 'source: 0'"]
    # A heading whose lines are all commented out is null to YAML, and nothing to the user.
    data = {key: value for key, value in data.items() if value is not None}
    problems = [(line, f"{'.'.join(key)}: given twice; keep one") for line, key in _repeated(root, ())]
    try:
        Config.model_validate(data)
    except ValidationError as error:
        problems += [(_line_of(root, item["loc"]), _say(item)) for item in error.errors()]
    return data, [f"{path}:{line}: {text}" for line, text in sorted(problems)]


def _put(data: dict[str, Any], place: Sequence[str], value: object) -> None:
    for key in place[:-1]:
        data = data.setdefault(key, {})
    data[place[-1]] = value


def _say_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "cannot be read"
    return f"{mark.line + 1 if mark else 1}: is not valid YAML: {problem}"


def _say(item: ErrorDetails) -> str:
    """Says what is wrong at one place: its key, its value, and what it should be."""
    place = item["loc"]
    key = ".".join(str(step) for step in place)
    if item["type"] == "extra_forbidden":
        allowed = allowed_keys(place[:-1])
        close = difflib.get_close_matches(str(place[-1]), allowed, n=1)
        return f"{key}: unknown key; " + (f"did you mean '{close[0]}'?" if close else f"there is {', '.join(allowed)}")
    if item["type"] == "missing":
        return f"{key}: is missing"
    if place[-1] == "[key]":
        return f"{'.'.join(str(step) for step in place[:-1])}: {NAME_HELP}"
    if item["type"] == "value_error" and isinstance(item["input"], Mapping):
        # About how its keys go together; the whole of it would say less.
        return f"{key}: {_reason(item)}"
    if SECRET_KEYS.intersection(place):
        return f"{key}: {_reason(item)}"
    return f"{key}: {redact(repr(item['input']))} {_reason(item)}"


def _reason(item: ErrorDetails) -> str:
    if item["type"] == "model_type":
        return "should be a mapping of keys to values"
    message = item["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "should be").replace("String should", "should")


def _say_flag(flags: Iterable[Flag], item: ErrorDetails) -> str:
    for flag in flags:
        if item["loc"][: len(flag.place)] == flag.place:
            return f"{flag.name} {redact(repr(item['input']))} {_reason(item)}"
    return _say(item)


def _line_of(root: yaml.Node, place: Place) -> int:
    """Returns the line, from 1, of the key (or the list item) at `place`, or of the nearest thing above it."""
    line, node = root.start_mark.line, root
    for step in place:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    line, node = key.start_mark.line, value
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
    return line + 1


def _repeated(node: yaml.Node, above: tuple[str, ...]) -> list[tuple[int, tuple[str, ...]]]:
    """Returns the line and the full name of every key that stands a second time; YAML would take the last silently."""
    found: list[tuple[int, tuple[str, ...]]] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = (*above, str(key.value))
            if key.value in seen:
                found.append((key.start_mark.line + 1, name))
            seen.add(key.value)
            found += _repeated(value, name)
    return found
