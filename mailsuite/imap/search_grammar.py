"""
What SEARCH asks: keys as a tree that is shallow, and ordered so that what is cheap to test is tested first.

RFC 3501 section 6.4.4, RFC 5032 section 3 (OLDER, YOUNGER).
"""

import datetime as dt
import enum
import re
from collections.abc import Iterator
from typing import ClassVar

import attrs

from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.tokens import BadCommandError, Tokens

KEYS_MAX = 1000
NESTING_MAX = 64
CHARSETS = {b"US-ASCII": "ascii", b"UTF-8": "utf-8"}

_SET = re.compile(rb"[0-9*:,]+|\$")
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")  # RFC 8474 section 7, "objectid"
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
MONTHS = {name: number for number, name in enumerate(
    (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"), 1)
}  # fmt: skip


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
    | ModSeq | SavedDate | EmailId | Not | And | Or
)  # fmt: skip

_FLAG_KEYS = {
    b"ANSWERED": "\\Answered",
    b"DELETED": "\\Deleted",
    b"DRAFT": "\\Draft",
    b"FLAGGED": "\\Flagged",
    b"RECENT": "\\Recent",
    b"SEEN": "\\Seen",
}
_NOT_FLAG_KEYS = {
    b"OLD": "\\Recent",
    b"UNANSWERED": "\\Answered",
    b"UNDELETED": "\\Deleted",
    b"UNDRAFT": "\\Draft",
    b"UNFLAGGED": "\\Flagged",
    b"UNSEEN": "\\Seen",
}
_DATE_KEYS = {name.value.encode("ascii"): name for name in Relation}
_SAVED_KEYS = {b"SAVED" + name: relation for name, relation in _DATE_KEYS.items()}
_SENT_KEYS = {b"SENT" + name: relation for name, relation in _DATE_KEYS.items()}
_TEXT_KEYS: dict[bytes, type[BodyContains] | type[TextContains]] = {b"BODY": BodyContains, b"TEXT": TextContains}
_FIELD_KEYS = {name: name.lower() for name in (b"BCC", b"CC", b"FROM", b"SUBJECT", b"TO")}


def negated(key: SearchKey) -> SearchKey:
    """Give the key that matches all other messages."""
    return key.key if isinstance(key, Not) else Not(key, key.depth + 1, key.cost)


def _combined(kind: type[And] | type[Or], keys: list[SearchKey]) -> SearchKey:
    if len(keys) == 1:
        return keys[0]
    flat: list[SearchKey] = []
    for key in keys:
        if isinstance(key, kind):
            flat.extend(key.keys)
        else:
            flat.append(key)
    flat.sort(key=lambda key: key.cost)
    return kind(tuple(flat), 1 + max(key.depth for key in flat), flat[-1].cost)


@attrs.define
class _Opening:
    """
    A parenthesis or an operator that waits for its keys.

    Args:
        kind: None is a parenthesis, which ends where it is closed.
        wanted: how many keys an operator takes.
    """

    kind: type[Not] | type[Or] | None
    wanted: int = 0
    keys: list[SearchKey] = attrs.field(factory=list)


@attrs.define
class _Tree:
    """The tree while it grows: what is open, from the outside inwards; the first one is the whole search."""

    openings: list[_Opening] = attrs.field(factory=lambda: [_Opening(None)])
    parentheses: int = 0
    count: int = 0

    def open_(self, kind: type[Not] | type[Or] | None) -> None:
        """Begin a parenthesis or an operator."""
        last = self.openings[-1]
        if kind is Or and last.kind is Or:
            last.wanted += 1  # OR a OR b c is one OR of three
            return
        if kind is None:
            self.parentheses += 1
        if self.parentheses > NESTING_MAX or len(self.openings) > KEYS_MAX:
            raise BadCommandError("search keys are nested too deeply")
        self.openings.append(_Opening(kind, 0 if kind is None else 1 if kind is Not else 2))

    def close(self) -> None:
        """End a parenthesis."""
        last = self.openings[-1]
        if last.kind is not None or len(self.openings) == 1:
            raise BadCommandError("unexpected ')'")
        self.openings.pop()
        self.parentheses -= 1
        self._put(_combined(And, last.keys))

    def add(self, key: SearchKey) -> None:
        """Add a key that stands alone."""
        self.count += 1
        if self.count > KEYS_MAX:
            raise BadCommandError("too many search keys", status=b"NO", code=b"LIMIT")
        self._put(key)

    def _put(self, key: SearchKey) -> None:
        """Put a finished key where it belongs; it may finish the operators that wait for it."""
        while True:
            if key.depth > NESTING_MAX:
                raise BadCommandError("search keys are nested too deeply")
            last = self.openings[-1]
            last.keys.append(key)
            if last.kind is None or len(last.keys) < last.wanted:
                return
            self.openings.pop()
            key = negated(key) if last.kind is Not else _combined(Or, last.keys)

    def finish(self) -> SearchKey:
        """Give the whole."""
        if len(self.openings) > 1:
            raise BadCommandError("the search ends too early")
        key = _combined(And, self.openings[0].keys)
        if key.depth > NESTING_MAX:
            raise BadCommandError("search keys are nested too deeply")
        return key


_WORD = re.compile(rb"[A-Za-z]+|(?=[(0-9*$])")
_OPERATORS: dict[bytes, type[Not] | type[Or]] = {b"NOT": Not, b"OR": Or}


def parse_search(tokens: Tokens) -> SearchKey:
    """
    Read the arguments of a SEARCH to the end of the command.

    Raises:
        BadCommandError: they are not written as RFC 3501 section 9, "search", says, or too many or too deeply
            nested; or, as NO with BADCHARSET, the charset is none of `CHARSETS`.
    """
    charset = "utf-8"  # what RFC 9051 section 6.4.4 supposes; of US-ASCII it is a superset
    word = _parse_word(tokens)
    if word == b"CHARSET":
        tokens.space()
        charset = _parse_charset(tokens)
        tokens.space()
        word = _parse_word(tokens)
    return _parse_keys(word, tokens, charset)


def parse_search_criteria(tokens: Tokens) -> SearchKey:
    """
    Read a charset without the word before it, and what to search for, to the end of the command.

    Raises:
        BadCommandError: as of `parse_search` (RFC 5256 section 5, "search-criteria").
    """
    charset = _parse_charset(tokens)
    tokens.space()
    return _parse_keys(_parse_word(tokens), tokens, charset)


def _parse_keys(word: bytes, tokens: Tokens, charset: str) -> SearchKey:
    tree = _Tree()
    while True:
        if word in _OPERATORS:
            tree.open_(_OPERATORS[word])
            tokens.space()
        elif not word and tokens.accept(b"("):
            tree.open_(None)
        else:
            tree.add(_parse_key(word, tokens, charset))
            while tokens.accept(b")"):
                tree.close()
            if tokens.at_end():
                return tree.finish()
            tokens.space()
        word = _parse_word(tokens)


def _parse_word(tokens: Tokens) -> bytes:
    """Take the name of a key; empty when a parenthesis or a set follows."""
    return tokens.take(_WORD, "a search key").upper()


def _parse_charset(tokens: Tokens) -> str:
    charset = CHARSETS.get(tokens.astring("a charset").upper())
    if charset is None:
        raise BadCommandError("unknown charset", status=b"NO", code=b"BADCHARSET (US-ASCII UTF-8)")
    return charset


_LONE_KEYS: dict[bytes, SearchKey] = {
    b"ALL": All(),
    b"SAVEDATESUPPORTED": All(),
    b"NEW": _combined(And, [HasFlag("\\Recent"), negated(HasFlag("\\Seen"))]),
    **{name: HasFlag(flag) for name, flag in _FLAG_KEYS.items()},
    **{name: negated(HasFlag(flag)) for name, flag in _NOT_FLAG_KEYS.items()},
}


def _parse_key(word: bytes, tokens: Tokens, charset: str) -> SearchKey:
    if not word:
        return Numbered(SequenceSet.parse(tokens.take(_SET, "a message set")), uid=False)
    if word in _LONE_KEYS:
        return _LONE_KEYS[word]
    tokens.space()
    if word in _TEXT_KEYS:
        return _TEXT_KEYS[word](_parse_text(tokens, charset))
    if word in _FIELD_KEYS:
        return HeaderContains(_FIELD_KEYS[word], _parse_text(tokens, charset))
    if word in _DATE_KEYS:
        return InternalDate(_DATE_KEYS[word], _parse_date(tokens))
    if word in _SAVED_KEYS:
        return SavedDate(_SAVED_KEYS[word], _parse_date(tokens))
    if word in _SENT_KEYS:
        return SentDate(_SENT_KEYS[word], _parse_date(tokens))
    return _parse_other_key(word, tokens, charset)


def _parse_other_key(word: bytes, tokens: Tokens, charset: str) -> SearchKey:
    if word == b"UID":
        return Numbered(SequenceSet.parse(tokens.take(_SET, "a UID set")), uid=True)
    if word == b"HEADER":
        field = tokens.astring("a field name").lower()
        tokens.space()
        return HeaderContains(field, _parse_text(tokens, charset))
    if word in {b"KEYWORD", b"UNKEYWORD"}:
        flag = HasFlag(tokens.atom("a keyword").decode("ascii"))
        return flag if word == b"KEYWORD" else negated(flag)
    if word in {b"LARGER", b"SMALLER"}:
        return Size(word == b"LARGER", tokens.number())
    if word in {b"OLDER", b"YOUNGER"}:
        return Age(word == b"OLDER", _parse_interval(tokens))
    if word == b"MODSEQ":
        return _parse_modseq(tokens)
    if word in {b"EMAILID", b"THREADID"}:
        object_id = tokens.take(_OBJECT_ID, "an id")
        # RFC 8474 section 5.2: where no threads are kept, THREADID matches nothing.
        return EmailId(object_id) if word == b"EMAILID" else negated(All())
    raise BadCommandError("unknown search key")


def _parse_modseq(tokens: Tokens) -> ModSeq:
    """Read a MODSEQ; the name and kind of one flag are passed over, since a message has but one MODSEQ."""
    if tokens.peek() == b'"':
        if not tokens.string().lower().startswith(b"/flags/"):
            raise BadCommandError("expected the name of a flag")
        tokens.space()
        if tokens.word("priv, shared or all") not in {b"PRIV", b"SHARED", b"ALL"}:
            raise BadCommandError("expected priv, shared or all")
        tokens.space()
    return ModSeq(tokens.modseq())


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


def _parse_text(tokens: Tokens, charset: str) -> str:
    try:
        return tokens.astring("a text to search for").decode(charset)
    except UnicodeDecodeError as error:
        raise BadCommandError("a text to search for is not in the charset that was named") from error


def _parse_interval(tokens: Tokens) -> int:
    seconds = tokens.number()
    if not seconds:
        raise BadCommandError("the interval is at least one second")
    return seconds


def _parse_date(tokens: Tokens) -> dt.date:
    found = _DATE.fullmatch(tokens.take(_DATE, "a date"))
    if found is None:  # it has just matched
        raise BadCommandError("expected a date")
    _quote, day, month, year = found.groups()
    try:
        return dt.date(int(year), MONTHS[month.upper()], int(day))
    except (KeyError, ValueError) as error:
        raise BadCommandError("there is no such date") from error
