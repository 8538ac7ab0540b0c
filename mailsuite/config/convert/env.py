"""Environment files, as compose and shells read them: NAME=value."""

import io
from collections.abc import Sequence

from mailsuite.config.convert.entries import Entry, at_line


def read(text: str) -> Sequence[Entry]:
    """
    Read all variables, without replacing ``${NAME}``.

    Raises:
        BrokenFileError: a line cannot be understood, or a name is there twice.
    """
    from dotenv.parser import parse_stream

    entries: dict[str, Entry] = {}
    for binding in parse_stream(io.StringIO(text)):
        words = binding.original.string
        line = binding.original.line + words[: len(words) - len(words.lstrip())].count("\n")
        if binding.error:
            raise at_line(line, "expected NAME=value")
        if binding.key is None:
            continue  # a comment
        if binding.key in entries:
            raise at_line(line, f"{binding.key} is there twice")
        entries[binding.key] = Entry(binding.key, binding.value, line)
    return list(entries.values())
