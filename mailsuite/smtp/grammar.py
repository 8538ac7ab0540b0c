"""
Command lines to values: verbs, paths, sizes of chunks; parameters are read by `mailsuite.smtp.parameters`. Pure.

RFC 5321 section 4.1.2, RFC 6531 section 3.3.
"""

import functools
import ipaddress
import re

import attrs

from mailsuite.address import PATH_MAX_OCTETS, Address, normalize_domain
from mailsuite.envelope import Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.smtp import replies
from mailsuite.smtp.parameters import Holding, mail_fields, rcpt_fields
from mailsuite.smtp.replies import BadCommandError, Reply
from mailsuite.smtp.xtext import decode_orcpt, decode_xtext, encode_orcpt, encode_xtext

__all__ = [
    "BadCommandError",
    "Chunk",
    "decode_orcpt",
    "decode_xtext",
    "encode_orcpt",
    "encode_path",
    "encode_xtext",
    "parse_bdat",
    "parse_hostname",
    "parse_mail",
    "parse_path",
    "parse_rcpt",
    "parse_vrfy",
    "split_command",
]

LOCAL_PART_MAX_OCTETS = 64  # RFC 5321 section 4.5.3.1.1
CHUNK_SIZE_MAX_DIGITS = 20  # as for the SIZE of a message: RFC 1870 section 4
POSTMASTER = "postmaster"  # RFC 5321 section 4.5.1

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
# One atom run, dots and all; `_dots_are_fine` rules on where dots may stand.
PATHS_REMEMBERED = 1024  # addresses come again and again

_PLAIN_PATH = re.compile(
    rb"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\xff-]+)@([A-Za-z0-9._\x80-\xff-]+|\[[\x21-\x5a\x5e-\x7e]+\])>"
)
_QUOTED_PATH = re.compile(
    rb'<"((?:[\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\x20-\x7e])*)"@([A-Za-z0-9._\x80-\xff-]+|\[[\x21-\x5a\x5e-\x7e]+\])>'
)
_SOURCE_ROUTE = re.compile(rb"<@[A-Za-z0-9._\x80-\xff-]+(?:,@[A-Za-z0-9._\x80-\xff-]+)*:")
_QUOTED_PAIR = re.compile(rb"\\(.)")
_HOSTNAME = re.compile(rb"[A-Za-z0-9._\x80-\xff\[\]:%-]{1,255}")


def split_command(line: bytes) -> tuple[bytes, bytes]:
    """
    Divide a line into its verb, in upper case, and the rest, without the spaces around it.

    Raises:
        BadCommandError: it holds control characters.
    """
    if _CONTROL.search(line):
        raise BadCommandError(replies.BAD_LINE)
    verb, _, rest = line.partition(b" ")
    return verb.upper(), rest.strip(b" ")


def parse_hostname(argument: bytes) -> str:
    """
    Read what HELO or EHLO says: a domain, an address literal, or nearly.

    Underscores and missing dots are let pass, since policy and not grammar decides what a name is worth.

    Raises:
        BadCommandError: it is missing, or is no word.
    """
    if not _HOSTNAME.fullmatch(argument):
        raise BadCommandError(replies.BAD_HOSTNAME)
    return argument.decode("ascii", "backslashreplace")


def parse_mail(argument: bytes, *, esmtp: bool = True, holding: Holding | None = None) -> Sender:
    """
    Read what follows ``MAIL``.

    Args:
        esmtp: False after HELO: no parameters then (RFC 5321 section 4.1.1.1).
        holding: how long a message may be held, where that is offered.

    Raises:
        BadCommandError: with the reply.
    """
    path, parameters = _split_path(argument, b"FROM:", replies.BAD_SENDER)
    if not parameters:
        return Sender(path=None if path == b"<>" else parse_path(path, smtputf8=False, bad=replies.BAD_SENDER))
    if not esmtp:
        raise BadCommandError(replies.UNKNOWN_PARAMETER)
    fields = mail_fields(parameters, holding)
    smtputf8 = fields.get("smtputf8", False)
    address = None if path == b"<>" else parse_path(path, smtputf8=smtputf8, bad=replies.BAD_SENDER)
    return Sender(path=address, **fields)


def parse_rcpt(argument: bytes, *, smtputf8: bool, esmtp: bool = True) -> Recipient:
    """
    Read what follows ``RCPT``.

    Args:
        smtputf8: MAIL had the parameter, so octets over 127 may stand in the path.
        esmtp: False after HELO: no parameters then (RFC 5321 section 4.1.1.1).

    Raises:
        BadCommandError: with the reply.
    """
    path, parameters = _split_path(argument, b"TO:", replies.BAD_RECIPIENT)
    if path.lower() == b"<postmaster>":
        address = Address(POSTMASTER, "")
    else:
        address = parse_path(path, smtputf8=smtputf8, bad=replies.BAD_RECIPIENT)
    if not parameters:
        return Recipient(path=address)
    if not esmtp:
        raise BadCommandError(replies.UNKNOWN_PARAMETER)
    return Recipient(path=address, **rcpt_fields(parameters, smtputf8=smtputf8))


