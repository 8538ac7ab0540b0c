"""The other program: a few notes, and accounts of its own, written for ``twisted.mail`` and ``twisted.cred``."""

import io

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.mail.imap4 import MemoryAccount, statusRequestHelper
from twisted.mail.interfaces import IAccountIMAP, IMailboxIMAP, IMessageIMAP
from zope.interface import implementer

NOTES = ["Water the plants", "Call Bob about Thursday"]


@implementer(IMessageIMAP)
class Note:
    """One note, seen as a message."""

    def __init__(self, uid: int, text: str) -> None:
        self.uid, self.text, self.flags = uid, text, []
        self.getUID = lambda: self.uid
        self.getFlags = lambda: self.flags
        self.getInternalDate = lambda: b"Tue, 17 Nov 2026 10:00:00 +0000"
        self.getBodyFile = lambda: io.BytesIO(self.text.encode() + b"\r\n")
        self.getSize = lambda: len(self.text) + 2
        self.isMultipart = lambda: False

    def getHeaders(self, negate, *names):
        """Give the fields that are named, or with `negate` all others."""
        wanted = {name.lower() for name in names}
        fields = {"subject": self.text, "from": "notes@example.test"}
        return {name: value for name, value in fields.items() if (name in wanted) is not negate}


@implementer(IMailboxIMAP)
class Notes:
    """All notes, seen as a mailbox that can be read and flagged."""

    def __init__(self, texts: list[str]) -> None:
        self.notes = [Note(number, text) for number, text in enumerate(texts, 1)]
        self.listeners = []
        self.addListener, self.removeListener = self.listeners.append, self.listeners.remove
        self.getUIDValidity = lambda: 1
        self.getUIDNext = lambda: len(self.notes) + 1
        self.getUID = lambda number: number
        self.getMessageCount = lambda: len(self.notes)
        self.getRecentCount = self.getUnseenCount = lambda: 0
        self.getFlags = lambda: ["\\Seen", "\\Flagged"]
        self.getHierarchicalDelimiter = lambda: "/"
        self.isWriteable = lambda: True
        self.expunge = list
        self.requestStatus = lambda names: statusRequestHelper(self, names)

    def fetch(self, messages, uid):
        """Give the notes of a set of numbers; here a number and a UID are the same."""
        messages.last = len(self.notes)
        return [(note.uid, note) for note in self.notes if note.uid in messages]

    def store(self, messages, flags, mode, uid):
        """Change flags: mode 1 adds, -1 removes, 0 replaces."""
        changed = {}
        for number, note in self.fetch(messages, uid):
            old = set(note.flags)
            note.flags = sorted({0: set(flags), 1: old | set(flags), -1: old - set(flags)}[mode])
            changed[number] = note.flags
        return changed


@implementer(IRealm)
class Realm:
    """Hands out the notes to everybody who may log in."""

    def __init__(self) -> None:
        self.account = MemoryAccount("notes")
        self.account.addMailbox("INBOX", Notes(NOTES))

    def requestAvatar(self, avatarId, mind, *interfaces):
        """Give an IMAP account to whoever asks for one."""
        if IAccountIMAP not in interfaces:
            raise NotImplementedError("there is only IMAP here")
        return IAccountIMAP, self.account, lambda: None


portal = Portal(Realm(), [InMemoryUsernamePasswordDatabaseDontUse(alice=b"alices-password")])
