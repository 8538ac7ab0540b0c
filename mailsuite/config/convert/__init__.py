"""Configurations of other mail servers turned into ours: read the file, look each key up in a table, write TOML."""

from mailsuite.config.convert.detect import FORMATS
from mailsuite.config.convert.entries import Entry
from mailsuite.config.convert.translate import Conversion, Line, Lost, convert_text
from mailsuite.config.convert.write import describe_system, shell_lines, write_toml

__all__ = [
    "FORMATS",
    "Conversion",
    "Entry",
    "Line",
    "Lost",
    "convert_text",
    "describe_system",
    "shell_lines",
    "write_toml",
]
