"""
Delivery status notifications: what tells a sender that mail could not be delivered.

RFC 3464 for the report, RFC 6522 for its frame, RFC 6533 where an address is not ASCII.
"""

import re
from collections.abc import Sequence

import attrs

from mailsuite.address import Address
from mailsuite.message.dates import format_date
from mailsuite.message.received import return_path_field
from mailsuite.mta.content import Target
from mailsuite.smtp.outcome import Outcome

RETURNED_HEADER_MAX_OCTETS = 64 * 1024
REPLY_MAX_CHARACTERS = 900
"""Keeps each line of the report below 998 octets (RFC 5322 section 2.1.1)."""

STATUS_UNKNOWN = "5.0.0"  # RFC 3463 section 3.1
STATUS_EXPIRED = "4.4.7"  # RFC 3463 section 3.5: delivery time expired

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")


@attrs.frozen
class Returned:
    """
    A recipient that is given up.

    Args:
        remote_host: who said so; empty when nobody was reached.
        expired: the last of many attempts, each of which was only deferred.
    """

    target: Target
    outcome: Outcome
    remote_host: str = ""
    expired: bool = False


def wants_report(target: Target) -> bool:
    """Whether the sender is to be told of a failure (RFC 3461 section 4.1: without NOTIFY, yes)."""
    return not target.notify or "FAILURE" in target.notify.upper().split(",")


def make_report(
    *,
    hostname: str,
    sender: Address,
    returned: Sequence[Returned],
    header: bytes,
    received: float,
    now: float,
    envelope_id: str,
    message_id: str,
) -> bytes:
    """
    Write a notification to the sender of a message.

    Args:
        header: the returned message's header section; cut at `RETURNED_HEADER_MAX_OCTETS`.
        received: when we accepted the message.
        message_id: a token for the Message-ID and the boundary; unique.

    Returns:
        The whole message, with a Return-Path field first.
    """
    utf8 = not sender.is_ascii or any(not item.target.address.is_ascii for item in returned)
    boundary = f"report-{message_id}"
    lines = [
        f"From: Mail Delivery System <MAILER-DAEMON@{hostname}>",
        f"To: <{sender}>",
        "Subject: Undelivered mail returned to its sender",
        f"Date: {format_date(now)}",
        f"Message-ID: <{message_id}@{hostname}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
        "",
        "This is a report in MIME format.",
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        *_words(hostname, returned),
        "",
        f"--{boundary}",
        f"Content-Type: message/{'global-' if utf8 else ''}delivery-status",
        f"Content-Transfer-Encoding: {'8bit' if utf8 else '7bit'}",
        "",
        f"Reporting-MTA: dns; {hostname}",
        *([f"Original-Envelope-Id: {_clean(envelope_id)}"] if envelope_id else []),
        f"Arrival-Date: {format_date(received)}",
    ]
    for item in returned:
        lines.extend(("", *_fields(item)))
    lines.extend(("", f"--{boundary}"))
    excerpt = header[:RETURNED_HEADER_MAX_OCTETS]
    octets_8bit = not excerpt.isascii()
    lines.extend(
        (
            f"Content-Type: {'message/global-headers' if octets_8bit else 'text/rfc822-headers'}",
            f"Content-Transfer-Encoding: {'8bit' if octets_8bit else '7bit'}",
            "",
            "",
        )
    )
    beginning = "\r\n".join(lines).encode("utf-8", "replace")
    end = b"" if excerpt.endswith(b"\r\n") else b"\r\n"
    return return_path_field("") + beginning + excerpt + end + f"\r\n--{boundary}--\r\n".encode("ascii")


def _words(hostname: str, returned: Sequence[Returned]) -> list[str]:
    lines = [
        f"This is the mail system at {hostname}.",
        "",
        "Your message could not be delivered to:",
        "",
    ]
    for item in returned:
        reason = _clean(item.outcome.text) or "no reason was given"
        if item.expired:
            reason = f"it was tried for too long; the last time: {reason}"
        lines.extend((f"<{item.target.address}>", f"    {reason}"))
    lines.extend(("", "No further attempt will be made."))
    return lines


def _fields(item: Returned) -> list[str]:
    # RFC 3464 section 2.3
    address = item.target.address
    outcome = item.outcome
    lines = []
    if item.target.original:
        lines.append(f"Original-Recipient: {_clean(item.target.original)}")
    lines.extend(
        (
            f"Final-Recipient: {'rfc822' if address.is_ascii else 'utf-8'}; {address}",
            "Action: failed",
            f"Status: {_status(item)}",
        )
    )
    if item.remote_host:
        lines.append(f"Remote-MTA: dns; {_clean(item.remote_host)}")
    if outcome.code:
        words = " ".join(part for part in (str(outcome.code), outcome.enhanced, _clean(outcome.text)) if part)
        lines.append(f"Diagnostic-Code: smtp; {words}")
    return lines


def _status(item: Returned) -> str:
    if item.expired:
        return STATUS_EXPIRED
    return item.outcome.enhanced if _STATUS.fullmatch(item.outcome.enhanced) else STATUS_UNKNOWN


def _clean(text: str) -> str:
    return _CONTROL.sub("?", text)[:REPLY_MAX_CHARACTERS].strip()
