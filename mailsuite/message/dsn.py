"""
Delivery status notifications, written: what tells a sender what became of mail.

RFC 3464 for the report, RFC 6522 for its frame, RFC 6533 where an address is not ASCII. Pure: octets out, no I/O.
"""

import enum
import quopri
import re
from collections.abc import Iterator, Sequence

import attrs

from mailsuite.address import Address
from mailsuite.message.dates import format_date
from mailsuite.message.header import header_extent

RETURNED_HEADER_MAX_OCTETS = 64 * 1024
WORDS_MAX_CHARACTERS = 900
"""Keeps each line of the report below 998 octets (RFC 5322 section 2.1.1), four octets a character at worst."""
LINE_MAX_OCTETS = 998
GLOBAL = "message/global"
"""The types of RFC 6533 section 4 begin so; unlike other messages they may be encoded (RFC 6532 section 3.7)."""

STATUS_UNKNOWN = {"2": "2.0.0", "4": "4.0.0", "5": "5.0.0"}  # RFC 3463 section 3.1
STATUS_EXPIRED = "4.4.7"  # RFC 3463 section 3.5: delivery time expired

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}")
_PLAIN_XTEXT = re.compile(r"[!-*,-<>-\[\]-~]")  # RFC 6533 section 3: QCHAR, which needs no escape


