"""What the running server does for the command line about mailboxes that several accounts use."""

from collections.abc import Mapping

import attrs

from mailsuite.directory import Directory
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import (
    Account,
    ISharingStore,
    RightsMode,
    parse_rights,
    rights_text,
)
from mailsuite.service.control import Command
from mailsuite.store import MailStore


async def right_rows(store: ISharingStore, account: Account) -> list[dict[str, object]]:
    """List who has rights on the mailboxes of an account, as plain values; accounts by their ids."""
    mailboxes = store.guest(account, account.account_id)
    return [
        {"mailbox": entry.name, "account_id": guest_id, "rights": rights_text(rights)}
        for entry in await mailboxes.list_mailboxes()
        for guest_id, rights in (await mailboxes.entries(entry.name)).items()
    ]


async def set_rights(store: ISharingStore, account: Account, mailbox: str, guest_id: int, rights: str) -> str:
    """
    Give an account, or anyone, exactly these rights; give them as they are now.

    Raises:
        MailError: INVALID for letters that are no rights; NOT_FOUND; OVER_QUOTA.
    """
    try:
        wanted = parse_rights(rights)
    except ValueError as error:
        raise MailError(Kind.INVALID, "rights are letters of lrswipkxtea") from error
    mailboxes = store.guest(account, account.account_id)
    return rights_text(await mailboxes.change_rights(mailbox, guest_id, RightsMode.REPLACE, wanted))


@attrs.frozen
class RightsCommands:
    """Commands of one server, beside `ServerCommands`."""

    directory: Directory
    store: MailStore

    def table(self) -> Mapping[str, Command]:
        """Name the commands."""
        return {"rights.list": self.list_rights, "rights.set": self.set_rights}

    async def _account(self, request: Mapping[str, object]) -> Account:
        account = await self.directory.find(str(request.get("address")))
        if account is None:
            raise MailError(Kind.NOT_FOUND, "there is no such account")
        return account

    async def list_rights(self, request: Mapping[str, object]) -> object:
        """List who has rights on the mailboxes of an account."""
        return await right_rows(self.store, await self._account(request))

    async def set_rights(self, request: Mapping[str, object]) -> object:
        """Give somebody rights on a mailbox."""
        guest_id = request.get("account_id")
        if not isinstance(guest_id, int):
            raise MailError(Kind.INVALID, "the request names no account")
        account = await self._account(request)
        return await set_rights(self.store, account, str(request.get("mailbox")), guest_id, str(request.get("rights")))
