"""Write a conversion as TOML that says where everything came from."""

import json
import shlex
import textwrap
from collections.abc import Iterable, Iterator

from mailsuite.config.convert.translate import Conversion, Line
from mailsuite.config.schema import EMPTY_TABLES, PARTS
from mailsuite.observe.escape import escape

WIDTH = 116
NO_EFFECT = "has no effect yet"
TABLES = ("server", "listen", *dict.fromkeys(part.table for part in PARTS if part.table != "server"), *EMPTY_TABLES)
"""The order of the file."""


def describe_system(conversion: Conversion) -> str:
    """Name what was converted."""
    return f"{conversion.system.title} ({conversion.system.format})"


def write_toml(conversion: Conversion, path: str) -> str:
    """
    Write the file.

    Args:
        path: where the old one was read.
    """
    lines = [
        *_comment(f"Converted from {path}, the configuration of {describe_system(conversion)}."),
        *_comment(
            "Each value stands below the key that it comes from. Relative paths begin at the folder of this file."
        ),
        *_comment("All keys and their defaults: mailsuite config show. Is it in order: mailsuite check."),
    ]
    for table in TABLES:
        found = [line for line in conversion.lines if line.key.partition(".")[0] == table]
        if found:
            lines += ["", f"[{table}]", *_rows(found, set(conversion.inactive))]
    if conversion.lost:
        lines += ["", *_comment("What became no key, and why:")]
        for lost in conversion.lost:
            lines += _comment(f"- {lost}")
    if conversion.commands:
        lines += ["", *_comment("To run once this file is in place:")]
        lines += [f"#     {command}" for command in shell_lines(conversion)]
    return "\n".join(lines) + "\n"


def shell_lines(conversion: Conversion, path: str = "") -> Iterator[str]:
    """
    Write the commands as lines for a shell.

    Args:
        path: of our configuration; empty when it is not known.
    """
    for words in conversion.commands:
        ours = words[0] == "mailsuite" and path
        yield escape(shlex.join([words[0], "-c", path, *words[1:]] if ours else words))


def _rows(lines: Iterable[Line], inactive: set[str]) -> Iterator[str]:
    reason = ""
    for line in lines:
        said = "; ".join([*line.sources, *([NO_EFFECT] if line.key in inactive else [])])
        if said != reason:
            yield from _comment(said)
        reason = said
        yield f"{line.key.partition('.')[2]} = {_value(line.value)}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        escape(text),
        WIDTH,
        initial_indent="# ",
        subsequent_indent="#   " if text.startswith("-") else "# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _value(value: object) -> str:
    """Write a text, a number, a truth value or a list, which TOML and JSON write alike."""
    return json.dumps(value, ensure_ascii=False)
