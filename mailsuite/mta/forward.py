"""
Mail that goes on from here: with which reverse-path, and when it has been here before.

A report to a reverse-path that we have rewritten is passed on to the sender; other mail to it is refused, so that
nobody can use it to write to strangers through us.
"""

from collections.abc import Awaitable, Callable, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime

from mailsuite.address import Address
from mailsuite.envelope import Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IAccounts, ResolutionKind
from mailsuite.message.header import Field, all_values
from mailsuite.mta.content import Target
from mailsuite.mta.route import resolve_targets
from mailsuite.mta.settings import ReceiveSettings
from mailsuite.mta.srs import SenderRewriting, is_rewritten

SRS_SECRET = "srs"  # noqa: S105 - the name under which a secret is kept
DELIVERED_TO = b"delivered-to"
NOT_OURS = frozenset({ResolutionKind.REMOTE, ResolutionKind.RELAYED})


class Forwarding:
    """
    Rewrites senders of what is passed on, and finds the way back.

    Args:
        secret: gives the installation's secret; asked once.
    """

    def __init__(self, accounts: IAccounts, secret: Callable[[], Awaitable[bytes]], clock: IReactorTime) -> None:
        self._accounts = accounts
        self._secret = secret
        self._clock = clock
        self._rewriting: SenderRewriting | None = None

    async def rewrite(
        self, targets: Sequence[Target], recipient: Recipient, sender: Sender, settings: ReceiveSettings
    ) -> Sequence[Target]:
        """
        Give those targets that lie elsewhere a reverse-path of ours, if the sender is a stranger.

        Raises:
            MailError: UNAVAILABLE.
        """
        domain = settings.srs_domain or recipient.path.domain
        path = sender.path
        if not settings.srs or path is None or not domain or all(target.is_local for target in targets):
            return targets
        if (await self._accounts.resolve(recipient.path)).kind in NOT_OURS:
            return targets  # we are only a backup: who takes it from us knows that
        if (await self._accounts.resolve(path)).kind not in NOT_OURS:
            return targets
        rewriting = await self._load()
        rewritten = rewriting.rewrite(path, domain, self._clock.seconds())
        return [target if target.is_local else attrs.evolve(target, sender=rewritten) for target in targets]

    async def restore(self, recipient: Recipient, sender: Sender, settings: ReceiveSettings) -> Sequence[Target]:
        """
        Say where a report to a rewritten reverse-path goes; nowhere when the recipient is no such address.

        Raises:
            MailError: DENIED for mail that is no report (RFC 5321 section 4.5.5), and for an address that was not
                made here; NOT_FOUND; UNAVAILABLE.
        """
        address = recipient.path
        if not settings.srs or not is_rewritten(address.local_part):
            return ()
        if address.domain != settings.srs_domain:
            resolution = await self._accounts.resolve(address)
            if resolution.kind in NOT_OURS or resolution.captured:
                return ()
        rewriting = await self._load()
        original = rewriting.restore(address.local_part, self._clock.seconds())
        if sender.path is not None:
            raise MailError(Kind.DENIED, "this address takes reports only")
        return await resolve_targets(self._accounts, attrs.evolve(recipient, path=original), may_relay=True)

    async def _load(self) -> SenderRewriting:
        if self._rewriting is None:
            self._rewriting = SenderRewriting(await self._secret())
        return self._rewriting


def mark_loops(targets: Sequence[Target], fields: Sequence[Field]) -> list[Target]:
    """
    Mark the targets of forwards through which the message has come before (RFC 9228 section 3).

    Args:
        fields: of its header section.
    """
    been = {_address_of(value) for value in all_values(fields, DELIVERED_TO)}
    return [
        attrs.evolve(target, looped=True) if target.forwarder and target.forwarder in been else target
        for target in targets
    ]


def _address_of(value: bytes) -> str:
    """Read a Delivered-To field; what is no address is nobody's."""
    try:
        return Address.parse(value.decode("utf-8", "replace").strip().strip("<>")).key
    except MailError:
        return ""


def delivered_to_field(forwarder: str) -> bytes:
    """
    Write the field by which a message that comes back is known (RFC 9228 section 3).

    An address that is not ASCII is left out: not every host could be told such a field.
    """
    return f"Delivered-To: {forwarder}\r\n".encode("ascii") if forwarder and forwarder.isascii() else b""
