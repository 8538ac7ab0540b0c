"""
Submission: mail from our own accounts to anywhere. RFC 6409.

What a message of an account goes through, in this order; each step sees what the one before it made of the message:

1. ``MAIL``: the reverse-path is one of the account's addresses (`Submission.begin`).
2. The end of the header section: From is one of them, too (`mailsuite.mta.author`).
3. Header fields are taken away and added (`SubmittedTransaction.completed`).
4. Header fields that are not ASCII or too long, and the encodings of all parts, are brought into the form that every
   hop takes (`mailsuite.message.sevenbit.Conversion`), while the message streams.
5. `Transaction.write_content` gets the final octets, the header section first. Whatever signs a message belongs here.
6. The end: the throttle says when it may leave (`mailsuite.interfaces.IThrottle`).
"""

import math
import uuid
from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.envelope import Body as BodyType
from mailsuite.envelope import Peer, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Body,
    Claim,
    Grant,
    IAccounts,
    IBinaryMailReceiver,
    IMailTransaction,
    IThrottle,
    Receipt,
)
from mailsuite.message.dates import format_date
from mailsuite.message.header import FIELDS_MAX, Field
from mailsuite.message.leaf import ConversionRules
from mailsuite.message.mend import split_fields, without_fields
from mailsuite.message.newline import find_bare
from mailsuite.message.received import return_path_field
from mailsuite.message.sevenbit import Conversion
from mailsuite.mta.author import Authors, find_authors
from mailsuite.mta.content import SpoolMessage, Target
from mailsuite.mta.held import TELL_SECONDS, held_note, make_notice, refusal
from mailsuite.mta.receive import LINE_END, NUL, Transaction, ensure_room
from mailsuite.mta.route import RefusedMail
from mailsuite.mta.settings import ReceiveSettings, SubmissionSettings
from mailsuite.mta.spool import Spool
from mailsuite.observe import EventLog, background
from mailsuite.smtp.replies import BARE_NEWLINE, NUL_IN_CONTENT, Reply

DROPPED_FIELDS = frozenset(
    (
        b"bcc",  # RFC 5322 section 3.6.3
        b"resent-bcc",
        b"return-path",  # whoever delivers it writes that: RFC 5321 section 4.4
    )
)

CONTINUATIONS = (b"\n ", b"\n\t")
"""Beginnings of lines that are no field of their own (RFC 5322 section 2.2.3)."""

PIECE_OCTETS = 16 * 1024
TURN_SECONDS = 0.01
"""So long, or one piece, the encoding of content may take before something else has its turn."""

FOREIGN_FROM = Reply(
    550,
    "5.7.1",
    ("the From field holds an address that is not yours: send from your own address or one of its aliases",),
)  # RFC 6409 section 6.1


