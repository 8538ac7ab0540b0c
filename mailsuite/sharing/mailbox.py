"""Selected mailboxes, one's own and those of others: as the store has them, but for where messages can be copied."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from zope.interface import implementer

from mailsuite.interfaces import (
    Appended,
    AppendMessage,
    Changes,
    Column,
    History,
    IGuestMailbox,
    IMailbox,
    IRemovingMailbox,
    ISubscription,
    IWatchableMailbox,
    PartOffsets,
    Rights,
    Snapshot,
    StoreMode,
)

if TYPE_CHECKING:
    from mailsuite.sharing.account import SharingAccount


@implementer(IMailbox, IWatchableMailbox)
class OwnMailbox:
    """
    A mailbox of one's own.

    Args:
        mailbox: of the store; it does all the work.
        account: knows where copies go.
    """

    __slots__ = ("_account", "_mailbox", "_watchable", "mailbox_id", "name")

    def __init__(self, account: "SharingAccount", mailbox: IMailbox) -> None:
        self._account = account
        self._mailbox = mailbox
        self._watchable: IWatchableMailbox | None = IWatchableMailbox(mailbox, None)
        self.mailbox_id: int = mailbox.mailbox_id
        self.name: str = mailbox.name

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed."""
        return bool(self._mailbox.read_only)

    def snapshot(self) -> Awaitable[Snapshot]:
        """Look at everything once."""
        return self._mailbox.snapshot()

    def changes(self, since_modseq: int) -> Awaitable[Changes]:
        """Say what happened since."""
        return self._mailbox.changes(since_modseq)

    def history(self, since_modseq: int) -> Awaitable[History]:
        """Say what happened since any MODSEQ."""
        return self._mailbox.history(since_modseq)

    def fetch(
        self, uids: Sequence[int], columns: Sequence[Column], header_octets: int | None = None
    ) -> Awaitable[Sequence[tuple[object, ...]]]:
        """Give columns of messages."""
        return self._mailbox.fetch(uids, columns, header_octets)

    def read(self, uid: int, offset: int, length: int) -> Awaitable[bytes]:
        """Read octets of a message."""
        return self._mailbox.read(uid, offset, length)

    def read_many(self, uids: Sequence[int], limit_octets: int) -> Awaitable[Sequence[tuple[int, bytes]]]:
        """Read whole messages in order."""
        return self._mailbox.read_many(uids, limit_octets)

    def parts(self, uid: int) -> Awaitable[PartOffsets]:
        """Find the MIME parts of a message."""
        return self._mailbox.parts(uid)

    def previews(self, uids: Sequence[int], *, make: bool) -> Awaitable[Mapping[int, bytes]]:
        """Give what messages begin with."""
        return self._mailbox.previews(uids, make=make)

    def store_flags(
        self, uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None
    ) -> Awaitable[tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]]:
        """Change flags durably."""
        return self._mailbox.store_flags(uids, mode, flags, unchanged_since)

    def expunge(self, uids: Sequence[int] | None) -> Awaitable[Sequence[int]]:
        r"""Remove messages that carry ``\Deleted``."""
        return self._mailbox.expunge(uids)

    def copy_to(self, uids: Sequence[int], name: str) -> Awaitable[Appended]:
        """Copy to another mailbox, of whomever."""
        return self._account.transfer(self._mailbox, self._account.account_id, uids, name, move=False)

    def move_to(self, uids: Sequence[int], name: str) -> Awaitable[Appended]:
        """Move to another mailbox, of whomever."""
        return self._account.transfer(self._mailbox, self._account.account_id, uids, name, move=True)

    def replace(self, uid: int, name: str, message: AppendMessage) -> Awaitable[Appended]:
        """Store a message, in a mailbox of whomever, and remove one in its place."""
        return self._account.replace(self._mailbox, self._account.account_id, uid, name, message)

    def search_text(
        self, uids: Sequence[int], test: Callable[[Callable[[int, int], bytes], int], bool]
    ) -> Awaitable[Sequence[int]]:
        """Run a test over the octets of messages."""
        return self._mailbox.search_text(uids, test)

    def watch(self) -> None:
        """Hear at once of what other programs do, where the store can tell."""
        if self._watchable is not None:
            self._watchable.watch()

    @property
    def is_quiet(self) -> bool:
        """Whether all that happened to it was told."""
        return self._watchable is not None and bool(self._watchable.is_quiet)

    def close(self) -> None:
        """The session is done with it."""
        self._mailbox.close()


@implementer(IGuestMailbox)
class OthersMailbox(OwnMailbox):
    """
    A mailbox of somebody else.

    Args:
        mailbox: of the store, which looks at the rights each time.
        owner_id: whose it is.
        mailbox_id: one that no other mailbox of this account has.
        name: as this account knows it.
        following: the session hears of changes as long as this is not cancelled.
    """

    __slots__ = ("_following", "_guest", "_owner_id")

    def __init__(
        self,
        account: "SharingAccount",
        mailbox: IGuestMailbox,
        *,
        owner_id: int,
        mailbox_id: int,
        name: str,
        following: ISubscription,
    ) -> None:
        super().__init__(account, mailbox)
        self._guest = mailbox
        self._owner_id = owner_id
        self._following = following
        self.mailbox_id = mailbox_id
        self.name = name

    @property
    def is_quiet(self) -> bool:
        """Never: whether the owner is still there is asked each time."""
        return False

    @property
    def rights(self) -> Rights:
        """What may be done, as it was when the mailbox was last asked for something."""
        rights: Rights = self._guest.rights
        return rights

    async def snapshot(self) -> Snapshot:
        """Look at everything once, if the owner is still there."""
        await self._account.ensure_there(self._owner_id)
        return await super().snapshot()

    async def changes(self, since_modseq: int) -> Changes:
        """Say what happened since, if the owner is still there."""
        await self._account.ensure_there(self._owner_id)
        return await super().changes(since_modseq)

    def remove(self, uids: Sequence[int]) -> Awaitable[Sequence[int]]:
        """Remove messages that have gone to another account."""
        return IRemovingMailbox(self._mailbox).remove(uids)

    def copy_to(self, uids: Sequence[int], name: str) -> Awaitable[Appended]:
        """Copy to another mailbox, of whomever."""
        return self._account.transfer(self._mailbox, self._owner_id, uids, name, move=False)

    def move_to(self, uids: Sequence[int], name: str) -> Awaitable[Appended]:
        """Move to another mailbox, of whomever."""
        return self._account.transfer(self._mailbox, self._owner_id, uids, name, move=True)

    def replace(self, uid: int, name: str, message: AppendMessage) -> Awaitable[Appended]:
        """Store a message, in a mailbox of whomever, and remove one in its place."""
        return self._account.replace(self._mailbox, self._owner_id, uid, name, message)

    def close(self) -> None:
        """The session is done with it."""
        self._following.cancel()
        super().close()
