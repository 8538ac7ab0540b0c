"""INI: sections with keys."""

import configparser
import re
from collections.abc import Sequence

from mailsuite.config.convert.entries import BrokenFileError, Entry, at_line

_SECTION = re.compile(r"\[([^]]+)\]")
_KEY = re.compile(r"([^\s=:#;][^=:]*?)\s*[=:]")


def read(text: str) -> Sequence[Entry]:
    """
    Read all keys, each as ``section.key`` in lower case.

    Raises:
        BrokenFileError: it is no INI file, or says something twice.
    """
    parser = configparser.RawConfigParser(
        default_section="", inline_comment_prefixes=("#", ";"), empty_lines_in_values=False
    )
    try:
        parser.read_string(text)
    except configparser.MissingSectionHeaderError as error:
        raise at_line(error.lineno, "expected a [section]") from None
    except configparser.DuplicateSectionError as error:
        raise at_line(error.lineno or 0, f"the section {error.section!r} is there twice") from None
    except configparser.DuplicateOptionError as error:
        raise at_line(error.lineno or 0, f"{error.section}.{error.option} is there twice") from None
    except configparser.ParsingError as error:
        raise at_line(error.errors[0][0], "expected key = value") from None
    except configparser.Error:
        raise BrokenFileError("the sections cannot be read") from None
    lines = _find_lines(text)
    return [
        Entry(f"{section.lower()}.{key}", value, lines.get((section, key)))
        for section in parser.sections()
        for key, value in parser.items(section)
    ]


def _find_lines(text: str) -> dict[tuple[str, str], int]:
    """Find where each key stands; the library does not tell."""
    found: dict[tuple[str, str], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := _SECTION.match(line.strip()):
            section = match.group(1)
        elif match := _KEY.match(line.strip()):
            found.setdefault((section, match.group(1).lower()), number)
    return found
