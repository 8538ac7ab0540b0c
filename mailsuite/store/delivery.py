"""
The way in for accepted mail: each lane takes what waits as one batch, with one transaction for each account.

Nothing is synced here: the spool keeps its copy until `sync` returned, and delivers again after a crash. What a file
is called follows from the delivery, so that the second time is recognised.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import attrs

from mailsuite.durable import is_damage
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body, LocalDelivery, LocalOutcome
from mailsuite.message.summary import Summary, summarize
from mailsuite.observe import EventLog
from mailsuite.store import file_statements, maildir, statements
from mailsuite.store.accounts import OpenAccounts, neutral_error
from mailsuite.store.content import place_file, stage_message, summarize_file
from mailsuite.store.flags import check_flags
from mailsuite.store.index import AccountIndex
from mailsuite.store.mailboxes import create
from mailsuite.store.statements import UID_BITS, UID_MASK, MailboxRow
from mailsuite.store.transaction import Transaction

BATCH_MAX = 256
GATHER_SECONDS = 0.003
"""So long a batch waits for more, once for each message but one of the batch before, and never while somebody wants
anything else of the lane: one transaction for five messages costs little more than for one."""
GATHER_TIMES_MAX = 8
BUSY_SECONDS = 0.05
"""A batch that ended longer ago says nothing of what comes."""

Report = Callable[[Sequence[LocalOutcome]], None]
_Waiting = tuple[LocalDelivery, Report]


@attrs.define
class _Batch:
    """Summaries that recipients of the same message share."""

    summaries: dict[object, Summary] = attrs.field(factory=dict)

    def summary(self, index: AccountIndex, content: bytes | Body) -> Summary:
        key = id(content) if isinstance(content, bytes) else content.path
        summary = self.summaries.get(key)
        if summary is None:
            summary = summarize(content) if isinstance(content, bytes) else summarize_file(index.disk, content.path)
            self.summaries[key] = summary
        return summary


class DeliveryLane:
    """
    Deliveries into the accounts of one lane; `put` from any thread.

    Args:
        touched: told an account's folder after its batch has committed, for a sync without syncfs.
        pause: waits; a test hands in its own, and a clock.
    """

    def __init__(
        self,
        accounts: OpenAccounts,
        touched: Callable[[str], None],
        log: EventLog,
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pause = pause
        self._clock = clock
        self._accounts = accounts
        self._log = log
        self._touched = touched
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._posted = False
        self._last_size = 0
        self._last_ended = -BUSY_SECONDS

    def put(self, deliveries: Sequence[LocalDelivery], report: Report) -> None:
        """Deliver soon."""
        with self._lock:
            self._waiting.extend([(delivery, report) for delivery in deliveries])
            if self._posted:
                return
            self._posted = True
        self._accounts.lane.post(self._run)

    def backlog(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def _run(self) -> None:
        self._gather()
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        self._last_size = len(batch)
        try:
            self._deliver(batch)
        finally:
            self._last_ended = self._clock()
            with self._lock:
                again = self._posted = bool(self._waiting)
            if again:
                self._accounts.lane.post(self._run)  # behind what others asked of the lane meanwhile

    def _gather(self) -> None:
        """Wait for more, while much comes and nobody else wants anything of the lane."""
        if self._clock() - self._last_ended > BUSY_SECONDS:
            return
        for _ in range(min(self._last_size - 1, GATHER_TIMES_MAX)):
            if self._accounts.lane.backlog():
                return
            self._pause(GATHER_SECONDS)

    def _deliver(self, batch: Sequence[_Waiting]) -> None:
        by_account: dict[int, list[LocalDelivery]] = {}
        reports = {delivery.delivery_id: report for delivery, report in batch}
        for delivery, _ in batch:
            by_account.setdefault(delivery.account_id, []).append(delivery)
        shared = _Batch()
        by_report: dict[int, tuple[Report, list[LocalOutcome]]] = {}
        for deliveries in by_account.values():
            for outcome in self._deliver_account(deliveries, shared):
                report = reports[outcome.delivery_id]
                by_report.setdefault(id(report), (report, []))[1].append(outcome)
        for report, outcomes in by_report.values():
            report(outcomes)

    def _deliver_account(self, deliveries: Sequence[LocalDelivery], shared: _Batch) -> list[LocalOutcome]:
        first = deliveries[0]
        try:
            with self._accounts.using(first.account_id, first.email) as index:
                outcomes = deliver_batch(index, deliveries, shared)
                self._touched(index.home.path)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                self._accounts.damaged(first.account_id)
            self._log.failure("store.delivery.failed", error, account=first.account_id)
            return _all_failed(deliveries, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not take another account's outcome away
            self._log.failure("store.delivery.failed", error, account=first.account_id)
            return _all_failed(deliveries, error)
        return outcomes


def _all_failed(deliveries: Sequence[LocalDelivery], error: Exception) -> list[LocalOutcome]:
    reason = neutral_error(error)
    reason.__cause__ = None if reason is error else error
    if reason.kind is not Kind.OVER_QUOTA:
        reason = MailError(Kind.UNAVAILABLE, reason.detail) if reason.kind is not Kind.UNAVAILABLE else reason
    return [LocalOutcome(delivery.delivery_id, 0, 0, reason) for delivery in deliveries]


def deliver_batch(index: AccountIndex, deliveries: Sequence[LocalDelivery], shared: _Batch) -> list[LocalOutcome]:
    """Deliver to one account in one transaction; each delivery has its own outcome."""
    outcomes = []
    seen: dict[str, LocalOutcome] = {}
    rows: dict[str, MailboxRow] = {}
    new: dict[int, list[statements.NewMessage]] = {}
    added_octets = added_messages = 0
    tokens = [maildir.delivery_token(delivery.delivery_id) for delivery in deliveries]
    refused = _make_mailboxes(index, deliveries)
    with index.writing() as transaction:
        known = file_statements.known_tokens(transaction.connection, tokens)
        for delivery, token in zip(deliveries, tokens, strict=True):
            outcome = seen.get(token)
            if outcome is None and token in known:
                outcome = _find_delivered(index, transaction, delivery, token)
            if outcome is None:
                try:
                    if delivery.mailbox in refused:
                        raise refused[delivery.mailbox]
                    size = _size(delivery.content)
                    index.check_quota(delivery.quota_octets, size + added_octets, 1 + added_messages)
                except MailError as error:
                    outcomes.append(LocalOutcome(delivery.delivery_id, 0, 0, error))
                    continue
                summary = shared.summary(index, delivery.content)
                row = rows.get(delivery.mailbox) or _target(transaction, delivery.mailbox)
                rows[delivery.mailbox] = row
                if row.mailbox_id not in new:
                    row.modseq += 1
                message = stage_message(
                    index,
                    transaction,
                    row,
                    delivery.content,
                    summary,
                    token=token,
                    flags=index.flags_number(transaction, row, check_flags(delivery.flags)),
                    date=delivery.received,
                    sync=transaction.durable,
                    link=delivery.link,
                )
                new.setdefault(row.mailbox_id, []).append(message)
                added_octets += size
                added_messages += 1
                outcome = LocalOutcome(delivery.delivery_id, row.mailbox_id, message.uid, mailbox=row.name)
                seen[token] = outcome
            outcomes.append(outcome)
        for mailbox_id, messages in new.items():
            statements.add_messages(transaction.connection, transaction.row(mailbox_id), messages)
    return outcomes


def _size(content: bytes | Body) -> int:
    return len(content) if isinstance(content, bytes) else content.size_octets


def _make_mailboxes(index: AccountIndex, deliveries: Sequence[LocalDelivery]) -> dict[str, MailError]:
    """Make the mailboxes that are to be made, durably; give the reason for those that cannot be."""
    refused = {}
    for name in dict.fromkeys(delivery.mailbox for delivery in deliveries if delivery.make_mailbox):
        try:
            index.find_row(name)
        except MailError:
            try:
                create(index, name, frozenset())
            except MailError as error:
                if error.kind is not Kind.INVALID:  # whatever cannot be a mailbox goes into INBOX
                    refused[name] = error
    return refused


def _target(transaction: Transaction, name: str) -> MailboxRow:
    """Find the mailbox of a delivery among those that are there; INBOX otherwise."""
    row = None
    if name != maildir.INBOX:
        try:
            row = statements.mailbox_by_name(transaction.connection, maildir.check_name(name))
        except MailError:
            row = None
    if row is None or not row.selectable:
        row = statements.mailbox_by_name(transaction.connection, maildir.INBOX)
    if row is None:
        raise MailError(Kind.UNAVAILABLE, "the account has no INBOX")
    return transaction.row(row.mailbox_id)


def _find_delivered(
    index: AccountIndex, transaction: Transaction, delivery: LocalDelivery, token: str
) -> LocalOutcome | None:
    """Recognise what was delivered before, and write its file again if a power loss took it."""
    connection = transaction.connection
    found = file_statements.find_token(connection, token)
    if found is None:
        gone = file_statements.is_expunged(connection, token)
        return None if gone is None else LocalOutcome(delivery.delivery_id, *gone)
    message_id, folder, name = found
    row = statements.mailbox_by_id(connection, message_id >> UID_BITS)
    if row is not None:
        path = f"{index.folder(row)}/{folder}/{name}"
        try:
            intact = index.disk.stat(path).st_size == _size(delivery.content)
        except FileNotFoundError:
            intact = _is_elsewhere(index, row, name)
        if not intact:
            staged = f"{index.folder(row)}/{maildir.TMP}/{name}"
            place_file(index.disk, delivery.content, staged, link=delivery.link, sync=False)
            index.disk.rename(staged, path)
    name = "" if row is None else row.name
    return LocalOutcome(delivery.delivery_id, message_id >> UID_BITS, message_id & UID_MASK, mailbox=name)


def _is_elsewhere(index: AccountIndex, row: MailboxRow, name: str) -> bool:
    token = maildir.token_of(name)
    folder = index.folder(row)
    return any(
        maildir.token_of(entry) == token
        for subfolder in ("new", "cur")
        for entry in index.disk.listdir(f"{folder}/{subfolder}")
    )
