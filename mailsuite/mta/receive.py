"""
Reception: one message on its way from a protocol server into the spool.

The content streams: what is known of it before (Return-Path, Received) is written first, its header section is looked
at whole, the rest passes through.
"""

from collections.abc import Awaitable, Callable, Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from zope.interface import implementer

from mailsuite.envelope import Body as BodyType
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body, IAccounts, IBinaryMailReceiver, IMailTransaction, Receipt
from mailsuite.message.header import FIELDS_MAX, Field, all_values, first_value, parse_fields
from mailsuite.message.received import received_field, return_path_field
from mailsuite.mta.body import SpoolBody
from mailsuite.mta.content import SpoolMessage, Target
from mailsuite.mta.expansion import with_expansion
from mailsuite.mta.forward import mark_loops
from mailsuite.mta.recipients import RecipientRules
from mailsuite.mta.route import RefusedMail, resolve_targets
from mailsuite.mta.settings import ReceiveSettings
from mailsuite.mta.spool import Spool
from mailsuite.observe import EventLog
from mailsuite.smtp.parameters import NOTIFY_NEVER
from mailsuite.smtp.replies import BARE_NEWLINE, NUL_IN_CONTENT, Reply

NUL = b"\x00"
HEADER_END = b"\r\n\r\n"
LINE_END = b"\r\n"
TLS_REQUIRED = b"tls-required"

# RFC 3463 section 3.5 has X.4.6 for what passes; a loop does not, and other servers say 5.4.6 as well.
LOOP = Reply(554, "5.4.6", ("too many hops: the message is in a loop",))  # RFC 5321 section 6.3
FORWARDING_LOOP = Reply(554, "5.4.6", ("mail forwarding loop",))
BUSY_PAUSE_SECONDS = 0.02
HEADER_ID_MAX = 998  # octets of a Message-ID that are remembered: a line (RFC 5322 section 2.1.1)
NO_ROOM_CODE = 452  # RFC 5321 section 4.2.3
NO_ROOM_ENHANCED = "4.3.1"  # RFC 3463 section 3.4


