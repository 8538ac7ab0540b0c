"""
Text that hides from the grammar of commands: xtext and original recipients. Pure.

RFC 3461 section 4, RFC 6533 section 3.
"""

import re

from mailsuite.errors import Kind, MailError
from mailsuite.smtp import replies
from mailsuite.smtp.replies import BadCommandError

ORCPT_MAX_OCTETS = 500  # RFC 3461 section 4.2
UTF8_ADDRESS_TYPE = "utf-8"  # RFC 6533 section 3
_XTEXT = re.compile(rb"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e]|\+[0-9A-F]{2})*")
_XTEXT_OCTET = re.compile(rb"\+([0-9A-F]{2})")
_UXTEXT = re.compile(rb"(?:[\x21-\x2a\x2c-\x3c\x3e-\x7e\x80-\xff]|\+[0-9A-F]{2})*")
_NOT_XTEXT = re.compile(rb"[^\x21-\x2a\x2c-\x3c\x3e-\x7e]")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]{1,64}")  # an atom that is a parameter's value too
_UNITEXT = re.compile(r"(?:[^\\]|\\x\{[0-9A-F]{2,6}\})*")
_UNITEXT_CHARACTER = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_NOT_TEXT = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")
_NOT_QCHAR = re.compile(r"[^\x21-\x2a\x2c-\x3c\x3e-\x5b\x5d-\x7e]")
_NOT_QUCHAR = re.compile(r"[\x00-\x20+=\\\x7f]")


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
