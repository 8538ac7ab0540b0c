"""Find out what format a file has: by its name, else by how it begins."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence

from mailsuite.config.convert import env, ini, toml, yaml
from mailsuite.config.convert.entries import BrokenFileError, Entry

FORMATS: Mapping[str, Callable[[str], Sequence[Entry]]] = {
    "ini": ini.read,
    "yaml": yaml.read,
    "toml": toml.read,
    "env": env.read,
}
"""Every format and what reads it."""

ENDINGS = {
    ".conf": "ini",
    ".cfg": "ini",
    ".ini": "ini",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".toml": "toml",
    ".env": "env",
}
PATTERN_ENDINGS = (".example", ".sample", ".dist")
"""What is put behind the name of a file that is to be copied and filled in."""

_SECTION = re.compile(r"\[[^]]+\]")
_VARIABLE = re.compile(r"(?:export\s+)?[A-Za-z_]\w*=")
_YAML_KEY = re.compile(r"(?:- )?[\w.'\"-]+:(?:\s|$)")


def detect_format(path: str, text: str) -> str:
    """
    Name the format of a file.

    Raises:
        BrokenFileError: neither name nor content tells.
    """
    name = os.path.basename(path).lower()
    for ending in PATTERN_ENDINGS:
        name = name.removesuffix(ending)
    if name.startswith(".env."):
        return "env"
    known = ENDINGS.get(os.path.splitext(f"x{name}")[1])  # a leading dot begins no ending otherwise
    return known or _look(text)


def _look(text: str) -> str:
    for line in text.splitlines():
        words = line.strip()
        if not words or words.startswith(("#", ";", "---")):
            continue
        if _SECTION.match(words):
            return "toml" if _is_toml(text) else "ini"
        if _VARIABLE.match(words):
            return "env"
        if _YAML_KEY.match(words):
            return "yaml"
        break
    raise BrokenFileError("neither its name nor its content tells the format; say it with --format")


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False
    return True
