"""
What stands before, between and after the octets of APPEND and REPLACE.

RFC 3501 section 6.3.11, RFC 3502, RFC 4469 section 5, RFC 6855 section 4, RFC 8508 section 5. A command is read in
stretches, each up to a literal that is not among its pieces, or to the command's end.
"""

import enum
import re
from collections.abc import Set as AbstractSet

import attrs

from mailsuite.errors import ProtocolError
from mailsuite.imap import commands
from mailsuite.imap.arguments import take_date_time, take_flag_list, take_mailbox, take_message
from mailsuite.imap.commands import AppendPart
from mailsuite.imap.tokens import TAG_MAX_OCTETS, BadCommandError, Tokens, tagged

PARTS_MAX = 1000  # of one stretch; each costs a look at a message

_BRINGS_MESSAGE = re.compile(
    rb'[^\x00-\x20\x7f-\xff(){%%*"\\+]{1,%d} (?:APPEND|(?:UID )?REPLACE)(?: |$)' % TAG_MAX_OCTETS, re.IGNORECASE
)
_LETTER = re.compile(rb"[A-Za-z]")


class Announced(enum.Enum):
    """What the literal is that follows a stretch."""

    NOTHING = "the command is complete"
    MESSAGE = "a whole message"
    TEXT = "octets of a message"
    URL = "the URL of octets of a message"
    UTF8_MESSAGE = "a whole message in UTF8 (...)"
    UTF8_TEXT = "octets of a message in UTF8 (...)"

    @property
    def is_part(self) -> bool:
        """Whether more parts may be added to the message."""
        return self in {Announced.TEXT, Announced.URL, Announced.UTF8_TEXT}


_IN_PARENTHESES = frozenset((Announced.UTF8_MESSAGE, Announced.UTF8_TEXT))


@attrs.frozen
class Url:
    """Octets of a message that is here already (RFC 4469 section 3); not looked at yet."""

    octets: bytes


@attrs.frozen
class MessageEnd:
    """All parts of a message are named (RFC 4469 section 5)."""


Step = AppendPart | Url | MessageEnd


@attrs.frozen
class Stretch:
    """
    A part of the command.

    Args:
        steps: in order; a message begins with its `AppendPart`, and has a `MessageEnd` if it is put together of parts.
    """

    steps: tuple[Step, ...]
    announced: Announced = Announced.NOTHING


def brings_message(line: bytes) -> bool:
    """Whether a command begins like APPEND or REPLACE."""
    return _BRINGS_MESSAGE.match(line) is not None


def parse_append(
    head: tuple[bytes, ...], enabled: AbstractSet[bytes] = frozenset()
) -> tuple[commands.Append | commands.Replace, Stretch]:
    """
    Read APPEND or REPLACE up to the first literal behind its mailbox.

    Args:
        head: of `mailsuite.imap.wire.BeginMessageLiteral`, or a whole command without such a literal.
        enabled: what the client has switched on.

    Raises:
        BadCommandError: it cannot be read; with its tag if that can.
    """
    tokens = Tokens(head, enabled)
    tag: bytes | None = None
    try:
        tag = tokens.tag()
        tokens.space()
        command = _command(tag, tokens)
        return command, _stretch(tokens, inside=False, begun=False)
    except ProtocolError as error:
        raise tagged(error, tag) from error


def parse_append_rest(head: tuple[bytes, ...], tag: bytes, after: Announced) -> Stretch:
    """
    Read what follows a literal.

    Args:
        after: what the literal was.

    Raises:
        BadCommandError: it cannot be read.
    """
    tokens = Tokens(head)
    try:
        if after in _IN_PARENTHESES:
            tokens.expect(b")")
        return _stretch(tokens, inside=after.is_part, begun=True)
    except ProtocolError as error:
        raise tagged(error, tag) from error


def _command(tag: bytes, tokens: Tokens) -> commands.Append | commands.Replace:
    word = tokens.word("a command")
    if word == b"APPEND":
        return commands.Append(tag, take_mailbox(tokens))
    uid = word == b"UID"
    if uid:
        tokens.space()
        word = tokens.word("a command")
    if word != b"REPLACE":
        raise BadCommandError("unknown command")
    message = take_message(tokens)
    return commands.Replace(tag, message, take_mailbox(tokens), uid)


def _stretch(tokens: Tokens, *, inside: bool, begun: bool) -> Stretch:
    """
    Read on to a literal or the end.

    Args:
        begun: a message is there, so that the command may end.
    """
    steps: list[Step] = []
    while True:
        if len(steps) > PARTS_MAX:
            raise BadCommandError("too many parts", status=b"NO", code=b"LIMIT")
        if inside and tokens.accept(b")"):
            inside = False
            begun = True
            steps.append(MessageEnd())
        elif not inside and begun and tokens.at_end():
            return Stretch(tuple(steps))
        elif inside:
            tokens.space()
            announced = _part(tokens, steps)
            if announced is not Announced.NOTHING:
                return Stretch(tuple(steps), announced)
        else:
            tokens.space()
            steps.append(_beginning(tokens))
            word = _keyword(tokens)
            if word != b"CATENATE":
                tokens.announcement()
                return Stretch(tuple(steps), Announced.UTF8_MESSAGE if word else Announced.MESSAGE)
            inside = True
            announced = _part(tokens, steps)
            if announced is not Announced.NOTHING:
                return Stretch(tuple(steps), announced)


def _beginning(tokens: Tokens) -> AppendPart:
    """Take the flags and the date of a message, each with a space behind it."""
    flags: frozenset[str] = frozenset()
    date = None
    if tokens.peek() == b"(":
        flags = take_flag_list(tokens)
        tokens.space()
    if tokens.peek() == b'"':
        date = take_date_time(tokens)
        tokens.space()
    return AppendPart(flags, date)


def _keyword(tokens: Tokens) -> bytes:
    """Take CATENATE or UTF8 and the parenthesis behind it; empty when there is none of them."""
    if not _LETTER.match(tokens.peek()):
        return b""
    word = tokens.word("CATENATE or UTF8")
    if word not in {b"CATENATE", b"UTF8"}:
        raise BadCommandError("expected a message, CATENATE or UTF8")
    tokens.space()
    tokens.expect(b"(")
    return word


def _part(tokens: Tokens, steps: list[Step]) -> Announced:
    """Take one part of a message (RFC 4469 section 5, "cat-part"); say which literal it is, if it is one."""
    word = tokens.word("TEXT or URL")
    tokens.space()
    if word == b"TEXT":
        tokens.announcement()
        return Announced.TEXT
    if word == b"UTF8":
        tokens.expect(b"(")
        tokens.announcement()
        return Announced.UTF8_TEXT
    if word != b"URL":
        raise BadCommandError("expected TEXT, URL or UTF8")
    if tokens.accept_announcement():
        return Announced.URL
    steps.append(Url(tokens.astring("a URL")))
    return Announced.NOTHING
