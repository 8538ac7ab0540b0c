"""
What SORT orders messages by.

RFC 5256 section 3, RFC 5957 section 4 (DISPLAYFROM, DISPLAYTO).
"""

import enum

import attrs

from mailsuite.imap.tokens import BadCommandError, Tokens

CRITERIA_MAX = 100


class SortKey(enum.Enum):
    """What a message has to be put in order."""

    ARRIVAL = b"ARRIVAL"
    CC = b"CC"
    DATE = b"DATE"
    DISPLAYFROM = b"DISPLAYFROM"
    DISPLAYTO = b"DISPLAYTO"
    FROM = b"FROM"
    SIZE = b"SIZE"
    SUBJECT = b"SUBJECT"
    TO = b"TO"


_KEYS = {key.value: key for key in SortKey}


@attrs.frozen
class SortCriterion:
    """
    A key, and in which direction.

    Args:
        reverse: from the largest to the smallest.
    """

    key: SortKey
    reverse: bool = False


def parse_sort_criteria(tokens: Tokens) -> tuple[SortCriterion, ...]:
    """
    Read ``(REVERSE DATE SUBJECT)``; a key that comes a second time decides nothing and is left out.

    Raises:
        BadCommandError: it is not written as RFC 5256 section 5, "sort-criteria", says.
    """
    criteria: dict[SortKey, SortCriterion] = {}
    tokens.expect(b"(")
    for _ in range(CRITERIA_MAX):
        word = tokens.word("a sort key")
        reverse = word == b"REVERSE"
        if reverse:
            tokens.space()
            word = tokens.word("a sort key")
        key = _KEYS.get(word)
        if key is None:
            raise BadCommandError("unknown sort key")
        criteria.setdefault(key, SortCriterion(key, reverse))
        if tokens.accept(b")"):
            return tuple(criteria.values())
        tokens.space()
    raise BadCommandError("too many sort keys")
