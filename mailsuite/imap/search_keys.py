"""
What a search asks for: a tree of keys, each with how much it costs to test. Pure values.

RFC 3501 section 6.4.4, RFC 5032 section 3, RFC 7162 section 3.1.5, RFC 8474 section 5.2 and RFC 8514 section 4.
"""

import datetime as dt
import enum
from collections.abc import Iterator
from typing import ClassVar

import attrs

from mailsuite.imap.sequence import SequenceSet


class Cost(enum.IntEnum):
    """How much a key costs to test, from what the session knows to what must be read from the message."""

    NUMBERS = 0
    FLAGS = 1
    INDEX = 2
    HEADER = 3
    BODY = 4


class Relation(enum.Enum):
    """How a date is compared, by day alone."""

    BEFORE = "BEFORE"
    ON = "ON"
    SINCE = "SINCE"


@attrs.frozen
class All:
    """Every message."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.NUMBERS


@attrs.frozen
class Numbered:
    """Messages by sequence number, or by UID."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.NUMBERS

    messages: SequenceSet
    uid: bool


@attrs.frozen
class HasFlag:
    r"""
    Messages with a flag.

    Args:
        flag: a system flag in its own case (``\Seen``, ``\Recent``), or a keyword as written.
    """

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.FLAGS

    flag: str


@attrs.frozen
class InternalDate:
    """Messages by the day on which they arrived."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.INDEX

    relation: Relation
    day: dt.date


@attrs.frozen
class Age:
    """
    Messages that arrived at least (or at most) so long ago (RFC 5032 section 3).

    Args:
        seconds: at least 1, counted back from when the search is made.
    """

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.INDEX

    older: bool
    seconds: int


@attrs.frozen
class SavedDate:
    """Messages by the day on which they came into the mailbox that they are in (RFC 8514 section 4.3)."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.INDEX

    relation: Relation
    day: dt.date


@attrs.frozen
class SentDate:
    """Messages by the day in their Date field."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.HEADER

    relation: Relation
    day: dt.date


@attrs.frozen
class Size:
    """Messages larger (or smaller) than this."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.INDEX

    larger: bool
    octets: int


@attrs.frozen
class ModSeq:
    """Messages whose MODSEQ is not lower (RFC 7162 section 3.1.5)."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.INDEX

    modseq: int


@attrs.frozen
class EmailId:
    """Messages whose content has this permanent id (RFC 8474 section 6)."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.INDEX

    email_id: bytes


@attrs.frozen
class ThreadId:
    """Messages of the conversation with this id (RFC 8474 section 6)."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.HEADER

    thread_id: bytes


@attrs.frozen
class HeaderContains:
    """
    Messages with a header field that contains a text in any case.

    Args:
        field: in lower case.
        text: empty when the field need only be there.
    """

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.HEADER

    field: bytes
    text: str


@attrs.frozen
class BodyContains:
    """Messages whose body contains a text in any case."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.BODY

    text: str


@attrs.frozen
class TextContains:
    """Messages whose header or body contains a text in any case."""

    depth: ClassVar[int] = 1
    cost: ClassVar[Cost] = Cost.BODY

    text: str


@attrs.frozen
class Not:
    """Messages that a key does not match; the key is never itself a `Not`."""

    key: "SearchKey"
    depth: int
    cost: Cost


@attrs.frozen
class And:
    """Messages that all keys match; at least two, cheap ones first, none of them itself an `And`."""

    keys: "tuple[SearchKey, ...]"
    depth: int
    cost: Cost


@attrs.frozen
class Or:
    """Messages that any key matches; at least two, cheap ones first, none of them itself an `Or`."""

    keys: "tuple[SearchKey, ...]"
    depth: int
    cost: Cost


SearchKey = (
    All | Numbered | HasFlag | InternalDate | Age | SentDate | Size | HeaderContains | BodyContains | TextContains
    | ModSeq | SavedDate | EmailId | ThreadId | Not | And | Or
)  # fmt: skip


def negated(key: SearchKey) -> SearchKey:
    """Give the key that matches all other messages."""
    return key.key if isinstance(key, Not) else Not(key, key.depth + 1, key.cost)


def leaves(key: SearchKey) -> Iterator[SearchKey]:
    """Give the keys that stand alone, wherever they are in the tree."""
    match key:
        case And() | Or():
            for each in key.keys:
                yield from leaves(each)
        case Not():
            yield from leaves(key.key)
        case _:
            yield key


def mentions(key: SearchKey, kind: type[SearchKey]) -> bool:
    """Whether a key of this kind is anywhere in the tree."""
    return any(isinstance(leaf, kind) for leaf in leaves(key))


def names_numbers(key: SearchKey) -> bool:
    """Whether sequence numbers are asked for: while they are, none may change (RFC 7162 section 3.2.10.2)."""
    return any(isinstance(leaf, Numbered) and not leaf.uid for leaf in leaves(key))


def needs_store(key: SearchKey) -> bool:
    """Whether something is asked of the messages that a view does not know."""
    return any(not isinstance(leaf, All | Numbered | HasFlag) for leaf in leaves(key))
