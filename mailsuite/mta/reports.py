"""
Reports to senders: who is told of what, and the message that tells it.

RFC 3461 section 5.2 says when, `mailsuite.message.dsn` writes it, and decision 18 says who is told nothing.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailsuite.address import Address
from mailsuite.envelope import Body as BodyType
from mailsuite.envelope import Recipient, Sender
from mailsuite.errors import MailError
from mailsuite.interfaces import IAccounts
from mailsuite.message.dsn import RETURNED_HEADER_MAX_OCTETS, Action, Report, Reported, write_report
from mailsuite.message.header import first_value, header_extent, parse_fields
from mailsuite.message.received import return_path_field
from mailsuite.mta.content import SpoolMessage, Target
from mailsuite.mta.local import is_temporary
from mailsuite.mta.relay import SpooledContent
from mailsuite.mta.route import resolve_targets
from mailsuite.mta.settings import QueueSettings
from mailsuite.mta.spool import Spool
from mailsuite.observe import EventLog
from mailsuite.smtp.outcome import Outcome, OutcomeState

Restore = Callable[[Recipient], Awaitable[Sequence[Target]]]

KEYWORDS = {Action.FAILED: "FAILURE", Action.DELAYED: "DELAY"}  # RFC 3461 section 4.1; all others are SUCCESS
LIST_PRECEDENCES = frozenset((b"list", b"bulk", b"junk"))


@attrs.frozen
class News:
    """
    What may be told of one recipient.

    Args:
        until: when a delayed message is given up.
    """

    target: Target
    action: Action
    outcome: Outcome
    until: float = 0.0


def is_asked_for(target: Target, action: Action) -> bool | None:
    """Whether the sender asked for this, or asked not to be told; None when it said nothing (RFC 3461 section 4.1)."""
    return target.asked_for(KEYWORDS.get(action, "SUCCESS"))


def may_be_told(target: Target, action: Action, *, automatic: bool) -> bool:
    """
    Whether the sender of a message is told.

    Args:
        automatic: the message was written by a program, or came through a list.
    """
    asked = is_asked_for(target, action)
    if automatic:
        return action is Action.FAILED and asked is True
    return asked if asked is not None else action in KEYWORDS


def is_automatic(header: bytes) -> bool:
    """Whether a program wrote it (RFC 3834 section 5), or a mailing list sent it (RFC 2919 section 2)."""
    fields = parse_fields(header)
    submitted = (first_value(fields, b"auto-submitted") or b"no").lower().partition(b";")[0].partition(b"(")[0].strip()
    if submitted not in {b"no", b""}:
        return True
    precedence = (first_value(fields, b"precedence") or b"").lower().strip()
    return precedence in LIST_PRECEDENCES and first_value(fields, b"list-id") is not None


class Reports:
    """
    Writes reports about the messages of one spool.

    Args:
        hostname: ours, and the domain of reports.
        restore: says where a report to a reverse-path goes that we wrote ourselves for mail that we passed on; nowhere
            when it is no such address.
    """

    def __init__(
        self,
        spool: Spool,
        accounts: IAccounts,
        settings: QueueSettings,
        clock: IReactorTime,
        *,
        hostname: str,
        restore: Restore | None = None,
    ) -> None:
        self._restore = restore
        self._spool = spool
        self._accounts = accounts
        self._settings = settings
        self._clock = clock
        self._hostname = hostname
        self._log = EventLog(Logger("mailsuite.mta.queue"))

    async def write(self, message: SpoolMessage, news: Sequence[News]) -> list[SpoolMessage]:
        """
        Write the reports that some news make necessary, at most one for each action.

        Raises:
            MailError: the directory cannot say now where they go.
        """
        sender = message.sender.path
        # Most news are deliveries that nobody asked about: the message need not be read for them.
        news = [item for item in news if may_be_told(item.target, item.action, automatic=False)]
        if sender is None or not news:
            return []  # a report never answers a report (RFC 5321 section 4.5.5)
        header = await self._read(message, RETURNED_HEADER_MAX_OCTETS)
        header = header[: header_extent(header, 0, len(header))[0]]
        automatic = is_automatic(header)
        news = [item for item in news if may_be_told(item.target, item.action, automatic=automatic)]
        if not news:
            return []
        targets = await self._targets(message, sender)
        if not targets:
            return []
        reports = []
        for action in Action:
            told = [item for item in news if item.action is action]
            if told:
                reports.append(await self._report(message, sender, header, targets, told))
        return reports

    async def _targets(self, message: SpoolMessage, sender: Address) -> Sequence[Target]:
        try:
            recipient = Recipient(path=sender)
            targets = () if self._restore is None else await self._restore(recipient)
            return targets or await resolve_targets(self._accounts, recipient, may_relay=True)
        except MailError as error:
            if is_temporary(error):
                raise
            queue_id = self._spool.queue_id(message.message_id)
            self._log.emit("queue.report.dropped", queue_id=queue_id, sender=str(sender))
            return ()

    async def _report(
        self, message: SpoolMessage, sender: Address, header: bytes, targets: Sequence[Target], news: Sequence[News]
    ) -> SpoolMessage:
        # RFC 3461 section 4.3: the whole message comes back only with what failed. RFC 8689 section 5: of a message
        # that requires TLS never, and what is told of it is protected as it is.
        require_tls = message.sender.require_tls
        whole = news[0].action is Action.FAILED and message.sender.ret.upper() == "FULL" and not require_tls
        most = self._settings.returned_max_octets
        content = header
        if whole and message.size_octets - message.trace_octets <= most:
            content = await self._read(message, most) or header
        now = self._clock.seconds()
        octets = return_path_field("") + write_report(
            Report(
                hostname=self._hostname,
                sender=sender,
                recipients=list(_reported(news)),
                content=content,
                whole=content is not header,
                arrived=message.received,
                now=now,
                until=max(item.until for item in news),
                envelope_id=message.sender.envelope_id,
                hold=message.sender.hold,
                token=uuid.uuid4().hex,
                utf8=message.sender.smtputf8,
            )
        )
        return SpoolMessage(
            message_id=self._spool.take_id(),
            received=int(now),
            sender=Sender(
                path=None,
                body=BodyType.SEVEN_BIT if octets.isascii() else BodyType.EIGHT_BIT_MIME,
                smtputf8=not sender.is_ascii,
                require_tls=require_tls,
            ),
            targets=tuple(targets),
            content=octets,
            trace_octets=len(return_path_field("")),
        )

    async def _read(self, message: SpoolMessage, limit: int) -> bytes:
        content = SpooledContent(message, self._spool.disk, self._spool.lane)
        octets = b""
        try:
            while len(octets) < limit and (piece := await content.read()):
                octets += piece
        except MailError:
            return b""  # the report is worth more than what it would quote
        finally:
            content.close()
        return octets[:limit]


def _reported(news: Iterable[News]) -> Iterable[Reported]:
    for item in news:
        outcome = item.outcome
        yield Reported(
            address=item.target.address,
            action=item.action,
            original=item.target.original,
            code=outcome.code,
            status=outcome.enhanced,
            words=outcome.text,
            host=outcome.host,
            expired=item.action is Action.FAILED and outcome.state is OutcomeState.DEFERRED,
        )
