"""
What stands before, between and after the octets of APPEND and REPLACE.

RFC 3501 section 6.3.11, RFC 3502, RFC 4469 section 5, RFC 8508 section 5. A command is read in stretches, each up to
a literal that is not among its pieces, or to the command's end.
"""

import enum
import re

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
_CATENATE = re.compile(rb"CATENATE ", re.IGNORECASE)


class Announced(enum.Enum):
    """What the literal is that follows a stretch."""

    NOTHING = "the command is complete"
    MESSAGE = "a whole message"
    TEXT = "octets of a message"
    URL = "the URL of octets of a message"


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


def parse_append(head: tuple[bytes, ...]) -> tuple[commands.Append | commands.Replace, Stretch]:
    """
    Read APPEND or REPLACE up to the first literal behind its mailbox.

    Args:
        head: of `mailsuite.imap.wire.BeginMessageLiteral`, or a whole command without such a literal.

    Raises:
        BadCommandError: it cannot be read; with its tag if that can.
    """
    tokens = Tokens(head)
    tag: bytes | None = None
    try:
        tag = tokens.tag()
        tokens.space()
        command = _command(tag, tokens)
        return command, _stretch(tokens, inside=False, begun=False)
    except ProtocolError as error:
        raise tagged(error, tag) from error


def parse_append_rest(head: tuple[bytes, ...], tag: bytes, *, inside: bool) -> Stretch:
    """
    Read what follows a literal.

    Args:
        inside: the literal was a part of a message, to which more can be added.

    Raises:
        BadCommandError: it cannot be read.
    """
    try:
        return _stretch(Tokens(head), inside=inside, begun=True)
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
            if not _accept_catenate(tokens):
                tokens.announcement()
                return Stretch(tuple(steps), Announced.MESSAGE)
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


def _accept_catenate(tokens: Tokens) -> bool:
    if tokens.peek() not in {b"c", b"C"}:
        return False
    tokens.take(_CATENATE, "CATENATE")
    tokens.expect(b"(")
    return True


def _part(tokens: Tokens, steps: list[Step]) -> Announced:
    """Take one part of a message (RFC 4469 section 5, "cat-part"); say which literal it is, if it is one."""
    word = tokens.word("TEXT or URL")
    tokens.space()
    if word == b"TEXT":
        tokens.announcement()
        return Announced.TEXT
    if word != b"URL":
        raise BadCommandError("expected TEXT or URL")
    if tokens.accept_announcement():
        return Announced.URL
    steps.append(Url(tokens.astring("a URL")))
    return Announced.NOTHING
