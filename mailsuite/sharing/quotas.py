"""
The quotas of others, for accounts that administer: ``Users/alice@example.com`` is what alice's is called.

Every call asks the directory anew whether the account administers: who does no more learns nothing and changes nothing,
also in sessions that began before.
"""

from collections.abc import Awaitable, Callable, Mapping

from zope.interface import implementer

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, IQuotaAdministrator, IQuotaDirectory, ISharingStore, QuotaChange
from mailsuite.sharing.names import Namespace

OWN_ROOT = ""


@implementer(IQuotaAdministrator)
class Quotas:
    """
    The quotas of all accounts, as one of them administers them.

    Args:
        account_id: who does.
        directory: has the accounts and their limits.
        store: knows what they use.
        prefix: what the names of the roots of others begin with, as those of their mailboxes.
        settle: fires when what the directory was told holds in all processes.
    """

    def __init__(
        self,
        account_id: int,
        directory: IQuotaDirectory,
        store: ISharingStore,
        prefix: str,
        settle: Callable[[], Awaitable[object]],
    ) -> None:
        self._account_id = account_id
        self._directory = directory
        self._store = store
        self._namespace = Namespace(prefix)
        self._settle = settle

    async def root_of(self, mailbox: str) -> str | None:
        """Name the quota root of a mailbox of another account."""
        name = self._namespace.read(mailbox)
        if name is None or not await self._administers():
            return None
        return self._namespace.root(name.address)

    async def quota_of(self, root: str) -> Mapping[str, tuple[int, int]]:
        """Tell use and limit."""
        if not await self._administers():
            raise _no_such_root()
        owner = await self._owner(root)
        used: Mapping[str, tuple[int, int]] = await self._store.account(owner).quota()
        return used

    async def set_quota(self, root: str, limit_octets: int) -> QuotaChange:
        """Limit the mail of an account; when this is done, the limit holds everywhere."""
        if not await self._administers():
            raise MailError(Kind.DENIED, "you are no administrator of this server any more")
        owner = await self._owner(root)
        try:
            change: QuotaChange = await self._directory.set_quota(owner.account_id, limit_octets)
        except MailError as error:
            if error.kind is Kind.NOT_FOUND:
                raise _no_such_root() from error
            raise
        await self._settle()
        return change

    async def _administers(self) -> bool:
        account = await self._directory.find_id(self._account_id)
        return account is not None and account.enabled and account.admin

    async def _owner(self, root: str) -> Account:
        if root == OWN_ROOT:
            found = await self._directory.find_id(self._account_id)
        else:
            address = self._namespace.root_address(root)
            found = None if address is None else await self._directory.find(address)
        if found is None:
            raise _no_such_root()
        return found


def _no_such_root() -> MailError:
    return MailError(Kind.NOT_FOUND, "no such quota root")
