"""Turn what TOML and the environment say into what the settings classes declare."""

import enum
import math
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence

from mailsuite.config.secrets import Secret

_TOML_NAMES = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}


def describe(annotation: object) -> str:
    """Say in words what values a key takes."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, type) and annotation in _TOML_NAMES:
        return _TOML_NAMES[annotation]
    if annotation in {Secret, bytes}:
        return "text"
    if origin is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in arguments)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "one of " + ", ".join(str(member.value) for member in annotation)
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(describe(part) for part in arguments if part is not types.NoneType)
    if origin in {tuple, frozenset, Sequence, list}:
        return f"a list of {describe(arguments[0])}"
    return "a table"


def is_text(annotation: object) -> bool:
    """Whether an environment variable for this key is taken verbatim."""
    if annotation in {str, bytes, Secret} or typing.get_origin(annotation) is typing.Literal:
        return True
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return True
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return all(is_text(part) for part in typing.get_args(annotation) if part is not types.NoneType)
    return False


def convert(annotation: object, value: object) -> object:
    """
    Check a TOML value against a declared type and give it that type.

    Raises:
        ValueError: with a sentence that says what was expected.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in {typing.Union, types.UnionType}:
        return _convert_union(annotation, arguments, value)
    if origin in {tuple, frozenset, Sequence, list}:
        if not isinstance(value, list):
            raise _unexpected(annotation, value)
        items = [convert(arguments[0], item) for item in value]
        return frozenset(items) if origin is frozenset else tuple(items)
    if origin is typing.Literal:
        if value not in arguments:
            raise _unexpected(annotation, value)
        return value
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        try:
            return annotation(value)
        except ValueError:
            raise _unexpected(annotation, value) from None
    return _convert_plain(annotation, value)


def _convert_plain(annotation: object, value: object) -> object:
    match value:
        case bool():
            if annotation is bool:
                return value
        case int() if annotation is int:
            return value
        case int() | float() if annotation is float and math.isfinite(value):
            return float(value)
        case str() if annotation in {str, bytes, Secret}:
            if "\x00" in value:
                raise ValueError("NUL is not allowed")
            if annotation is bytes:
                return value.encode("utf-8")
            return Secret(value) if annotation is Secret else value
        case Mapping() if typing.get_origin(annotation) in {dict, Mapping}:
            return dict(value)
    raise _unexpected(annotation, value)


def _convert_union(annotation: object, parts: Sequence[object], value: object) -> object:
    for part in parts:
        if part is types.NoneType:
            continue
        try:
            return convert(part, value)
        except ValueError:
            continue
    raise _unexpected(annotation, value)


def _unexpected(annotation: object, value: object) -> ValueError:
    found = _TOML_NAMES.get(type(value), f"a {type(value).__name__}")
    if describe(annotation).startswith("one of") and isinstance(value, str):
        found = repr(value)
    return ValueError(f"expected {describe(annotation)}, got {found}")


def parse_environment(annotation: object, text: str) -> object:
    """
    Read the value of an environment variable: text verbatim, everything else as one TOML value.

    Raises:
        ValueError: it is no TOML value.
    """
    takes_text = str in typing.get_args(annotation)
    if is_text(annotation) or (takes_text and not text.startswith("[")):
        return text
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        table = {}
    if set(table) != {"value"}:
        raise ValueError(f"expected {describe(annotation)}, written as one TOML value")
    return table["value"]
