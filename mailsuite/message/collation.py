"""
How texts are compared in whatever case they are: i;unicode-casemap.

RFC 5051 section 2, as RFC 5256 section 1 wants it for SORT and THREAD, and RFC 5255 section 4.2 for SEARCH.
"""

import unicodedata

CHARACTERS_MAX = 32_768
"""So many characters are remembered with what they become; whoever writes mail decides which."""


def casemap(text: str) -> str:
    """Give what is compared in place of a text, by the code points of its characters."""
    if text.isascii():
        return text.upper()
    return text.translate(_CASEMAPPED)


class _Casemapped(dict[int, str]):
    """What each character becomes, each one alone: to normalize whole texts takes hours for some of them."""

    def __missing__(self, code: int) -> str:
        """Map to titlecase where that is one character, and take it apart as far as it goes."""
        character = chr(code)
        titled = character.title()
        mapped = unicodedata.normalize("NFKD", titled if len(titled) == 1 else character)
        if len(self) < CHARACTERS_MAX:
            self[code] = mapped
        return mapped


_CASEMAPPED = _Casemapped()
