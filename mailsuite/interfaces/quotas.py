"""Who may say how much others may have: quotas as administrators see and set them."""

from collections.abc import Awaitable, Mapping

import attrs
from zope.interface import Interface

from mailsuite.interfaces.accounts import Account, IAccountNumbers, IAccounts


@attrs.frozen
class QuotaChange:
    """
    The limit of an account was set.

    Args:
        account: whose, with the limit that holds now.
        before_octets: the limit until then; 0 is none.
    """

    account: Account
    before_octets: int


class IQuotaDirectory(IAccounts, IAccountNumbers):
    """The directory, for who sets limits."""

    def set_quota(account_id: int, quota_octets: int) -> Awaitable[QuotaChange]:
        """
        Limit the mail of an account, durably; 0 is without limit.

        Raises:
            MailError: NOT_FOUND; INVALID for a limit that cannot be stored; UNAVAILABLE.
        """


class IQuotaAdministrator(Interface):
    """
    What an account provides beside its mailboxes when it may see and set the quotas of others.

    Each account is one quota root; what they are called is told by this interface. The account's own is ``""`` as well.
    """

    def root_of(mailbox: str) -> Awaitable[str | None]:
        """
        Name the quota root of a mailbox of another account.

        Returns:
            None when the name is none of such a mailbox, or when the account administers no more.

        Raises:
            MailError: UNAVAILABLE.
        """

    def quota_of(root: str) -> Awaitable[Mapping[str, tuple[int, int]]]:
        """
        Tell use and limit of a quota root, as `mailsuite.interfaces.IMailAccount.quota` does.

        Raises:
            MailError: NOT_FOUND, also when the account administers no more; UNAVAILABLE.
        """

    def set_quota(root: str, limit_octets: int) -> Awaitable[QuotaChange]:
        """
        Limit the mail of a quota root, durably and for all sessions at once; 0 is without limit.

        Raises:
            MailError: NOT_FOUND; DENIED when the account administers no more; INVALID for a limit that cannot be
                stored; UNAVAILABLE.
        """
