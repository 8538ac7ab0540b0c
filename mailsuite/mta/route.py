"""Where mail goes: recipients to targets, and domains to the hosts that take their mail."""

from collections.abc import Sequence

from mailsuite.address import Address
from mailsuite.envelope import Recipient
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, IAccounts, ResolutionKind
from mailsuite.mta.capture import capture_mailbox
from mailsuite.mta.content import INBOX, Target
from mailsuite.mta.settings import RouteSettings
from mailsuite.smtp.replies import Refused, Reply

ANY_DOMAIN = "*"
OWN_MAILBOXES = frozenset({"archive", "drafts", "junk", "sent", "trash"})
SOURCE_ROUTE_MARKS = frozenset("@%!")

RELAYING_DENIED = "relaying denied"
NO_ROUTE = "there is no route, and delivery by MX is switched off (queue.mx)"


class RefusedMail(MailError, Refused):  # noqa: N818 - it is an answer, not an error of ours
    """A failure for which SMTP has a reply of its own, better than the one for its kind."""

    def __init__(self, kind: Kind, reply: Reply) -> None:
        Exception.__init__(self, kind, reply)
        self.kind = kind
        self.detail = reply.text
        self.reply = reply


_DISABLED = Reply(550, "5.2.1", ("mailbox disabled",))  # RFC 3463 section 3.3


async def resolve_targets(accounts: IAccounts, recipient: Recipient, *, may_relay: bool) -> list[Target]:
    """
    Say where mail for one recipient goes.

    Args:
        may_relay: the sender is one of ours. An alias of ours that leads elsewhere does so for everybody, as does an
            account's forward, and so does a domain for which we are a backup.

    Raises:
        MailError: NOT_FOUND, DENIED, UNAVAILABLE.
    """
    address = recipient.path
    if not may_relay and not SOURCE_ROUTE_MARKS.isdisjoint(address.local_part):
        # user%far@here, far!user@here, "user@far"@here: routes of old that ask us to relay (RFC 5321 appendix F.2)
        raise MailError(Kind.DENIED, RELAYING_DENIED)
    resolution = await accounts.resolve(address)
    if resolution.kind is ResolutionKind.RELAYED:
        return [_remote(address, recipient)]
    if resolution.kind is ResolutionKind.REMOTE:
        if not may_relay:
            raise MailError(Kind.DENIED, RELAYING_DENIED)
        return [_remote(address, recipient)]
    if resolution.kind is ResolutionKind.DISABLED:
        raise RefusedMail(Kind.DENIED, _DISABLED)
    targets = [_local(account, _mailbox(tag), recipient) for account, tag in resolution.accounts]
    targets.extend(
        _local(account, capture_mailbox(name), recipient, make_mailbox=True) for account, name in resolution.captured
    )
    targets.extend(_remote(elsewhere, recipient) for elsewhere in resolution.remote)
    targets.extend(_remote(elsewhere, recipient, account.email) for account, elsewhere in resolution.forwarded)
    if resolution.kind is not ResolutionKind.LOCAL or not targets:
        raise MailError(Kind.NOT_FOUND, "no such mailbox")
    return targets


def _mailbox(tag: str) -> str:
    # Whoever writes to user+Sent must not put words into the account's mouth.
    return INBOX if not tag or tag.partition("/")[0].casefold() in OWN_MAILBOXES else tag


def _local(account: Account, mailbox: str, recipient: Recipient, *, make_mailbox: bool = False) -> Target:
    return Target(
        address=recipient.path,
        account_id=account.account_id,
        email=account.email,
        mailbox=mailbox,
        make_mailbox=make_mailbox,
        quota_octets=account.quota_octets,
        notify=recipient.notify,
        original=recipient.original,
    )


def _remote(address: Address, recipient: Recipient, forwarder: str = "") -> Target:
    return Target(address=address, notify=recipient.notify, original=recipient.original, forwarder=forwarder)


def find_route(routes: Sequence[RouteSettings], domain: str) -> RouteSettings | None:
    """Find the route of a domain: its own, or the one for every domain."""
    anywhere = None
    for route in routes:
        if route.domain == domain:
            return route
        if route.domain == ANY_DOMAIN and anywhere is None:
            anywhere = route
    return anywhere
