"""
What SEARCH asks: keys as a tree that is shallow, and ordered so that what is cheap to test is tested first.

RFC 3501 section 6.4.4, RFC 5032 section 3 (OLDER, YOUNGER).
"""

import datetime as dt
import re

import attrs

from mailsuite.imap.capabilities import UTF8_ACCEPT
from mailsuite.imap.search_keys import (
    Age,
    All,
    And,
    BodyContains,
    EmailId,
    HasFlag,
    HeaderContains,
    InternalDate,
    ModSeq,
    Not,
    Numbered,
    Or,
    Relation,
    SavedDate,
    SearchKey,
    SentDate,
    Size,
    TextContains,
    ThreadId,
    negated,
)
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.tokens import BadCommandError, Tokens

KEYS_MAX = 1000
NESTING_MAX = 64
CHARSETS = {b"US-ASCII": "ascii", b"UTF-8": "utf-8"}

_SET = re.compile(rb"[0-9*:,]+(?:(?<=,)\$)?|\$")
_OBJECT_ID = re.compile(rb"[A-Za-z0-9_-]{1,255}")  # RFC 8474 section 7, "objectid"
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
MONTHS = {name: number for number, name in enumerate(
    (b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"), 1)
}  # fmt: skip


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
        if UTF8_ACCEPT in tokens.enabled:  # RFC 6855 section 3
            raise BadCommandError("whoever enables UTF8=ACCEPT names no charset")
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
        return Size(word == b"LARGER", tokens.number64())
    if word in {b"OLDER", b"YOUNGER"}:
        return Age(word == b"OLDER", _parse_interval(tokens))
    if word == b"MODSEQ":
        return _parse_modseq(tokens)
    if word in {b"EMAILID", b"THREADID"}:
        object_id = tokens.take(_OBJECT_ID, "an id")
        return EmailId(object_id) if word == b"EMAILID" else ThreadId(object_id)
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
