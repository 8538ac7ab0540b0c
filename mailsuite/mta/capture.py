"""
Domains that keep mail for every name, for some time: which mailbox a name has, and what goes when.

All of it lies in one account of the domain, in a mailbox for each name. Nothing in such a domain is ever passed on.
"""

import re
from collections.abc import Awaitable, Callable, Sequence

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mailsuite.errors import MailError
from mailsuite.interfaces import Account, Expiry, IAccountUpkeep
from mailsuite.mta.content import INBOX
from mailsuite.mta.settings import CaptureSettings
from mailsuite.observe import EventLog

ROUNDS_MAX = 1000
"""Batches that one sweep removes from one account; the next sweep goes on."""
FILL_PERCENT = 80
"""Of its quota that a sweep leaves of an account, so that there is room for what comes until the next one."""

_ESCAPED = re.compile(r'[/=%*\\"\x00-\x1f\x7f-\x9f\ud800-\udfff]|^\.+$')
_ESCAPE = re.compile(r"=([0-9A-F]{2,4})=")


def capture_mailbox(name: str) -> str:
    """
    Name the mailbox in which mail for a local part is kept.

    What means something in names of mailboxes is written ``=2F=``; ``inbox`` is INBOX.
    """
    if name.casefold() == INBOX.casefold():
        return INBOX
    return _ESCAPED.sub(lambda match: "".join(f"={ord(character):02X}=" for character in match[0]), name.casefold())


def captured_name(mailbox: str) -> str:
    """Give the local part whose mail is kept in a mailbox."""
    if mailbox == INBOX:
        return INBOX.casefold()
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), mailbox)


class CaptureSweeper:
    """
    Removes captured mail that is old, or more than there may be.

    Args:
        list_captures: gives the accounts, each with how long mail in it is kept in seconds.
        settings: may be exchanged; another pause begins after the next sweep.
        reactor: its clock gives seconds since the epoch.
    """

    def __init__(
        self,
        list_captures: Callable[[], Awaitable[Sequence[tuple[Account, int]]]],
        upkeep: IAccountUpkeep,
        settings: CaptureSettings,
        reactor: IReactorTime,
    ) -> None:
        self.settings = settings
        self._list_captures = list_captures
        self._upkeep = upkeep
        self._reactor = reactor
        self._log = EventLog(Logger("mailsuite.mta.capture"))
        self._loop = LoopingCall(self._run)
        self._loop.clock = reactor
        self._sweeping: Deferred[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Sweep now, and from time to time."""
        _ = self._loop.start(self.settings.sweep_seconds)

    def stop(self) -> "Deferred[None]":
        """End, after the batch that is under way."""
        self._stopping = True
        if self._loop.running:
            self._loop.stop()
        return self._sweeping or succeed(None)

    def _run(self) -> "Deferred[None]":
        self._loop.interval = self.settings.sweep_seconds
        self._sweeping = Deferred.fromCoroutine(self.sweep())
        return self._sweeping

    async def sweep(self) -> None:
        """Look once at everything; what fails is tried again by the next sweep."""
        try:
            captures = await self._list_captures()
            for account, seconds in captures:
                await self._sweep_account(account, seconds)
        except Exception:  # noqa: BLE001 - the top of a sweep: there will be another one
            self._log.failure("capture.sweep.failed")

    async def _sweep_account(self, account: Account, seconds: int) -> None:
        expiry = Expiry(
            before=int(self._reactor.seconds()) - seconds,
            messages_per_mailbox_max=self.settings.messages_per_name_max,
            octets_max=account.quota_octets * FILL_PERCENT // 100,
            mailboxes_max=self.settings.names_max,
        )
        messages = mailboxes = 0
        for _ in range(ROUNDS_MAX):
            if self._stopping:
                break
            try:
                expired = await self._upkeep.expire(account, expiry)
            except MailError as error:
                self._log.emit("capture.account.skipped", account=account.email, reason=error.detail)
                break
            if not expired.messages and not expired.mailboxes:
                break
            messages += expired.messages
            mailboxes += expired.mailboxes
        if messages or mailboxes:
            self._log.emit("capture.messages.expired", account=account.email, count=messages, mailboxes=mailboxes)
