"""
The commands of an envelope as a client says them, with the parameters that a host offered to take.

Who logged in here is nobody's business there, and hosts do not believe it: AUTH is never passed on, and a host that we
logged in to is told ``AUTH=<>`` (RFC 4954 section 5).
"""

import contextlib
import re

from mailsuite.envelope import Body, Recipient, Sender
from mailsuite.errors import MailError
from mailsuite.smtp.grammar import encode_orcpt, encode_path, encode_xtext
from mailsuite.smtp.offered import Offered

ENVID_MAX_OCTETS = 100  # RFC 3461 section 4.4
_RET = frozenset({"FULL", "HDRS"})  # RFC 3461 section 4.3
_NOTIFY = re.compile(r"NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY)){0,2}")  # RFC 3461 section 4.1


def encode_mail(
    sender: Sender, offered: Offered, *, size_octets: int, body: Body, smtputf8: bool, logged_in: bool = False
) -> bytes:
    """
    Write MAIL.

    Args:
        size_octets: of the content as it goes to this host.
        body: what the content as it goes there is.
        logged_in: this server has authenticated itself there.

    Raises:
        MailError: INVALID, the reverse-path cannot be written.
    """
    words = [b"MAIL FROM:" + encode_path(sender.path)]
    if offered.size:
        words.append(b"SIZE=%d" % size_octets)
    if body is not Body.SEVEN_BIT:
        words.append(b"BODY=" + body.value.encode("ascii"))
    if smtputf8:
        words.append(b"SMTPUTF8")
    if sender.require_tls and offered.requiretls:
        words.append(b"REQUIRETLS")  # RFC 8689 section 4.2.1
    if logged_in and offered.auth:
        words.append(b"AUTH=<>")
    if offered.dsn:
        if sender.ret in _RET:
            words.append(b"RET=" + sender.ret.encode("ascii"))
        envid = encode_xtext(sender.envelope_id)
        if 0 < len(envid) <= ENVID_MAX_OCTETS:
            words.append(b"ENVID=" + envid)
    return b" ".join(words) + b"\r\n"


def requires_tls(sender: Sender) -> bool:
    """
    Say whether a message may go nowhere but where TLS is kept.

    A report with REQUIRETLS asks for it where it can be had, and is not lost where not: RFC 8689 section 4.2.1 and
    section 5.
    """
    return sender.require_tls and sender.path is not None


def encode_rcpt(recipient: Recipient, offered: Offered, *, smtputf8: bool) -> bytes:
    """
    Write RCPT.

    Raises:
        MailError: INVALID, the forward-path cannot be written.
    """
    line = b"RCPT TO:" + encode_path(recipient.path)
    if offered.dsn:
        if _NOTIFY.fullmatch(recipient.notify):
            line += b" NOTIFY=" + recipient.notify.encode("ascii")
        if recipient.original:
            with contextlib.suppress(MailError):  # what cannot be said is left out; the report will lack it
                line += b" ORCPT=" + encode_orcpt(recipient.original, smtputf8=smtputf8)
    return line + b"\r\n"