def parse_vrfy(argument: bytes) -> tuple[Recipient, bool]:
    """
    Read what follows ``VRFY``: a path, with or without brackets, and perhaps SMTPUTF8 (RFC 6531 section 3.7.4.2).

    Returns:
        Whom it is about, and whether the answer may hold UTF-8.

    Raises:
        BadCommandError: with the reply.
    """
    path, space, last = argument.rpartition(b" ")
    smtputf8 = bool(space) and last.upper() == b"SMTPUTF8"
    path = path.rstrip(b" ") if smtputf8 else argument
    if not smtputf8 and not path.isascii():
        raise BadCommandError(replies.ANSWER_NEEDS_SMTPUTF8)
    if not path.startswith(b"<"):
        path = b"<" + path + b">"
    return parse_rcpt(b"TO:" + path, smtputf8=smtputf8, esmtp=False), smtputf8


@attrs.frozen
class Chunk:
    """
    What BDAT announces.

    Args:
        octets: how many follow the line.
        last: with them the message ends.
    """

    octets: int
    last: bool


def parse_bdat(argument: bytes) -> Chunk:
    """
    Read what follows ``BDAT``: RFC 3030 section 2.

    Raises:
        BadCommandError: what follows the line cannot be told from commands, so the connection has to end.
    """
    size, *mark = argument.split(b" ")
    if (
        not size.isdigit()
        or len(size) > CHUNK_SIZE_MAX_DIGITS
        or (mark and (len(mark) > 1 or mark[0].upper() != b"LAST"))
    ):
        raise BadCommandError(replies.BAD_CHUNK)
    return Chunk(int(size), bool(mark))


@functools.lru_cache(maxsize=PATHS_REMEMBERED)
def parse_path(path: bytes, *, smtputf8: bool, bad: Reply) -> Address:
    """
    Read ``<local@domain>``; a source route is read over (RFC 5321 appendix C).

    Raises:
        BadCommandError: with `bad`, or for a non-ASCII address without SMTPUTF8.
    """
    if path.startswith(b"<@") and (route := _SOURCE_ROUTE.match(path)):
        path = b"<" + path[route.end() :]
    if len(path) > PATH_MAX_OCTETS:
        raise BadCommandError(bad)
    if not path.isascii() and not smtputf8:
        raise BadCommandError(replies.SENDER_NEEDS_SMTPUTF8 if bad is replies.BAD_SENDER else replies.NEEDS_SMTPUTF8)
    if match := _PLAIN_PATH.fullmatch(path):
        local, domain = match.groups()
        if local[0] == 46 or local[-1] == 46 or b".." in local:  # noqa: PLR2004 - a dot
            raise BadCommandError(bad)
    elif match := _QUOTED_PATH.fullmatch(path):
        local, domain = match.groups()
        local = _QUOTED_PAIR.sub(rb"\1", local)
    else:
        raise BadCommandError(bad)
    if not local or len(local) > LOCAL_PART_MAX_OCTETS:
        raise BadCommandError(bad)
    try:
        return Address(local.decode("utf-8"), _domain(domain.decode("utf-8")))
    except (MailError, ValueError):
        raise BadCommandError(bad) from None


def _domain(text: str) -> str:
    if text.startswith("["):
        inner = text[1:-1]
        if inner[:5].lower() == "ipv6:":
            ipaddress.IPv6Address(inner[5:])
        else:
            ipaddress.IPv4Address(inner)
    elif text.endswith("."):
        raise ValueError(text)
    return normalize_domain(text)


def _split_path(argument: bytes, prefix: bytes, bad: Reply) -> tuple[bytes, bytes]:
    """Divide into the path with its brackets and the parameters."""
    length = len(prefix)
    if argument[:length].upper() != prefix:
        raise BadCommandError(bad)
    text = argument[length:].lstrip(b" ")  # a space here is wrong and common
    end = _end_of_path(text)
    if end < 0:
        raise BadCommandError(bad)
    rest = text[end + 1 :]
    if rest and not rest.startswith(b" "):
        raise BadCommandError(bad)
    return text[: end + 1], rest.strip(b" ")


def _end_of_path(text: bytes) -> int:
    """Find the closing bracket; one inside a quoted local part does not count."""
    if not text.startswith(b"<"):
        return -1
    quote = text.find(b'"')
    end = text.find(b">")
    if quote < 0 or quote > end:
        return end
    position = quote + 1
    while position < len(text):
        octet = text[position : position + 1]
        if octet == b'"':
            return text.find(b">", position)
        position += 2 if octet == b"\\" else 1
    return -1


def encode_path(address: Address | None) -> bytes:
    """
    Write an address as a path; None is the null reverse-path.

    Raises:
        MailError: INVALID, when it holds control characters or what is no text: they would end the command.
    """
    if address is None:
        return b"<>"
    try:
        path = f"<{address}>".encode()
    except UnicodeEncodeError as error:
        raise MailError(Kind.INVALID, "the address cannot be written") from error
    if _CONTROL.search(path):
        raise MailError(Kind.INVALID, "the address cannot be written")
    return path
