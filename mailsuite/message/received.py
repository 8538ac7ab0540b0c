"""
The trace fields that a server puts before a message: Received and Return-Path.

RFC 5321 section 4.4, RFC 3848, RFC 6531 section 4.3.
"""

import re

from mailsuite.envelope import Peer
from mailsuite.message.dates import format_date
from mailsuite.message.header import parse_fields

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_NOT_IN_COMMENT = re.compile(r"[^A-Za-z0-9.:_+= -]")
_NOT_IN_PATH = re.compile(r"[^!#-'*+\-./0-9:=?@A-Z\[\]^_`a-z{|}~]")
_NAME_MAX_OCTETS = 255
_PATH_MAX_OCTETS = 256
_UNKNOWN = "unknown"


def return_path_field(sender: str) -> bytes:
    """
    Write the Return-Path field (RFC 5321 section 4.4).

    Args:
        sender: the reverse-path without angle brackets; empty is the null reverse-path. UTF-8 addresses stay as they
            are (RFC 6532 section 3); control characters and angle brackets are dropped.
    """
    path = sender
    if not sender.isprintable() or "<" in sender or ">" in sender:
        path = "".join(letter for letter in sender if letter.isprintable() and letter not in "<>")
    return b"Return-Path: <" + path.encode("utf-8", "replace") + b">\r\n"


def with_protocol(peer: Peer, *, smtputf8: bool = False, lmtp: bool = False) -> str:
    """Name the protocol as the IANA registry of mail transmission types does (RFC 3848, RFC 6531 section 4.3)."""
    suffix = ("S" if peer.tls else "") + ("A" if peer.account else "")
    if lmtp:
        return ("UTF8LMTP" if smtputf8 else "LMTP") + suffix
    if smtputf8:
        return "UTF8SMTP" + suffix
    if peer.esmtp or suffix:
        return "ESMTP" + suffix
    return "SMTP"


def received_field(
    *,
    peer: Peer,
    hostname: str,
    queue_id: str,
    recipient: str | None,
    when: float,
    smtputf8: bool = False,
    lmtp: bool = False,
) -> bytes:
    """
    Write the Received field, folded (RFC 5321 section 4.4).

    Nothing that the peer sent can break out of its place: characters outside of the grammar are replaced by ``?``.

    Args:
        recipient: the only recipient's forward-path; None leaves the clause out, so that nobody learns of the others.
            It is left out as well when it cannot be written in ASCII.
        when: seconds since the epoch.
    """
    name = _NOT_IN_NAME.sub("?", peer.helo[:_NAME_MAX_OCTETS]) or _UNKNOWN
    origin = f"{name} (unix)"
    if peer.ip:
        address = _NOT_IN_NAME.sub("?", peer.ip[:_NAME_MAX_OCTETS])
        origin = f"{name} ([IPv6:{address}])" if ":" in address else f"{name} ([{address}])"
    lines = [
        f"Received: from {origin}",
        f"\tby {_NOT_IN_NAME.sub('?', hostname) or _UNKNOWN} with {with_protocol(peer, smtputf8=smtputf8, lmtp=lmtp)}",
    ]
    if peer.tls:
        lines.append(f"\t({_NOT_IN_COMMENT.sub('?', peer.tls[:_NAME_MAX_OCTETS])})")
    identity = f"\tid {_NOT_IN_NAME.sub('?', queue_id) or _UNKNOWN}"
    if recipient and len(recipient) <= _PATH_MAX_OCTETS and not _NOT_IN_PATH.search(recipient):
        lines.extend((identity, f"\tfor <{recipient}>;"))
    else:
        lines.append(identity + ";")
    lines.append(f"\t{format_date(when)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def count_received(header_block: bytes) -> int:
    """Count Received fields: the hops that a message has made (RFC 5321 section 6.3)."""
    return sum(1 for name, _ in parse_fields(header_block) if name == b"received")
