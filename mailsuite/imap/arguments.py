"""Arguments that several commands have: mailboxes, flags, dates, messages (RFC 3501 section 9)."""

import datetime as dt
import re
from collections.abc import Callable
from typing import TypeVar

from mailsuite.imap.names import SEPARATOR, canonical_name, check_name, decode_given, decode_name, other_form
from mailsuite.imap.search_grammar import MONTHS
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.tokens import BadCommandError, Tokens

ARGUMENTS_MAX = 10_000
KEYWORD_MAX_OCTETS = 50
SYSTEM_FLAGS = ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")

T = TypeVar("T")

_SET = re.compile(rb"[0-9*:,]+(?:(?<=,)\$)?|\$")
_ONE = re.compile(rb"[0-9]+|\*")
_DATE_TIME = re.compile(
    rb'"([ 0-9]?[0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
BACKSLASH_WORD = re.compile(rb'\\[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_MINUTES_OF_HOUR = 60
_HOURS_OF_ZONE = 24

_FLAGS = {flag.lower().encode("ascii"): flag for flag in SYSTEM_FLAGS}


def take_mailbox(tokens: Tokens) -> str:
    """Take a space and the name of a mailbox. Raises BadCommandError, as all of these."""
    tokens.space()
    return take_name(tokens)


def take_name(tokens: Tokens) -> str:
    """Take the name of a mailbox."""
    return decode_name(tokens.astring("a mailbox name"), utf8=tokens.utf8)


def take_mailbox_as_given(tokens: Tokens) -> tuple[str, str]:
    """Take a space and the name of a mailbox; give also another form of it, if the client wrote that."""
    tokens.space()
    given = decode_given(tokens.astring("a mailbox name"), utf8=tokens.utf8)
    name = canonical_name(given)
    check_name(name)
    return name, other_form(given, name)


def take_new_mailbox(tokens: Tokens) -> tuple[str, str]:
    """As `take_mailbox_as_given`; a separator at the end only says that there will be others below."""
    tokens.space()
    given = decode_given(tokens.astring("a mailbox name"), utf8=tokens.utf8)
    if len(given) > 1:
        given = given.removesuffix(SEPARATOR)
    name = canonical_name(given)
    check_name(name)
    return name, other_form(given, name)


def take_flag(tokens: Tokens) -> str | None:
    r"""
    Take a flag that a client sets.

    Returns:
        None for one that begins with a backslash and that no message can be given, such as ``\Recent``: it is passed
        over, and those beside it are set (RFC 9051 section 7.1, PERMANENTFLAGS).
    """
    if tokens.peek() == b"\\":
        return _FLAGS.get(tokens.take(BACKSLASH_WORD, "a flag").lower())
    keyword = tokens.atom("a flag")
    if len(keyword) > KEYWORD_MAX_OCTETS:
        raise BadCommandError("the keyword is too long", status=b"NO", code=b"LIMIT")
    return keyword.decode("ascii")


def take_parenthesised(tokens: Tokens, read: Callable[[Tokens], T], *, empty: bool = False) -> list[T]:
    """Read ``(a b c)``."""
    tokens.expect(b"(")
    values: list[T] = []
    if empty and tokens.accept(b")"):
        return values
    while True:
        values.append(read(tokens))
        if len(values) > ARGUMENTS_MAX:
            raise BadCommandError("too many arguments")
        if tokens.accept(b")"):
            return values
        tokens.space()


def take_flag_list(tokens: Tokens) -> frozenset[str]:
    """Take flags in parentheses, or none; those that no message can be given are left out."""
    return frozenset(filter(None, take_parenthesised(tokens, take_flag, empty=True)))


def take_date_time(tokens: Tokens) -> int:
    """Take a date with time and zone; give seconds since the epoch."""
    found = _DATE_TIME.fullmatch(tokens.take(_DATE_TIME, "a date and time"))
    if found is None:  # it has just matched
        raise BadCommandError("expected a date and time")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = dt.timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    if int(zone_minutes) >= _MINUTES_OF_HOUR or int(zone_hours) >= _HOURS_OF_ZONE:
        raise BadCommandError("there is no such time zone", status=b"NO", code=b"CANNOT")
    try:
        moment = dt.datetime(
            int(year),
            MONTHS[month.upper()],
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),  # a leap second (RFC 5322 section 3.3) has no place of its own in the epoch
            tzinfo=dt.timezone(-offset if sign == b"-" else offset),
        )
    except KeyError as error:
        raise BadCommandError("there is no such month") from error
    except ValueError as error:  # RFC 3501 section 6.3.11: an error in date or time
        raise BadCommandError("there is no such date", status=b"NO", code=b"CANNOT") from error
    return int(moment.timestamp())


def take_messages(tokens: Tokens) -> SequenceSet:
    """Take a space and a set of sequence numbers or UIDs."""
    tokens.space()
    return SequenceSet.parse(tokens.take(_SET, "a message set"))


def take_message(tokens: Tokens) -> SequenceSet:
    """Take a space and one sequence number or UID; ``*`` is the last one (RFC 3501 section 9, "seq-number")."""
    tokens.space()
    return SequenceSet.parse(tokens.take(_ONE, "the number of a message"))
