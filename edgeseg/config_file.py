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

from edgeseg.config import WHOLE, Config, allowed_keys
from edgeseg.errors import ConfigError, UsageError, explain
from edgeseg.redact import redact

Place = tuple["str | int", ...]

#: What stands below these keys is not repeated: it may be a password.
SECRET_KEYS = frozenset({"users", "password"})
#: Of a value that is wrong so many signs are shown.
SHOWN_SIGNS = 80
NAME_HELP = "is no name; write small letters, digits, - and _, 32 at most"


class _Loader(yaml.SafeLoader):
    """YAML as people mean it here: keys are words, and so are dates, which no key takes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            # A number of thousands of digits, or a tag (!!int) that does not fit.
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(None, None, f"not a valid {kind}", node.start_mark) from error


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


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
    data, problems = _read(path)
    if not problems:
        from edgeseg.outputs import ClashError, choose_all_outputs

        try:
            choose_all_outputs(Config.model_validate(data))
        except ClashError as clash:
            line, _ = _find(_Loader(path.read_text(encoding="utf-8")).get_single_node(), clash.place)
            problems = [f"{path}:{line}: {'.'.join(clash.place)}: {clash.what}"]
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
        loader = _Loader(text)
        root = loader.get_single_node()
        # Before the values are made, which puts what `<<` takes over beside a mapping's own keys.
        repeated = [] if root is None else _repeated(root, ())
        data = None if root is None else loader.construct_document(root)
    except yaml.YAMLError as error:
        return {}, [f"{path}:{_say_yaml(error)}"]
    except RecursionError:
        return {}, [f"{path}:1: is nested too deeply, or something in it holds itself; write it out"]
    if root is None or data is None:
        return {}, []
    if not isinstance(root, yaml.MappingNode):
        return {}, [f"{path}:1: must be a mapping of keys to values, such as 'source: 0'"]
    # A heading whose lines are all commented out is null to YAML, and nothing to the user.
    data = {key: value for key, value in data.items() if value is not None}
    problems = [(line, f"{'.'.join(key)}: given twice; keep one") for line, key in repeated]
    try:
        Config.model_validate(data)
    except ValidationError as error:
        problems += [_locate(root, item) for item in error.errors()]
    return data, [f"{path}:{line}: {text}" for line, text in sorted(problems)]


def _put(data: dict[str, Any], place: Sequence[str], value: object) -> None:
    for key in place[:-1]:
        data = data.setdefault(key, {})
    data[place[-1]] = value


def _say_yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "cannot be read"
    return f"{mark.line + 1 if mark else 1}: is not valid YAML: {problem}"


def _locate(root: yaml.Node, item: ErrorDetails) -> tuple[int, str]:
    """Returns the line of an error and what it is."""
    line, node = _find(root, item["loc"])
    # As it is written: YAML reads 1:30 as 90 and `no` as False.
    if isinstance(node, yaml.ScalarNode) and node.tag != "tag:yaml.org,2002:str":
        return line, _say(item, node.value)
    return line, _say(item)


def _say(item: ErrorDetails, written: str | None = None) -> str:
    """Says what is wrong at one place: its key, its value (as `written`, where that is known), what it should be."""
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
    if item["type"] == WHOLE:
        return f"{key}: {item['msg']}"
    if SECRET_KEYS.intersection(place):
        return f"{key}: {_reason(item)}"
    shown = redact(repr(item["input"]) if written is None else written)
    if len(shown) > SHOWN_SIGNS:
        shown = f"{shown[: SHOWN_SIGNS - 3]}..."
    return f"{key}: {shown or 'nothing'} {_reason(item)}"


def _reason(item: ErrorDetails) -> str:
    if item["type"] in ("model_type", "dict_type"):
        return "should be a mapping of keys to values"
    if item["type"] == "tuple_type":
        return "should be a list, such as [A, B]"
    if item["type"] == "too_short" and item["input"] == "":
        return "is empty"
    message = item["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "should be").replace("String should", "should")


def _say_flag(flags: Iterable[Flag], item: ErrorDetails) -> str:
    for flag in flags:
        if item["loc"][: len(flag.place)] == flag.place:
            return (
                item["msg"] if item["type"] == WHOLE else f"{flag.name} {redact(repr(item['input']))} {_reason(item)}"
            )
    return _say(item)


def _find(root: yaml.Node | None, place: Place) -> tuple[int, yaml.Node | None]:
    """Returns the line, from 1, of the key (or the list item) at `place`, or of the nearest thing above it.

    And what stands there, None where nothing does.
    """
    if root is None:
        return 1, None
    line, node = root.start_mark.line, root
    for step in place:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            # The last one is what counts: after what `<<` takes over stands what the mapping itself says.
            for key, value in node.value:
                if key.value == str(step):
                    line, found = key.start_mark.line, value
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = node.value[step]
            line = found.start_mark.line
        if found is None:
            return line + 1, None
        node = found
    return line + 1, node


def _repeated(node: yaml.Node, above: tuple[str, ...]) -> list[tuple[int, tuple[str, ...]]]:
    """Returns the line and the full name of every key that stands a second time; YAML would take the last silently."""
    found: list[tuple[int, tuple[str, ...]]] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                # Refused when the values are made.
                continue
            name = (*above, str(key.value))
            if key.value in seen:
                found.append((key.start_mark.line + 1, name))
            seen.add(key.value)
            found += _repeated(value, name)
    return found
