"""What holds for recipients that strangers write to: room in the mailbox, and with which sender mail is passed on."""

from collections.abc import Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred, TimeoutError  # noqa: A004 - what addTimeout raises
from twisted.internet.interfaces import IReactorTime

from mailsuite.address import POSTMASTER_NAMES
from mailsuite.envelope import Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, IAccounts, IAccountUpkeep, Usage
from mailsuite.mta.content import Target
from mailsuite.mta.forward import Forwarding
from mailsuite.mta.route import RefusedMail, resolve_targets
from mailsuite.mta.settings import CaptureSettings, OverQuota, ReceiveSettings
from mailsuite.smtp.replies import OVER_QUOTA, Reply

USAGE_SECONDS = 5.0
"""So long an answer about an account holds: deliveries have the last word anyway."""
USAGE_MAX = 10_000
ANSWER_SECONDS = 2.0
"""Who does not say by then how full a mailbox is lets mail in."""

# RFC 3463 section 3.3 has X.2.2 for what passes: an operator who wants it otherwise (``over_quota``) says it so.
FULL = Reply(552, "5.2.2", ("mailbox full",))  # RFC 5321 section 4.2.3


class RecipientRules:
    """
    Decides on recipients in mail from strangers.

    Args:
        upkeep: knows how full mailboxes are.
        capture: bounds of domains that keep mail for every name; may be exchanged.
    """

    def __init__(
        self,
        accounts: IAccounts,
        forwarding: Forwarding,
        upkeep: IAccountUpkeep,
        clock: IReactorTime,
        capture: CaptureSettings | None = None,
    ) -> None:
        self.capture = capture or CaptureSettings()
        self._accounts = accounts
        self._forwarding = forwarding
        self._upkeep = upkeep
        self._clock = clock
        self._known: dict[int, tuple[float, Usage]] = {}

    async def resolve(self, recipient: Recipient, sender: Sender, settings: ReceiveSettings) -> Sequence[Target]:
        """
        Say where mail for a recipient goes.

        Raises:
            MailError: NOT_FOUND, DENIED, OVER_QUOTA, UNAVAILABLE.
        """
        if report := await self._forwarding.restore(recipient, sender, settings):
            return report
        targets: Sequence[Target] = await resolve_targets(self._accounts, recipient, may_relay=False)
        is_postmaster = recipient.path.detail()[0].local_part.casefold() in POSTMASTER_NAMES
        if is_postmaster and not any(target.make_mailbox for target in targets):
            # RFC 5321 section 4.5.1: who has trouble with us must be able to say so. Captured mail is bounded anyhow.
            targets = [attrs.evolve(target, quota_octets=0) for target in targets]
        else:
            await self._ensure_room(targets, sender.size_octets, settings)
        return await self._forwarding.rewrite(targets, recipient, sender, settings)

    async def _ensure_room(self, targets: Sequence[Target], size_octets: int, settings: ReceiveSettings) -> None:
        """Refuse a recipient if nobody behind it has room; what a list reaches beside a full mailbox it reaches."""
        for target in targets:
            if not target.is_local or not await self._is_full(target, size_octets):
                return
        if settings.over_quota is OverQuota.REFUSE and not any(target.make_mailbox for target in targets):
            raise RefusedMail(Kind.OVER_QUOTA, FULL)
        raise RefusedMail(Kind.OVER_QUOTA, OVER_QUOTA)

    async def _is_full(self, target: Target, size_octets: int) -> bool:
        if not target.quota_octets and not target.make_mailbox:
            return False
        usage = await self._usage(target)
        if usage is None:
            return False
        if target.make_mailbox and usage.mailboxes > 2 * self.capture.names_max:
            return True  # a flood of names: the next sweep makes room
        return bool(target.quota_octets) and usage.octets + max(size_octets, 1) > target.quota_octets

    async def _usage(self, target: Target) -> Usage | None:
        now = self._clock.seconds()
        known = self._known.get(target.account_id)
        if known is not None and now < known[0]:
            return known[1]
        asking = Deferred.fromCoroutine(self._ask(Account(account_id=target.account_id, email=target.email)))
        try:
            usage = await asking.addTimeout(ANSWER_SECONDS, self._clock)
        except (MailError, TimeoutError, CancelledError):
            return None
        if len(self._known) >= USAGE_MAX:
            self._known.clear()
        self._known[target.account_id] = now + USAGE_SECONDS, usage
        return usage

    async def _ask(self, account: Account) -> Usage:
        return await self._upkeep.usage(account)
