"""
How texts are compared where IMAP puts messages in order: i;unicode-casemap.

RFC 5051 section 2, as RFC 5256 section 1 wants it for SORT and THREAD.
"""

import functools
import unicodedata


def casemap(text: str) -> str:
    """Give what is compared in place of a text, by the code points of its characters."""
    if text.isascii():
        return text.upper()
    return "".join(map(_casemapped, text))


@functools.lru_cache(maxsize=4096)
def _casemapped(character: str) -> str:
    """Map to titlecase where that is one character, and take it apart as far as it goes."""
    titled = character.title()
    return unicodedata.normalize("NFKD", titled if len(titled) == 1 else character)
