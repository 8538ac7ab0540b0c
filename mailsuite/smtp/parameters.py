"""
What may follow the path of MAIL and of RCPT. Pure.

RFC 5321 section 4.1.1.11; each keyword with the extension that defines it.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from mailsuite.envelope import Body
from mailsuite.smtp import replies
from mailsuite.smtp.replies import BadCommandError
from mailsuite.smtp.xtext import decode_orcpt, decode_xtext

SIZE_MAX_DIGITS = 20  # RFC 1870 section 4
AUTH_MAX_OCTETS = 500  # RFC 4954 section 3
ENVID_MAX_OCTETS = 100  # RFC 3461 section 4.4
NOTIFY_NEVER = "NEVER"  # RFC 3461 section 4.1
NOTIFY_CONDITIONS = frozenset(("SUCCESS", "FAILURE", "DELAY"))
RETURNS = frozenset((b"FULL", b"HDRS"))  # RFC 3461 section 4.3

_KEYWORD = re.compile(rb"[A-Za-z0-9][A-Za-z0-9-]*")
_HOLD_SECONDS = re.compile(rb"[1-9][0-9]{0,8}")  # RFC 4865 section 3: future-release-integer
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.IGNORECASE | re.ASCII)


@attrs.frozen
class Parameter:
    """What may follow a path: a keyword in upper case and its value, None without ``=``."""

    keyword: bytes
    value: bytes | None


@attrs.frozen
class Holding:
    """
    Until when a message may be held before it leaves: RFC 4865.

    Args:
        now: seconds since the epoch.
        max_seconds: the longest time from now.
    """

    now: Callable[[], float]
    max_seconds: int

    def announce(self) -> str:
        """Write the line of EHLO: RFC 4865."""
        latest = dt.datetime.fromtimestamp(int(self.now()) + self.max_seconds, dt.UTC)
        return f"FUTURERELEASE {self.max_seconds} {latest:%Y-%m-%dT%H:%M:%SZ}"

    def hold(self, keyword: bytes, value: bytes) -> dict[str, Any]:
        """
        Read HOLDFOR or HOLDUNTIL, as fields of `mailsuite.envelope.Sender`.

        Raises:
            BadCommandError: with the reply.
        """
        release = self.hold_for(value) if keyword == b"HOLDFOR" else self.hold_until(value)
        kind = "for" if keyword == b"HOLDFOR" else "until"
        return {"release": release, "hold": f"{kind};{value.decode('ascii')}"}

    def hold_for(self, value: bytes) -> int:
        """
        Read HOLDFOR, and say when the message may leave, in seconds since the epoch: late by a fraction, never early.

        Raises:
            BadCommandError: it is no number of seconds, or too many.
        """
        if not _HOLD_SECONDS.fullmatch(value):
            raise BadCommandError(replies.SYNTAX)
        seconds = int(value)
        if seconds > self.max_seconds:
            raise BadCommandError(replies.HOLD_OUT_OF_RANGE)
        return math.ceil(self.now() + seconds)

    def hold_until(self, value: bytes) -> int:
        """
        Read HOLDUNTIL: a date and time as RFC 3339 section 5.6 has it.

        Raises:
            BadCommandError: it is none, is past, or too far away.
        """
        text = value.decode("ascii", "replace")
        if not _DATE_TIME.fullmatch(text):
            raise BadCommandError(replies.SYNTAX)
        try:
            when = dt.datetime.fromisoformat(text.upper())
        except ValueError:
            raise BadCommandError(replies.SYNTAX) from None
        release, now = math.ceil(when.timestamp()), int(self.now())
        if not now <= release <= now + self.max_seconds:
            raise BadCommandError(replies.HOLD_OUT_OF_RANGE)
        return release


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


def _size(value: bytes) -> int:
    if not value.isdigit() or len(value) > SIZE_MAX_DIGITS:
        raise BadCommandError(replies.SYNTAX)
    return int(value)


def _body(value: bytes) -> Body:
    try:
        return Body(value.upper().decode("ascii", "replace"))
    except ValueError:
        raise BadCommandError(replies.SYNTAX) from None


def _auth(value: bytes) -> str:
    if len(value) > AUTH_MAX_OCTETS:
        raise BadCommandError(replies.SYNTAX)
    return decode_xtext(value)


def _ret(value: bytes) -> str:
    if value.upper() not in RETURNS:
        raise BadCommandError(replies.SYNTAX)
    return value.upper().decode("ascii")


def _envid(value: bytes) -> str:
    text = decode_xtext(value)
    if len(value) > ENVID_MAX_OCTETS or not text.isascii():
        raise BadCommandError(replies.SYNTAX)
    return text


MAIL_FLAGS: Mapping[bytes, str] = {
    b"SMTPUTF8": "smtputf8",  # RFC 6531 section 3.4
    b"REQUIRETLS": "require_tls",  # RFC 8689 section 2
}
"""Parameters of MAIL without a value, and the field of `mailsuite.envelope.Sender` for each."""

MAIL_VALUES: Mapping[bytes, tuple[str, Callable[[bytes], object]]] = {
    b"SIZE": ("size_octets", _size),  # RFC 1870 section 4
    b"BODY": ("body", _body),  # RFC 6152 section 2, RFC 3030 section 3
    b"AUTH": ("auth", _auth),  # RFC 4954 section 5
    b"RET": ("ret", _ret),  # RFC 3461 section 4.3
    b"ENVID": ("envelope_id", _envid),  # RFC 3461 section 4.4
}
"""Parameters of MAIL with a value, the field for each, and what reads it."""

HOLDS = frozenset((b"HOLDFOR", b"HOLDUNTIL"))


def mail_fields(text: bytes, holding: Holding | None) -> dict[str, Any]:
    """
    Read the parameters of MAIL, as fields of `mailsuite.envelope.Sender`.

    Args:
        holding: what FUTURERELEASE offers; None where it is not offered.

    Raises:
        BadCommandError: with the reply.
    """
    fields: dict[str, Any] = {}
    for parameter in parse_parameters(text):
        keyword, value = parameter.keyword, parameter.value
        if keyword in MAIL_FLAGS and value is None:
            fields[MAIL_FLAGS[keyword]] = True
        elif keyword in MAIL_VALUES and value is not None:
            field, read = MAIL_VALUES[keyword]
            fields[field] = read(value)
        elif keyword in HOLDS and value is not None and holding is not None:
            if "release" in fields:  # one of them: RFC 4865
                raise BadCommandError(replies.SYNTAX)
            fields.update(holding.hold(keyword, value))
        elif keyword in MAIL_FLAGS or keyword in MAIL_VALUES or (keyword in HOLDS and holding is not None):
            raise BadCommandError(replies.SYNTAX)
        else:
            raise BadCommandError(replies.UNKNOWN_PARAMETER)
    return fields


def rcpt_fields(text: bytes, *, smtputf8: bool) -> dict[str, Any]:
    """
    Read the parameters of RCPT, as fields of `mailsuite.envelope.Recipient`.

    Args:
        smtputf8: MAIL had the parameter.

    Raises:
        BadCommandError: with the reply.
    """
    fields: dict[str, Any] = {}
    for parameter in parse_parameters(text):
        match parameter:
            case Parameter(b"NOTIFY", bytes(value)):
                fields["notify"] = _notify(value)
            case Parameter(b"ORCPT", bytes(value)):
                fields["original"] = decode_orcpt(value, smtputf8=smtputf8)
            case Parameter(b"NOTIFY" | b"ORCPT"):
                raise BadCommandError(replies.SYNTAX)
            case _:
                raise BadCommandError(replies.UNKNOWN_PARAMETER)
    return fields


def _notify(value: bytes) -> str:
    """Read NOTIFY: NEVER alone, or some of the conditions, even one of them twice (RFC 3461 section 4.1)."""
    text = value.upper().decode("ascii", "replace")
    if text != NOTIFY_NEVER and not NOTIFY_CONDITIONS.issuperset(text.split(",")):
        raise BadCommandError(replies.SYNTAX)
    return text
