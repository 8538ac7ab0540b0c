"""SMTP for Twisted programs: servers for reception and submission, and a sending client. Usable alone."""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.smtp.bridge import receiver_from_delivery
    from mailsuite.smtp.client import send
    from mailsuite.smtp.factory import SMTPFactory, SubmissionFactory
    from mailsuite.smtp.lmtp import LMTPFactory
    from mailsuite.smtp.outcome import Content, Outcome, OutcomeState
    from mailsuite.smtp.replies import Refused, Reply
    from mailsuite.smtp.server import SMTPServer
    from mailsuite.smtp.settings import ClientSettings, SMTPSettings, TLSPolicy

__all__ = [
    "ClientSettings",
    "Content",
    "LMTPFactory",
    "Outcome",
    "OutcomeState",
    "Refused",
    "Reply",
    "SMTPFactory",
    "SMTPServer",
    "SMTPSettings",
    "SubmissionFactory",
    "TLSPolicy",
    "receiver_from_delivery",
    "send",
]

__getattr__ = exporter(
    __name__,
    {
        "ClientSettings": "settings",
        "Content": "outcome",
        "LMTPFactory": "lmtp",
        "Outcome": "outcome",
        "OutcomeState": "outcome",
        "Refused": "replies",
        "Reply": "replies",
        "SMTPFactory": "factory",
        "SMTPServer": "server",
        "SMTPSettings": "settings",
        "SubmissionFactory": "factory",
        "TLSPolicy": "settings",
        "receiver_from_delivery": "bridge",
        "send": "client",
    },
)
