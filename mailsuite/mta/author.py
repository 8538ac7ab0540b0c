"""
Who wrote a message: its From and Sender fields, and the account that sends it.

RFC 6409 sections 6.1 and 8.1, RFC 5322 section 3.6.2.
"""

from collections.abc import Sequence

import attrs

from mailsuite.address import Address
from mailsuite.errors import MailError
from mailsuite.interfaces import IAccounts
from mailsuite.message.addresses import parse_addresses
from mailsuite.message.header import Field, unfold

AUTHORS_MAX = 20
"""Addresses in From; each may cost a look into the directory."""

AUTHORS_MAX_OCTETS = 30_000
"""Of all From fields: below the number of tokens that `parse_addresses` looks at, so that it sees every address."""


@attrs.frozen
class Authors:
    """
    What From and Sender say.

    Args:
        written: there is a From field.
        count: addresses in it.
        own: all of them lead to the account.
        sender_written: there is a Sender field.
        sender_own: it names the account.
    """

    written: bool
    count: int
    own: bool
    sender_written: bool
    sender_own: bool

    @property
    def wants_sender(self) -> bool:
        """Whether the message needs a Sender field: several authors, or another one than who sends it."""
        return self.written and (self.count > 1 or not self.own)


async def find_authors(accounts: IAccounts, email: str, fields: Sequence[Field]) -> Authors:
    """
    Compare From and Sender with an account.

    Args:
        email: the account's own address.
        fields: of the message.

    Raises:
        MailError: UNAVAILABLE.
    """
    authors = [raw for name, raw in fields if name == b"from"]
    senders = [raw for name, raw in fields if name == b"sender"]
    count, own = await _are_own(accounts, email, authors)
    _, sender_own = await _are_own(accounts, email, senders)
    return Authors(bool(authors), count, own, bool(senders), sender_own)


async def _are_own(accounts: IAccounts, email: str, raws: Sequence[bytes]) -> tuple[int, bool]:
    """Count the addresses of some fields; say whether there are any and each leads to the account."""
    if sum(map(len, raws)) > AUTHORS_MAX_OCTETS:
        return 0, False
    entries = [entry for raw in raws for entry in parse_addresses(unfold(raw)) if entry.host is not None]
    if not 0 < len(entries) <= AUTHORS_MAX:
        return len(entries), False
    for entry in entries:
        try:
            address = Address.parse(entry.address)
        except MailError:
            return len(entries), False
        if not await accounts.may_send_as(email, address):
            return len(entries), False
    return len(entries), True
