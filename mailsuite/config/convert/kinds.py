"""Read the values of other servers, which may be text where ours are numbers; no complaint shows a value."""

import ipaddress
import os

from mailsuite.config.ports import PORT_MAX

DIGITS_MAX = 18  # every such number fits the 64 bits of TOML
YES = frozenset({"true", "yes", "on", "1"})
NO = frozenset({"false", "no", "off", "0"})
LEVELS = {
    "trace": "debug",
    "debug": "debug",
    "info": "info",
    "notice": "info",
    "warn": "warn",
    "warning": "warn",
    "error": "error",
    "critical": "critical",
    "fatal": "critical",
    "off": "critical",
}
"""Their words and ours."""


def text(value: object) -> str:
    """Take one line of text."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("expected text")
    if not value.isprintable():
        raise ValueError("expected text without control characters")
    return value.strip()


def name(value: object) -> str:
    """Take one word, in lower case."""
    return text(value).lower()


def boolean(value: object) -> bool:
    """Take true or false, as word or number."""
    word = str(value).strip().lower()
    if word not in YES | NO:
        raise ValueError("expected true or false")
    return word in YES


def whole(value: object) -> int:
    """Take a number of octets, seconds or things."""
    word = str(value).strip()
    if isinstance(value, bool) or not word.isascii() or not word.isdigit() or len(word) > DIGITS_MAX:
        raise ValueError("expected a whole number")
    return int(word)


def port(value: object) -> int:
    """Take the number of a port."""
    number = whole(value)
    if not 0 < number <= PORT_MAX:
        raise ValueError(f"expected a port between 1 and {PORT_MAX}")
    return number


def address(value: object) -> str:
    """Take an IP address; empty means all of them."""
    word = text(value).strip("[]").replace("localhost", "127.0.0.1")
    if word in {"*", "::"}:
        return ""
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        raise ValueError("expected an IP address") from None


def words(value: object) -> list[str]:
    """Take a list, or text with commas or spaces between its words."""
    found = []
    if isinstance(value, list):
        found = [text(item) for item in value]
    elif isinstance(value, str):
        found = text(" ".join(value.splitlines())).replace(",", " ").split()
    if not found:
        raise ValueError("expected a list of words")
    return found


def level(value: object) -> str:
    """Take the level of a log, also in the form ``module=debug,info``, where the part without a module counts."""
    parts = [part for part in name(value).split(",") if part]
    general = [part for part in parts if "=" not in part] or [part.partition("=")[2] for part in parts]
    if not general or general[0] not in LEVELS:
        raise ValueError(f"expected one of {', '.join(LEVELS)}")
    return LEVELS[general[0]]


def path(value: object, folder: str = "") -> str:
    """Take a file name; a relative one begins at `folder`."""
    return os.path.join(folder, text(value))
