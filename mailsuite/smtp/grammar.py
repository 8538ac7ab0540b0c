"""
Command lines to values: verbs, paths, parameters. Pure.

RFC 5321 section 4.1.2, RFC 6531 section 3.3, RFC 1870, RFC 6152, RFC 4954 section 5.
"""

import functools
import ipaddress
import re
from collections.abc import Mapping

import attrs

from mailsuite.address import PATH_MAX_OCTETS, Address, normalize_domain
from mailsuite.envelope import Body, Recipient, Sender
from mailsuite.errors import Kind, MailError, ProtocolError
from mailsuite.smtp import replies
from mailsuite.smtp.replies import Reply

LOCAL_PART_MAX_OCTETS = 64  # RFC 5321 section 4.5.3.1.1
SIZE_MAX_DIGITS = 20  # RFC 1870 section 4
AUTH_MAX_OCTETS = 500  # RFC 4954 section 3
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
_KEYWORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*")
_HOSTNAME = re.compile(rb"[A-Za-z0-9._\x80-\xff\[\]:%-]{1,255}")
_XTEXT = re.compile(rb"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*")
_XTEXT_OCTET = re.compile(rb"\+([0-9A-F]{2})")
_UXTEXT = re.compile(rb"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e\x80-\xff]|\+[0-9A-F]{2})*")
_NOT_XTEXT = re.compile(rb"[^\x21-\x2a\x2c-\x3c\x3e-\x7e]")
ORCPT_MAX_OCTETS = 500  # RFC 3461 section 4.2
UTF8_ADDRESS_TYPE = "utf-8"  # RFC 6533 section 3
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]{1,64}")  # an atom that is a parameter's value too
_UNITEXT = re.compile(r"(?:[^\\]|\\x\{[0-9A-F]{2,6}\})*")
_UNITEXT_CHARACTER = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_NOT_TEXT = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")
_NOT_QCHAR = re.compile(r"[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]")
_NOT_QUCHAR = re.compile(r"[\x00-\x20+=\\\x7f]")


