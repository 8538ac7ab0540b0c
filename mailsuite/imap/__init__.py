"""IMAP: grammar, session, verbs, server. It sees accounts and mailboxes through `mailsuite.interfaces` alone."""

from mailsuite.imap.factory import IMAPFactory
from mailsuite.imap.server import IMAPServer
from mailsuite.imap.settings import IMAPSettings

__all__ = ["IMAPFactory", "IMAPServer", "IMAPSettings"]
