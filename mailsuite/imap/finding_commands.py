"""
The values of the commands that find messages.

RFC 3501 section 6.4.4, RFC 4731 (ESEARCH), RFC 5182 (SEARCHRES), RFC 5256 (SORT, THREAD), RFC 9394 (PARTIAL).
"""

import enum
from typing import ClassVar

import attrs

from mailsuite.imap.commands import Command
from mailsuite.imap.paging import Page
from mailsuite.imap.search_keys import SearchKey
from mailsuite.imap.sort_grammar import SortCriterion
from mailsuite.imap.threads import ThreadAlgorithm


class SearchReturn(enum.Enum):
    """What an extended SEARCH asks to be told (RFC 4731 section 3.1), or to be kept as ``$`` (RFC 5182 section 2.1)."""

    MIN = b"MIN"
    MAX = b"MAX"
    ALL = b"ALL"
    COUNT = b"COUNT"
    SAVE = b"SAVE"


@attrs.frozen
class Search(Command):
    """
    RFC 3501 section 6.4.4.

    Args:
        uid: answer with UIDs.
        returns: what the answer is to say; None asks for the answer of RFC 3501.
        page: which of the results the answer is to name (RFC 9394 section 3.1).
    """

    name: ClassVar[str] = "SEARCH"

    key: SearchKey
    uid: bool = False
    returns: frozenset[SearchReturn] | None = None
    page: Page | None = None


@attrs.frozen
class Sort(Command):
    """
    RFC 5256 section 3, RFC 5267 section 3.

    Args:
        uid: answer with UIDs.
        returns: what the answer is to say; None asks for the answer of RFC 5256.
        page: which of the results the answer is to name (RFC 9394 section 3.1).
    """

    name: ClassVar[str] = "SORT"

    criteria: tuple[SortCriterion, ...]
    key: SearchKey
    uid: bool = False
    returns: frozenset[SearchReturn] | None = None
    page: Page | None = None


@attrs.frozen
class Thread(Command):
    """
    RFC 5256 section 3.

    Args:
        uid: answer with UIDs.
    """

    name: ClassVar[str] = "THREAD"

    algorithm: ThreadAlgorithm
    key: SearchKey
    uid: bool = False
