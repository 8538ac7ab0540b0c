"""
URLs of messages and of their parts (RFC 5092), as far as they lead into the account of who asks.

Pure.
"""

import re
from urllib.parse import unquote_to_bytes

import attrs

from mailsuite.errors import ProtocolError
from mailsuite.imap.fetch_grammar import BodySection, parse_section
from mailsuite.imap.names import canonical_name, check_name
from mailsuite.imap.tokens import NUMBER64_MAX, NUMBER_MAX

URL_MAX_OCTETS = 4096

# RFC 5092 section 11; "bchar" without its "%", which must begin two hexadecimal digits.
_BCHAR = rb"(?:[A-Za-z0-9\-._~!$'()*+,&=:@/]|%[0-9A-Fa-f]{2})"
_NUMBER = rb"[0-9]{1,10}"
_NUMBER64 = rb"[0-9]{1,19}"  # RFC 9051 section 9, "partial-range"
_MESSAGE_PART = re.compile(
    rb"(?:/(?P<mailbox>(?!/)%b+?)(?:;UIDVALIDITY=(?P<uidvalidity>%b))?/)?;UID=(?P<uid>%b)"
    rb"(?:/;SECTION=(?P<section>%b+?))?(?:/;PARTIAL=(?P<offset>%b)(?:\.(?P<length>%b))?)?"
    % (_BCHAR, _NUMBER, _NUMBER, _BCHAR, _NUMBER64, _NUMBER64),
    re.IGNORECASE,
)


class BadURLError(Exception):
    """A URL leads to nothing that can be had."""


@attrs.frozen
class MessagePart:
    """
    What a URL names.

    Args:
        mailbox: None is the selected one.
        uidvalidity: None is any.
    """

    mailbox: str | None
    uidvalidity: int | None
    uid: int
    section: BodySection


def parse_url(url: bytes) -> MessagePart:
    """
    Read a URL without scheme and server (RFC 4469 section 3, RFC 5092 section 7).

    Raises:
        BadURLError: it is no such URL, or leads elsewhere.
    """
    found = _MESSAGE_PART.fullmatch(url) if len(url) <= URL_MAX_OCTETS else None
    if found is None:
        raise BadURLError("that is not the URL of a message in this account")
    mailbox, validity, uid, section, offset, length = found.group(
        "mailbox", "uidvalidity", "uid", "section", "offset", "length"
    )
    try:
        part = parse_section(b"" if section is None else unquote_to_bytes(section))
        name = None if mailbox is None else _name(mailbox)
    except ProtocolError as error:
        raise BadURLError(error.detail) from error
    if part.offset is not None:
        raise BadURLError("a partial range stands behind PARTIAL")
    if offset is not None:
        size = NUMBER64_MAX if length is None else _number(length, most=NUMBER64_MAX)
        part = attrs.evolve(part, offset=_number(offset, 0, NUMBER64_MAX), length=size)
    return MessagePart(name, None if validity is None else _number(validity), _number(uid), part)


def _number(digits: bytes, least: int = 1, most: int = NUMBER_MAX) -> int:
    number = int(digits)
    if not least <= number <= most:
        raise BadURLError("a number is out of range")
    return number


def _name(octets: bytes) -> str:
    try:
        name = canonical_name(unquote_to_bytes(octets).decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadURLError("the name of the mailbox is not UTF-8") from error
    check_name(name)
    return name