class BadCommandError(ProtocolError):
    """
    The peer sent what the grammar does not allow.

    Args:
        reply: the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


@attrs.frozen
class Parameter:
    """What may follow a path: a keyword in upper case and its value, None without ``=``."""

    keyword: bytes
    value: bytes | None


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


def parse_mail(argument: bytes, *, esmtp: bool = True) -> Sender:
    """
    Read what follows ``MAIL``.

    Args:
        esmtp: False after HELO: no parameters then (RFC 5321 section 4.1.1.1).

    Raises:
        BadCommandError: with the reply.
    """
    path, parameters = _split_path(argument, b"FROM:", replies.BAD_SENDER)
    if parameters and not esmtp:
        raise BadCommandError(replies.UNKNOWN_PARAMETER)
    values = _mail_values(parameters)
    smtputf8 = values.get("smtputf8") is not None
    address = None if path == b"<>" else parse_path(path, smtputf8=smtputf8, bad=replies.BAD_SENDER)
    return Sender(
        path=address,
        size_octets=int(values.get("size") or 0),
        body=Body(values.get("body") or Body.SEVEN_BIT.value),
        smtputf8=smtputf8,
        auth=values.get("auth") or "",
    )


def parse_rcpt(argument: bytes, *, smtputf8: bool) -> Recipient:
    """
    Read what follows ``RCPT``.

    Args:
        smtputf8: MAIL had the parameter, so octets over 127 may stand in the path.

    Raises:
        BadCommandError: with the reply.
    """
    path, parameters = _split_path(argument, b"TO:", replies.BAD_RECIPIENT)
    if parameters:
        raise BadCommandError(replies.UNKNOWN_PARAMETER)
    if path.lower() == b"<postmaster>":
        return Recipient(path=Address(POSTMASTER, ""))
    return Recipient(path=parse_path(path, smtputf8=smtputf8, bad=replies.BAD_RECIPIENT))


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
        raise BadCommandError(replies.NEEDS_SMTPUTF8)
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


def parse_parameters(text: bytes) -> list[Parameter]:
    """
    Read ``KEYWORD=value KEYWORD``.

    Raises:
        BadCommandError: for a malformed or a repeated one.
    """
    parameters = []
    seen = set()
    for word in text.split():
        name, equals, value = word.partition(b"=")
        keyword = name.upper()
        if not _KEYWORD.fullmatch(name) or keyword in seen or (equals and not value):
            raise BadCommandError(replies.SYNTAX)
        seen.add(keyword)
        parameters.append(Parameter(keyword, value if equals else None))
    return parameters


def _mail_values(text: bytes) -> Mapping[str, str]:
    values: dict[str, str] = {}
    if not text:
        return values
    for parameter in parse_parameters(text):
        match parameter:
            case Parameter(b"SIZE", bytes(value)) if value.isdigit() and len(value) <= SIZE_MAX_DIGITS:
                values["size"] = value.decode("ascii")
            case Parameter(b"BODY", bytes(value)) if value.upper() in {b"7BIT", b"8BITMIME"}:
                values["body"] = value.upper().decode("ascii")
            case Parameter(b"SMTPUTF8", None):
                values["smtputf8"] = ""
            case Parameter(b"AUTH", bytes(value)) if len(value) <= AUTH_MAX_OCTETS:
                values["auth"] = decode_xtext(value)
            case Parameter(b"SIZE" | b"BODY" | b"SMTPUTF8" | b"AUTH"):
                raise BadCommandError(replies.SYNTAX)
            case _:
                raise BadCommandError(replies.UNKNOWN_PARAMETER)
    return values


def decode_xtext(value: bytes) -> str:
    """
    Undo the escapes of RFC 3461 section 4.

    Raises:
        BadCommandError: it is not xtext, or not UTF-8 underneath, or hides control characters.
    """
    if not _XTEXT.fullmatch(value):
        raise BadCommandError(replies.SYNTAX)
    return _unescape(value)


def _unescape(value: bytes) -> str:
    octets = _XTEXT_OCTET.sub(lambda match: bytes((int(match[1], 16),)), value)
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCommandError(replies.SYNTAX) from None
    if _NOT_TEXT.search(text):
        raise BadCommandError(replies.SYNTAX)
    return text


def encode_xtext(text: str) -> bytes:
    """Write text so that it may stand in a parameter: RFC 3461 section 4. What is no text becomes ``?``."""
    return _NOT_XTEXT.sub(lambda match: b"+%02X" % match[0][0], text.encode("utf-8", "replace"))


def decode_orcpt(value: bytes, *, smtputf8: bool) -> str:
    """
    Read an original recipient: RFC 3461 section 4.2, RFC 6533 section 3.

    Args:
        smtputf8: MAIL had the parameter, so octets over 127 may stand in an address of the type utf-8.

    Returns:
        The type as it was written, ``;`` and the address without any escapes: ``rfc822;a+b@c.example``.

    Raises:
        BadCommandError: with the reply.
    """
    kind, _, escaped = value.partition(b";")
    if not escaped or len(value) > ORCPT_MAX_OCTETS or not _ADDRESS_TYPE.fullmatch(kind.decode("latin-1")):
        raise BadCommandError(replies.SYNTAX)
    if kind.lower() != UTF8_ADDRESS_TYPE.encode():
        return f"{kind.decode('ascii')};{decode_xtext(escaped)}"
    if not escaped.isascii() and not smtputf8:
        raise BadCommandError(replies.NEEDS_SMTPUTF8)
    if not _UXTEXT.fullmatch(escaped):
        raise BadCommandError(replies.SYNTAX)
    text = _unescape(escaped)  # some escape the xtext way here as well; nothing else may hold a plus
    if not _UNITEXT.fullmatch(text):
        raise BadCommandError(replies.SYNTAX)
    try:
        text = _UNITEXT_CHARACTER.sub(lambda match: chr(int(match[1], 16)), text)
    except ValueError:
        raise BadCommandError(replies.SYNTAX) from None
    if _NOT_TEXT.search(text):
        raise BadCommandError(replies.SYNTAX)
    return f"{kind.decode('ascii')};{text}"


def encode_orcpt(original: str, *, smtputf8: bool = False) -> bytes:
    """
    Write an original recipient, given as `decode_orcpt` gives it, so that it may stand in ORCPT.

    Args:
        smtputf8: it follows a MAIL with SMTPUTF8: an address of the type utf-8 needs no escapes for characters over
            127 then (RFC 6533 section 3).

    Raises:
        MailError: INVALID, when it has no type, no address, or no room in the parameter.
    """
    kind, _, text = original.partition(";")
    if not text or not _ADDRESS_TYPE.fullmatch(kind):
        raise MailError(Kind.INVALID, "the original recipient cannot be written")
    if kind.lower() == UTF8_ADDRESS_TYPE:
        unfit = _NOT_QUCHAR if smtputf8 else _NOT_QCHAR
        encoded = unfit.sub(lambda match: f"\\x{{{ord(match[0]):02X}}}", text).encode("utf-8", "replace")
    else:
        encoded = encode_xtext(text)
    value = kind.encode("ascii") + b";" + encoded
    if len(value) > ORCPT_MAX_OCTETS:
        raise MailError(Kind.INVALID, "the original recipient is too long")
    return value


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