class SubmittedTransaction(Transaction):
    """
    A message of one of our accounts, which we complete and bring into form (RFC 6409 section 8).

    Args:
        submission: the account's.
    """

    def __init__(self, submission: "Submission", peer: Peer, sender: Sender) -> None:
        super().__init__(
            submission.spool,
            submission.accounts,
            submission.settings,
            submission.clock,
            peer=peer,
            sender=sender,
            may_relay=True,
            log=submission.log,
        )
        self._submission = submission
        self._is_binary = sender.body is BodyType.BINARY_MIME
        self.takes_nul = self._is_binary
        self._conversion = Conversion(
            ConversionRules(ascii_only=submission.rules.downgrade, utf8_fields=sender.smtputf8)
        )
        self._grant: Grant | None = None  # what makes it wait
        self._ends_in_cr = False

    # the content

    def take_header(self, header: bytes, fields: Sequence[Field], rest: bytes) -> Deferred[None]:
        """Look who wrote it, then complete it."""
        return Deferred.fromCoroutine(self._complete(header, fields, rest))

    async def _complete(self, header: bytes, fields: Sequence[Field], rest: bytes) -> None:
        submission = self._submission
        try:
            if not fields:
                header, rest = b"", LINE_END + header + rest if header else rest  # what came is the body
            written = written_fields(header)
            header = b"".join(raw for _, raw in written)
            authors = await find_authors(submission.accounts, submission.email, written)
            if authors.written and not authors.own and not submission.rules.any_from:
                raise RefusedMail(Kind.DENIED, FOREIGN_FROM)
            if self.is_over:
                return  # the sender went away meanwhile
            waiting = self.write_content(self.completed(header, written, authors) + rest)
            if waiting is not None:
                await waiting
        except MailError as error:
            self.refuse(error)
            raise

    def completed(self, header: bytes, fields: Sequence[Field], authors: Authors) -> bytes:
        """
        Add From, Sender, Date and Message-ID where they are absent, and take away what must not travel.

        Sender is there where From does not say who sent it, and is the account's own then (RFC 6409 section 8.1).
        """
        names = {name for name, _ in fields}
        dropped = set(DROPPED_FIELDS)
        added = b""
        if not authors.written:
            added += b"From: " + self._own_address().encode("utf-8") + b"\r\n"
        if authors.sender_written and not authors.sender_own:
            dropped.add(b"sender")
        if authors.wants_sender and not authors.sender_own:
            added += b"Sender: " + self._own_address().encode("utf-8") + b"\r\n"
        if b"date" not in names:
            added += f"Date: {format_date(self.clock.seconds())}\r\n".encode("ascii")
        if b"message-id" not in names:
            self.header_id = f"<{uuid.uuid4().hex}@{self._id_domain()}>"
            added += f"Message-ID: {self.header_id}\r\n".encode("ascii")
        if names & dropped:
            header = without_fields(header, dropped)
        return added + header

    def _own_address(self) -> str:
        return self._submission.email if self.sender.path is None else str(self.sender.path)

    def _id_domain(self) -> str:
        path = self.sender.path
        return path.domain if path is not None and path.domain else self.settings.hostname

    def write_content(self, octets: bytes) -> Deferred[None] | None:
        """Bring the next octets into form, and pass them on; what takes long is divided among turns of the reactor."""
        waiting = self._pass_on(self._conversion.feed(octets[:PIECE_OCTETS]))
        rest = octets[PIECE_OCTETS:]
        if not rest:
            return waiting
        return Deferred.fromCoroutine(self._write_rest(waiting, rest))

    async def _write_rest(self, waiting: Deferred[None] | None, octets: bytes) -> None:
        began = self.clock.seconds()
        try:
            for at in range(0, len(octets), PIECE_OCTETS):
                if waiting is not None:
                    await waiting
                if self.clock.seconds() - began > TURN_SECONDS:
                    await deferLater(self.clock, 0)
                    began = self.clock.seconds()
                if self.is_over:
                    return
                waiting = self._pass_on(self._conversion.feed(octets[at : at + PIECE_OCTETS]))
            if waiting is not None:
                await waiting
        except MailError as error:
            self.refuse(error)
            raise

    async def end_content(self) -> None:
        """Pass on what was held back, and say when the message may leave."""
        waiting = self._pass_on(self._conversion.finish())
        if waiting is not None:
            await waiting
        if self._is_binary:
            self.sender = attrs.evolve(self.sender, body=BodyType.EIGHT_BIT_MIME)  # nothing binary is left

    def _pass_on(self, octets: bytes) -> Deferred[None] | None:
        if not octets:
            return None
        if self._is_binary:
            self._ensure_text(octets)
        return super().write_content(octets)

    def _ensure_text(self, octets: bytes) -> None:
        """Refuse what was sent as binary content and could not be encoded: it lies outside of any part."""
        if NUL in octets:
            raise RefusedMail(Kind.INVALID, NUL_IN_CONTENT)
        seam = b"\r" + octets if self._ends_in_cr else octets
        self._ends_in_cr = seam.endswith(b"\r")
        if find_bare(seam.removesuffix(b"\r")) >= 0:
            raise RefusedMail(Kind.INVALID, BARE_NEWLINE)

    # the end

    async def _finish(self) -> bytes | Body:
        content = await super()._finish()
        await self._claim()
        return content

    async def _claim(self) -> None:
        """Ask when the message may leave, and refuse it when that is too late."""
        email, path = self._submission.email, self.sender.path
        claims = [
            Claim("submission.hour", email),
            Claim("submission.day", email),
            Claim("submission.recipients", email, len(self._recipients)),
            # What has no sender address is answered by nobody; receipts (RFC 8098) are few.
            Claim("submission.null", email) if path is None else Claim("submission.sender", path.key),
        ]
        grant = await self._submission.take(claims)
        if not grant.allowed:
            raise RefusedMail(Kind.UNAVAILABLE, refusal(grant))
        release = math.ceil(self.clock.seconds() + grant.wait_seconds)
        if grant.wait_seconds and release > self.sender.release:
            self._grant = grant
            self.sender = attrs.evolve(self.sender, release=release)

    async def commit(self) -> Receipt:
        """Make it durable; say so if it has to wait."""
        receipt = await super().commit()
        grant, release = self._grant, self.sender.release
        if grant is None:
            return receipt
        self._log.emit("submission.message.held", queue_id=receipt.queue_id, rule=grant.rule, release=release)
        if grant.wait_seconds >= TELL_SECONDS:
            _ = background(self._submission.tell_held(receipt, grant, release), self._log, "a notice of held mail")
        return attrs.evolve(receipt, note=held_note(grant, release))


