"""IMAP: grammar, session, verbs, server. It sees accounts and mailboxes through `mailsuite.interfaces` alone."""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.imap.factory import IMAPFactory
    from mailsuite.imap.server import IMAPServer
    from mailsuite.imap.settings import IMAPSettings, QuirkSettings

__all__ = ["IMAPFactory", "IMAPServer", "IMAPSettings", "QuirkSettings"]

__getattr__ = exporter(
    __name__,
    {
        "IMAPFactory": "factory",
        "IMAPServer": "server",
        "IMAPSettings": "settings",
        "QuirkSettings": "settings",
    },
)
