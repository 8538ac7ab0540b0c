"""Submission: mail from our own accounts to anywhere. RFC 6409."""

import uuid
from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mailsuite.envelope import Peer, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts, IBinaryMailReceiver, IMailTransaction
from mailsuite.message.dates import format_date
from mailsuite.message.header import Field
from mailsuite.mta.receive import Transaction, ensure_room
from mailsuite.mta.settings import ReceiveSettings
from mailsuite.mta.spool import Spool
from mailsuite.observe import EventLog

BLIND_FIELDS = frozenset((b"bcc", b"resent-bcc"))  # RFC 5322 section 3.6.3


class SubmittedTransaction(Transaction):
    """A message whose header section we complete (RFC 6409 section 8)."""

    def prepare_header(self, header: bytes, fields: Sequence[Field]) -> bytes:
        """Add Date and Message-ID where they are absent; remove Bcc."""
        names = {name for name, _ in fields}
        added = b""
        if b"date" not in names:
            added += f"Date: {format_date(self.clock.seconds())}\r\n".encode("ascii")
        if b"message-id" not in names:
            self.header_id = f"<{uuid.uuid4().hex}@{self._id_domain()}>"
            added += f"Message-ID: {self.header_id}\r\n".encode("ascii")
        if names & BLIND_FIELDS:
            header = without_fields(header, BLIND_FIELDS)
        if header and not fields:
            added += b"\r\n"  # no header section at all: what came is the body
        return added + header

    def _id_domain(self) -> str:
        path = self.sender.path
        return path.domain if path is not None and path.domain else self.settings.hostname


def without_fields(header: bytes, names: frozenset[bytes]) -> bytes:
    """Leave fields out of a header section, with their continuation lines; all else keeps its octets."""
    kept = []
    leaving = False
    for line in header.splitlines(keepends=True):
        if line[:1] not in {b" ", b"\t"}:
            leaving = line.partition(b":")[0].strip(b" \t").lower() in names
        if not leaving:
            kept.append(line)
    return b"".join(kept)


@implementer(IBinaryMailReceiver)
class Submission:
    """
    What the portal hands out for SMTP AUTH: takes mail from one account.

    Args:
        email: the account's address.
    """

    def __init__(
        self, spool: Spool, accounts: IAccounts, settings: ReceiveSettings, clock: IReactorTime, email: str
    ) -> None:
        self.email = email
        self._spool = spool
        self._accounts = accounts
        self._settings = settings
        self._clock = clock
        self._log = EventLog(Logger("mailsuite.mta.submission"), {"account": email})

    async def begin(self, peer: Peer, sender: Sender) -> IMailTransaction:
        """Begin a transaction; the null reverse-path is allowed, since disposition notices need it (RFC 8098)."""
        await ensure_room(self._spool, self._settings, sender, self._clock)
        if sender.path is not None and not await self._accounts.may_send_as(self.email, sender.path):
            raise MailError(Kind.DENIED, "this sender address is not yours")
        return SubmittedTransaction(
            self._spool,
            self._accounts,
            self._settings,
            self._clock,
            peer=peer,
            sender=sender,
            may_relay=True,
            log=self._log,
        )
