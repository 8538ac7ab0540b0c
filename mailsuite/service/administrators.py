"""The avatars of accounts that administer: mailboxes as everybody has them, and the quotas of all."""

from collections.abc import Awaitable, Mapping

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from mailsuite.directory import Directory
from mailsuite.directory.directory import LOOK_SECONDS
from mailsuite.interfaces import Account, IMailAccount, IQuotaAdministrator, QuotaChange
from mailsuite.sharing import SharingAccount, SharingSettings
from mailsuite.sharing.quotas import Quotas
from mailsuite.sharing.settings import PREFIX
from mailsuite.store import MailStore
from mailsuite.store.session import AccountSession


@implementer(IQuotaAdministrator)
class Administering:
    """What an account has beside its mailboxes, if it administers."""

    quotas: IQuotaAdministrator

    def root_of(self, mailbox: str) -> Awaitable[str | None]:
        """Name the quota root of a mailbox of another account."""
        return self.quotas.root_of(mailbox)

    def quota_of(self, root: str) -> Awaitable[Mapping[str, tuple[int, int]]]:
        """Tell use and limit of a quota root."""
        return self.quotas.quota_of(root)

    def set_quota(self, root: str, limit_octets: int) -> Awaitable[QuotaChange]:
        """Limit the mail of a quota root."""
        return self.quotas.set_quota(root, limit_octets)


class SharingAdministrator(Administering, SharingAccount):
    """An account that administers, with its mailboxes and those of others."""


class LoneAdministrator(Administering, AccountSession):
    """An account that administers, with its mailboxes only."""


def open_mailboxes(
    account: Account, store: MailStore, directory: Directory, settings: SharingSettings, clock: IReactorTime
) -> IMailAccount:
    """
    Give an account its mailboxes, those of others unless sharing is off, and the quotas of all if it administers.

    Args:
        clock: to wait until other processes have seen what changed in the directory.
    """
    if not account.admin:
        return (
            SharingAccount(account, store, directory, directory, settings)
            if settings.prefix
            else store.account(account)
        )

    def settle() -> Awaitable[object]:
        return deferLater(clock, LOOK_SECONDS)

    avatar: SharingAdministrator | LoneAdministrator
    if settings.prefix:
        avatar = SharingAdministrator(account, store, directory, directory, settings)
    else:
        avatar = LoneAdministrator(store, account)
    avatar.quotas = Quotas(account.account_id, directory, store, settings.prefix or PREFIX, settle)
    return avatar
