"""TOML."""

import tomllib
from collections.abc import Iterator, Sequence

from mailsuite.config.convert.entries import DEPTH_MAX, BrokenFileError, Entry


def read(text: str) -> Sequence[Entry]:
    """
    Read all keys; a list of plain values is one value.

    Raises:
        BrokenFileError: it is no TOML.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BrokenFileError(str(error)) from None
    except RecursionError:
        raise BrokenFileError("nested too deeply") from None
    return list(_flatten("", table, 0))


def _flatten(path: str, value: object, depth: int) -> Iterator[Entry]:
    if depth > DEPTH_MAX:
        raise BrokenFileError("nested too deeply")
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flatten(f"{path}.{key}" if path else key, item, depth + 1)
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for number, item in enumerate(value):
            yield from _flatten(f"{path}[{number}]", item, depth + 1)
    else:
        yield Entry(path, value)
