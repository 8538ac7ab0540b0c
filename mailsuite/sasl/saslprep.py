"""SASLprep: the one form in which names and passwords are compared (RFC 4013)."""

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def map_and_normalize(text: str) -> str:
    """Do the mapping, and NFKC (RFC 4013 sections 2.1 and 2.2)."""
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    return unicodedata.normalize("NFKC", mapped)


def prepare_name(text: str) -> str:
    """
    Prepare a name as a query: what Unicode has had since is taken (RFC 4013 section 2.5).

    Raises:
        ValueError: it holds what is prohibited, or mixes directions of writing (RFC 4013 sections 2.3 and 2.4).
    """
    prepared = map_and_normalize(text)
    if any(prohibits(character) for character in prepared for prohibits in _PROHIBITED):
        raise ValueError("a prohibited character")
    if any(stringprep.in_table_d1(character) for character in prepared) and (
        any(stringprep.in_table_d2(character) for character in prepared)
        or not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1]))
    ):
        raise ValueError("mixed directions of writing")
    return prepared