@implementer(IMailTransaction)
class Transaction:
    """
    One message for some recipients.

    Args:
        may_relay: remote recipients are taken.
        resolve: says where mail for a recipient goes; None asks the directory and nothing else.
    """

    def __init__(
        self,
        spool: Spool,
        accounts: IAccounts,
        settings: ReceiveSettings,
        clock: IReactorTime,
        *,
        peer: Peer,
        sender: Sender,
        may_relay: bool,
        log: EventLog,
        resolve: Callable[[Recipient], Awaitable[Sequence[Target]]] | None = None,
    ) -> None:
        self.settings = settings
        self.sender = sender
        self._spool = spool
        self.clock = clock
        self._peer = peer
        self._resolve = resolve or (lambda recipient: resolve_targets(accounts, recipient, may_relay=may_relay))
        self._targets: dict[tuple[int, str], Target] = {}
        self._recipients: list[Recipient] = []
        self._message_id = spool.take_id()
        self.queue_id = spool.queue_id(self._message_id)
        self._log = log.bind(session=peer.session, peer=peer.ip)
        self._body: SpoolBody | None = None
        self._header: bytearray | None = bytearray()
        self._header_held = 0
        self._received = 0.0
        self._trace_octets = 0
        self._size_octets = 0
        self._is_ascii = True
        self._refusal: MailError | None = None
        self.header_id = ""  # what the message's own header calls it
        self.takes_nul = sender.body is BodyType.BINARY_MIME  # RFC 3030 section 3

    async def add_recipient(self, recipient: Recipient) -> None:
        """Find where mail for this recipient goes; two that lead to the same mailbox are one."""
        for target in with_expansion(recipient, await self._resolve(recipient)):
            key = (
                -1 if target.is_notice else target.account_id,
                target.mailbox if target.is_local else str(target.address),
            )
            known = self._targets.get(key)
            if known is None or known.notify == NOTIFY_NEVER:  # who is to hear of nothing hears of another's failure
                self._targets[key] = target
        self._recipients.append(recipient)

    def begin_data(self) -> None:
        """Write the trace fields."""
        self._received = self.clock.seconds()
        path = return_path_field("" if self.sender.path is None else str(self.sender.path))
        self._trace_octets = len(path)
        trace = received_field(
            peer=self._peer,
            hostname=self.settings.hostname,
            queue_id=self.queue_id,
            recipient=str(self._recipients[0].path) if len(self._recipients) == 1 else None,
            when=self._received,
            smtputf8=self.sender.smtputf8,
            lmtp=self._peer.lmtp,
        )
        self._body = self._spool.begin_body(self._message_id)
        self._write_body(path + trace)

    def write(self, chunk: bytes) -> Deferred[None] | None:
        """Take octets of the content."""
        if self._refusal is not None:
            raise self._refusal
        try:
            return self._take(chunk)
        except MailError as error:
            self.refuse(error)
            raise

    def _take(self, chunk: bytes) -> Deferred[None] | None:
        self._size_octets += len(chunk)
        if self._size_octets > self.settings.message_max_octets:
            raise MailError(Kind.TOO_LARGE)
        if NUL in chunk and not self.takes_nul:
            raise RefusedMail(Kind.INVALID, NUL_IN_CONTENT)
        if self._header is None:
            return self.write_content(chunk)
        seam = max(0, len(self._header) - len(HEADER_END) + 1)
        self._header += chunk
        if self._header[:2] == LINE_END:
            end = 0
        else:
            end = self._header.find(HEADER_END, seam) + len(LINE_END)
            if end < len(LINE_END):
                if len(self._header) > self.settings.header_max_octets:
                    raise MailError(Kind.TOO_LARGE, "the header section is too big")
                self._count_header(len(self._header))
                return None
        return self._end_header(end)

    def _end_header(self, end: int) -> Deferred[None] | None:
        assert self._header is not None
        header, rest = bytes(self._header[:end]), bytes(self._header[end:])
        self._header = None
        if self._header_held:
            self._count_header(0)
        if self.sender.body is BodyType.BINARY_MIME:
            ensure_text(header)
        fields = parse_fields(header)
        if len(fields) >= FIELDS_MAX:
            raise MailError(Kind.INVALID, "the message has too many header fields")
        if sum(name == b"received" for name, _ in fields) >= self.settings.hops_max:
            raise RefusedMail(Kind.DENIED, LOOP)
        self._look_for_loops(fields)
        if is_tls_optional(fields) and not self.sender.require_tls:
            self.sender = attrs.evolve(self.sender, tls_optional=True)
        self.header_id = (first_value(fields, b"message-id") or b"")[:HEADER_ID_MAX].decode("ascii", "replace")
        return self.take_header(header, fields, rest)

    def _look_for_loops(self, fields: Sequence[Field]) -> None:
        """Let forwards end through which the message has come before; where nothing else is left, refuse it."""
        if not any(target.forwarder for target in self._targets.values()):
            return
        marked = mark_loops(list(self._targets.values()), fields)
        if all(target.looped for target in marked):
            raise RefusedMail(Kind.DENIED, FORWARDING_LOOP)
        self._targets = dict(zip(self._targets, marked, strict=True))

    def take_header(
        self,
        header: bytes,
        fields: Sequence[Field],  # noqa: ARG002 - for subclasses
        rest: bytes,
    ) -> Deferred[None] | None:
        """Take the header section, and octets that came with its end; here it stays as it is."""
        return self.write_content(header + rest)

    def write_content(self, octets: bytes) -> Deferred[None] | None:
        """Write octets of the sender's content as they are to be, its header section first."""
        self._is_ascii = self._is_ascii and octets.isascii()
        return self._write_body(octets)

    async def end_content(self) -> None:
        """All content was taken; for subclasses that held something back."""

    @property
    def is_over(self) -> bool:
        """Whether nobody wants the content any more."""
        return self._body is None

    def refuse(self, error: MailError) -> None:
        """Take no more of the content; the end is answered with this failure."""
        self._refusal = error
        self._drop_body()

    def _write_body(self, octets: bytes) -> Deferred[None] | None:
        assert self._body is not None  # begin_data made it
        return self._body.write(octets)

    async def commit(self) -> Receipt:
        """Make it durable."""
        try:
            content = await self._finish()
        except BaseException:
            self._drop_body()
            raise
        message = SpoolMessage(
            message_id=self._message_id,
            received=int(self._received),
            sender=self._described(),
            targets=tuple(self._targets.values()),
            content=content,
            trace_octets=self._trace_octets,
        )
        try:
            receipt = await self._spool.put(message)
        except MailError:
            self._drop_body()
            raise
        finally:
            # Who gave up waiting may not take the body away: the spool may have it by now.
            self._release_body()
        self._log.emit(
            "spool.message.accepted",
            queue_id=self.queue_id,
            sender=str(self.sender.path or "<>"),
            recipients=[str(recipient.path) for recipient in self._recipients],
            size=self._size_octets,
            message_id=self.header_id,
            helo=self._peer.helo,
            port=self._peer.local_port,
            tls=self._peer.tls,
            targets=[target.shown for target in message.targets],
        )
        return receipt

    def _described(self) -> Sender:
        """Say of the content what it is: a client may call it 7BIT, and a relay must not (RFC 6152 section 3)."""
        if self.sender.body is BodyType.BINARY_MIME:
            return self.sender
        body = BodyType.SEVEN_BIT if self._is_ascii else BodyType.EIGHT_BIT_MIME
        return self.sender if self.sender.body is body else attrs.evolve(self.sender, body=body)

    async def _finish(self) -> bytes | Body:
        if self._refusal is not None:
            raise self._refusal
        if self._header is not None:
            waiting = self._end_header(len(self._header))
            if waiting is not None:
                await waiting
        await self.end_content()
        assert self._body is not None  # begin_data made it
        return await self._body.finish()

    def _release_body(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.release()

    def abort(self) -> None:
        """Forget it."""
        self._drop_body()

    def _count_header(self, octets: int) -> None:
        """Let the spool know how much of a header section lies here, so that strangers do not fill the memory."""
        self._spool.hold(octets - self._header_held)
        self._header_held = octets

    def _drop_body(self) -> None:
        self._count_header(0)
        body, self._body = self._body, None
        self._header = None
        if body is not None:
            body.abort()


def is_tls_optional(fields: Sequence[Field]) -> bool:
    """Whether a header section says ``TLS-Required: No``, and once (RFC 8689 section 3)."""
    return [value.lower() for value in all_values(fields, TLS_REQUIRED)] == [b"no"]


def ensure_text(header: bytes) -> None:
    """
    See to it that a header section is lines of text even where the body need not be (RFC 3030 section 3).

    Raises:
        RefusedMail: a NUL, or a CR or LF that is no part of CRLF.
    """
    if NUL in header:
        raise RefusedMail(Kind.INVALID, NUL_IN_CONTENT)
    ends = header.count(LINE_END)
    if header.count(b"\r") != ends or header.count(b"\n") != ends:
        raise RefusedMail(Kind.INVALID, BARE_NEWLINE)


async def ensure_room(spool: Spool, settings: ReceiveSettings, sender: Sender, clock: IReactorTime) -> None:
    """
    Let a transaction begin as soon as there is room for it.

    Raises:
        MailError: TOO_LARGE for the declared size, UNAVAILABLE when there is no room.
    """
    if sender.size_octets > settings.message_max_octets:
        raise MailError(Kind.TOO_LARGE)
    deadline = clock.seconds() + settings.busy_wait_seconds
    while spool.busy and clock.seconds() < deadline:
        await deferLater(clock, BUSY_PAUSE_SECONDS)
    try:
        spool.ensure_room(settings.room_octets)
    except MailError as error:
        raise RefusedMail(error.kind, Reply(NO_ROOM_CODE, NO_ROOM_ENHANCED, (error.detail,))) from error


@implementer(IBinaryMailReceiver)
class Receiver:
    """
    Takes mail from strangers for our own recipients, and for nobody else.

    Args:
        settings: for transactions that begin from now on; may be exchanged.
        clock: what time it is.
        rules: what else holds for recipients.
    """

    def __init__(
        self,
        spool: Spool,
        accounts: IAccounts,
        settings: ReceiveSettings,
        clock: IReactorTime,
        rules: RecipientRules | None = None,
    ) -> None:
        self._rules = rules
        self._spool = spool
        self._accounts = accounts
        self.settings = settings
        self._clock = clock
        self._log = EventLog(Logger("mailsuite.mta.receive"))

    async def begin(self, peer: Peer, sender: Sender) -> IMailTransaction:
        """Begin a transaction."""
        settings, rules = self.settings, self._rules
        await ensure_room(self._spool, settings, sender, self._clock)
        return Transaction(
            self._spool,
            self._accounts,
            settings,
            self._clock,
            peer=peer,
            sender=sender,
            may_relay=False,
            log=self._log,
            resolve=None if rules is None else lambda recipient: rules.resolve(recipient, sender, settings),
        )