class Action(enum.Enum):
    """What became of a recipient (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    EXPANDED = "expanded"


@attrs.frozen(kw_only=True)
class Reported:
    """
    A recipient in a report.

    Args:
        original: what the sender called it, ``type;address`` (RFC 3461 section 4.2); empty when it did not say.
        code: the far side's reply code; 0 when it gave none.
        status: its enhanced code, or the one that fits what happened.
        words: its words, or ours.
        host: who said so; empty when nobody was reached.
        expired: the last of many attempts, each of which was only deferred.
    """

    address: Address
    action: Action
    original: str = ""
    code: int = 0
    status: str = ""
    words: str = ""
    host: str = ""
    expired: bool = False


@attrs.frozen(kw_only=True)
class Report:
    """
    Everything that a report says.

    Args:
        hostname: ours.
        sender: who is told.
        recipients: at least one, all with the same action.
        content: the message as it is to be returned: whole, or its header section.
        whole: `content` is more than a header section.
        arrived: when we accepted the message, in seconds since the epoch.
        until: when a delayed message is given up.
        envelope_id: the ENVID parameter, decoded (RFC 3461 section 4.4).
        hold: how long the sender wanted it to be held, ``for;seconds`` or ``until;date`` (RFC 4865 section 5.1.2).
        token: for the Message-ID and the boundary; unique, and in no message yet.
        utf8: the sender's side took part in SMTPUTF8, so it can read RFC 6533's types.
    """

    hostname: str
    sender: Address
    recipients: Sequence[Reported]
    content: bytes
    whole: bool = False
    arrived: float
    now: float
    until: float = 0.0
    envelope_id: str = ""
    hold: str = ""
    token: str
    utf8: bool = False


SUBJECTS = {
    Action.FAILED: "Undelivered mail returned to its sender",
    Action.DELAYED: "Your mail is delayed",
    Action.DELIVERED: "Your mail was delivered",
    Action.RELAYED: "Your mail was passed on",
    Action.EXPANDED: "Your mail was delivered to a list of addresses",
}


def write_report(report: Report) -> bytes:
    """Write the whole message, header section first; every line ends in CRLF and has at most 998 octets."""
    boundary = f"report-{report.token}"
    action = report.recipients[0].action
    utf8 = report.utf8 or not report.sender.is_ascii
    head = (
        f"From: Mail Delivery System <MAILER-DAEMON@{report.hostname}>",
        f"To: <{report.sender}>",
        f"Subject: {SUBJECTS[action]}",
        f"Date: {format_date(report.now)}",
        f"Message-ID: <{report.token}@{report.hostname}>",
        "Auto-Submitted: auto-replied",  # RFC 3834 section 5
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
        "",
        "This is a report in MIME format.",
        "",
    )
    mark = f"--{boundary}\r\n".encode("ascii")
    parts = (_text(report, action), _status(report, utf8=utf8), _returned(report, utf8=utf8))
    return b"".join(
        (
            "\r\n".join(head).encode("utf-8", "replace") + b"\r\n",
            *(mark + part + b"\r\n" for part in parts),
            f"--{boundary}--\r\n".encode("ascii"),
        )
    )


# the part for people


def _text(report: Report, action: Action) -> bytes:
    lines = "\r\n".join(_sentences(report, action)) + "\r\n"
    if lines.isascii():
        return b"Content-Type: text/plain; charset=us-ascii\r\n\r\n" + lines.encode("ascii")
    return b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + _quoted(
        lines.encode("utf-8", "replace")
    )


OPENINGS = {
    Action.FAILED: "Your message could not be delivered to:",
    Action.DELAYED: "Your message has not been delivered yet. You need not send it again. It waits for:",
    Action.DELIVERED: "As you asked to be told: your message is in the mailbox of",
    Action.RELAYED: "Your message was passed on to a system that does not tell when it is delivered, for:",
    Action.EXPANDED: "Your message has arrived at this address, from where it goes on to several others:",
}


def _sentences(report: Report, action: Action) -> Iterator[str]:
    yield from (f"This is the mail system at {report.hostname}.", "", OPENINGS[action], "")
    for item in report.recipients:
        yield f"<{item.address}>"
        yield from _reasons(item)
        yield ""
    match action:
        case Action.FAILED:
            yield "No further attempt will be made. " + _advice(report.recipients)
        case Action.DELAYED:
            yield f"We go on trying until {format_date(report.until)}. If that does not help, you will be told."
        case Action.EXPANDED:
            yield "You will be told when one of them cannot be reached."
        case Action.DELIVERED | Action.RELAYED:
            yield "You need to do nothing."


def _reasons(item: Reported) -> Iterator[str]:
    words = clean(item.words)
    if item.action is Action.FAILED and item.expired:
        yield "    It was tried for too long. The last time:"
    if item.action in {Action.FAILED, Action.DELAYED}:
        who = f"{clean(item.host)} said: " if item.host and item.code else ""
        code = f"{item.code} " if item.code else ""
        yield f"    {who}{code}{words or 'no reason was given'}"
    elif item.action is Action.RELAYED and item.host:
        yield f"    It was given to {clean(item.host)}."


def _advice(recipients: Sequence[Reported]) -> str:
    if any(item.expired for item in recipients):
        return "Please try again later, or reach the recipient in another way."
    subjects = {status_of(item)[2:4] for item in recipients}
    if subjects & {"1."}:
        return "Please check the spelling of the address."
    if subjects & {"2.", "3."}:
        return "Please try again later, perhaps with a smaller message, or reach the recipient in another way."
    return "If the reason above does not help, please ask the recipient or whoever runs your mail system."


# the part for programs


def _status(report: Report, *, utf8: bool) -> bytes:
    lines = [f"Reporting-MTA: dns; {report.hostname}"]
    if report.envelope_id:
        lines.insert(0, f"Original-Envelope-Id: {clean(report.envelope_id)}")  # RFC 3461 section 6.3
    lines.append(f"Arrival-Date: {format_date(report.arrived)}")
    if report.hold:
        lines.append(f"Future-Release-Request: {clean(report.hold)}")  # RFC 4865 section 5.1.2
    for item in report.recipients:
        lines.extend(("", *_fields(item, report, utf8=utf8)))
    kind = "message/global-delivery-status" if utf8 else "message/delivery-status"
    text = "\r\n".join(lines) + "\r\n"
    # RFC 3464 section 2.1: the ASCII type holds nothing else, and no encoding either.
    octets = text.encode("utf-8", "replace") if utf8 else text.encode("ascii", "replace")
    return _part(kind, octets, report)


def _fields(item: Reported, report: Report, *, utf8: bool) -> Iterator[str]:
    # RFC 3464 section 2.3
    if item.original:
        kind, _, text = clean(item.original).partition(";")
        yield f"Original-Recipient: {kind}; {_address_text(text.strip(), utf8=utf8)}"
    kind = "rfc822" if item.address.is_ascii else "utf-8"
    yield f"Final-Recipient: {kind}; {_address_text(clean(str(item.address)), utf8=utf8)}"
    yield f"Action: {item.action.value}"
    yield f"Status: {status_of(item)}"
    if item.host:
        yield f"Remote-MTA: dns; {clean(item.host)}"
    if item.code:
        words = " ".join(part for part in (str(item.code), clean(item.status), clean(item.words)) if part)
        yield f"Diagnostic-Code: smtp; {words}"
    if item.action is Action.DELAYED and report.until:
        yield f"Will-Retry-Until: {format_date(report.until)}"


def is_status(text: str) -> bool:
    """Whether a text is an enhanced status code (RFC 3463 section 2)."""
    return _STATUS.fullmatch(text) is not None


def status_of(item: Reported) -> str:
    """Give the status of a recipient, whatever the far side said (RFC 3463 section 2)."""
    if item.action is Action.FAILED and item.expired:
        return STATUS_EXPIRED
    wanted = {Action.FAILED: "5", Action.DELAYED: "4"}.get(item.action, "2")
    if is_status(item.status) and item.status[0] == wanted:
        return item.status
    return STATUS_UNKNOWN[wanted]


def _address_text(address: str, *, utf8: bool) -> str:
    if utf8 or address.isascii():
        return address
    # RFC 6533 section 3: utf-8-addr-xtext, for reports that hold nothing but ASCII
    return "".join(letter if _PLAIN_XTEXT.fullmatch(letter) else rf"\x{{{ord(letter):02X}}}" for letter in address)


def clean(text: str) -> str:
    """Make a peer's words fit into one line."""
    return _CONTROL.sub("?", text).encode("utf-8", "replace")[:WORDS_MAX_CHARACTERS].decode("utf-8", "ignore").strip()