def written_fields(header: bytes) -> list[Field]:
    """
    Give whatever somebody may take for a field, also behind those that are looked at elsewhere.

    What continues nothing is left out: it must not continue a field that we put before it.

    Raises:
        MailError: INVALID, when there are too many.
    """
    if header.count(b"\n") - sum(map(header.count, CONTINUATIONS)) > FIELDS_MAX:
        raise MailError(Kind.INVALID, "the message has too many header fields")
    written = split_fields(header)
    return written[1:] if header.startswith((b" ", b"\t")) else written


@implementer(IBinaryMailReceiver)
class Submission:
    """
    What the portal hands out for SMTP AUTH: takes mail from one account.

    Args:
        email: the account's address.
        rules: what becomes of its messages.
        throttle: how many there may be; None is without limit.
    """

    def __init__(
        self,
        spool: Spool,
        accounts: IAccounts,
        settings: ReceiveSettings,
        clock: IReactorTime,
        email: str,
        *,
        rules: SubmissionSettings | None = None,
        throttle: IThrottle | None = None,
    ) -> None:
        self.email = email
        self.spool = spool
        self.accounts = accounts
        self.settings = settings
        self.clock = clock
        self.rules = rules or SubmissionSettings()
        self.log = EventLog(Logger("mailsuite.mta.submission"), {"account": email})
        self._throttle = throttle

    async def begin(self, peer: Peer, sender: Sender) -> IMailTransaction:
        """Begin a transaction; the null reverse-path is allowed, since disposition notices need it (RFC 8098)."""
        await ensure_room(self.spool, self.settings, sender, self.clock)
        if sender.path is not None and not await self.accounts.may_send_as(self.email, sender.path):
            raise MailError(Kind.DENIED, "this sender address is not yours")
        return SubmittedTransaction(self, peer, sender)

    async def take(self, claims: Sequence[Claim]) -> Grant:
        """
        Ask the throttle.

        Raises:
            MailError: UNAVAILABLE.
        """
        return Grant(allowed=True) if self._throttle is None else await self._throttle.take(claims)

    async def tell_held(self, receipt: Receipt, grant: Grant, release: int) -> None:
        """
        Tell the account, in its own INBOX and not too often, that its mail is held.

        Args:
            receipt: of the message that is held.
            release: when it leaves, in seconds since the epoch.

        Raises:
            MailError: it could not be told.
        """
        account = await self.accounts.find(self.email)
        if account is None or not (await self.take([Claim("submission.notice", self.email)])).allowed:
            return
        now = self.clock.seconds()
        content = make_notice(
            hostname=self.settings.hostname,
            account=self.email,
            queue_id=receipt.queue_id,
            grant=grant,
            release=release,
            now=now,
            message_id=uuid.uuid4().hex,
        )
        target = Target(
            address=Address.parse(account.email),
            account_id=account.account_id,
            email=account.email,
            quota_octets=account.quota_octets,
        )
        message = SpoolMessage(
            message_id=self.spool.take_id(),
            received=int(now),
            sender=Sender(path=None, body=BodyType.SEVEN_BIT if content.isascii() else BodyType.EIGHT_BIT_MIME),
            targets=(target,),
            content=content,
            trace_octets=len(return_path_field("")),
        )
        await self.spool.put(message)
