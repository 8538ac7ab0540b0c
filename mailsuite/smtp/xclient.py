"""
XCLIENT, by which a proxy says for whom it speaks. Pure.

Postfix's protocol extension of that name. LOGIN is not offered: no proxy vouches for an account.
"""

import ipaddress
import re

import attrs

from mailsuite.smtp import replies
from mailsuite.smtp.parameters import parse_parameters
from mailsuite.smtp.replies import BadCommandError
from mailsuite.smtp.xtext import decode_xtext

XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "DESTADDR", "DESTPORT")

_UNKNOWN = frozenset(("[UNAVAILABLE]", "[TEMPUNAVAIL]"))
_IPV6_PREFIX = "IPV6:"
_NAME = re.compile(r"[A-Za-z0-9._\[\]:%-]{1,255}")
_PORT = re.compile(r"[0-9]{1,5}")
_PORT_MAX = 65_535


@attrs.frozen(kw_only=True)
class Origin:
    """
    Whom a proxy speaks for; None is what it did not say or does not know.

    Args:
        local_port: the port to which that peer connected.
    """

    ip: str | None = None
    port: int | None = None
    local_port: int | None = None
    helo: str = ""
    esmtp: bool = False


def parse_xclient(argument: bytes) -> Origin:
    """
    Read what follows ``XCLIENT``. Names are read over: nothing here believes them.

    Raises:
        BadCommandError: with the reply.
    """
    said: dict[str, str] = {}
    for parameter in parse_parameters(argument):
        name = parameter.keyword.decode("ascii")
        if name not in XCLIENT_ATTRIBUTES or parameter.value is None:
            raise BadCommandError(replies.SYNTAX)
        said[name] = decode_xtext(parameter.value)
    known = {name: value for name, value in said.items() if value.upper() not in _UNKNOWN}
    if not said or not all(_NAME.fullmatch(known.get(name, "-")) for name in ("NAME", "HELO")):
        raise BadCommandError(replies.SYNTAX)
    if known.get("PROTO", "SMTP").upper() not in {"SMTP", "ESMTP"}:
        raise BadCommandError(replies.SYNTAX)
    _address(known.get("DESTADDR"))
    return Origin(
        ip=_address(known.get("ADDR")),
        port=_port(known.get("PORT")),
        local_port=_port(known.get("DESTPORT")),
        helo=known.get("HELO", ""),
        esmtp=known.get("PROTO", "").upper() == "ESMTP",
    )


def _address(text: str | None) -> str | None:
    if text is None:
        return None
    if text.upper().startswith(_IPV6_PREFIX):
        text = text[len(_IPV6_PREFIX) :]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise BadCommandError(replies.SYNTAX) from None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address).partition("%")[0]


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not _PORT.fullmatch(text) or int(text) > _PORT_MAX:
        raise BadCommandError(replies.SYNTAX)
    return int(text)