# the message that comes back


def _returned(report: Report, *, utf8: bool) -> bytes:
    content = report.content
    fields_end, _ = header_extent(content, 0, len(content))
    header = content[:fields_end]
    if report.whole and fields_as_lines(content):
        kind = "message/rfc822" if header.isascii() else "message/global"
        if header.isascii() or utf8:
            return _part(kind, content if content.endswith(b"\r\n") else content + b"\r\n", report)
    lines = _cut_lines(header[:RETURNED_HEADER_MAX_OCTETS])
    if lines.isascii():
        return _part("text/rfc822-headers", lines, report)
    if utf8:
        return _part("message/global-headers", lines, report)
    return _encoded("text/rfc822-headers", lines)


def fields_as_lines(content: bytes) -> bool:
    """Whether content can travel as 8bit: no NUL, no line of more than 998 octets (RFC 2045 section 2.8)."""
    if (
        b"\x00" in content
        or content.count(b"\n") != content.count(b"\r\n")
        or content.count(b"\r") > content.count(b"\n")
    ):
        return False
    return all(len(line) <= LINE_MAX_OCTETS for line in content.split(b"\r\n"))


def _part(kind: str, octets: bytes, report: Report) -> bytes:
    """Write a part as it is, or encoded where the report goes on its way without SMTPUTF8 (RFC 6533 section 4.5)."""
    if kind.startswith(GLOBAL) and report.sender.is_ascii and not octets.isascii():
        return _encoded(kind, octets)
    encoding = "7bit" if octets.isascii() else "8bit"
    return f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n".encode("ascii") + octets


def _encoded(kind: str, octets: bytes) -> bytes:
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode("ascii") + _quoted(octets)


def _cut_lines(octets: bytes) -> bytes:
    lines = octets.replace(b"\x00", b"?").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if not lines[-1]:
        lines.pop()
    return b"".join(line[:LINE_MAX_OCTETS] + b"\r\n" for line in lines)


def _quoted(octets: bytes) -> bytes:
    """Encode lines that end in CRLF as quoted-printable (RFC 2045 section 6.7)."""
    lines = octets.split(b"\r\n")
    return b"\r\n".join(quopri.encodestring(line, quotetabs=False).replace(b"\n", b"\r\n") for line in lines)
