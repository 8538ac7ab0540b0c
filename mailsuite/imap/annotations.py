"""How a session hears that others changed annotations (RFC 5464 section 4.4.2)."""

from collections.abc import Callable, Mapping, Sequence

from mailsuite.interfaces import ANY_MAILBOX, IAnnotatedAccount, ISubscription, MailboxChange

NO_MAILBOX = 0


class AnnotationWatch:
    """
    Knows up to which change the client has heard of annotations; what it changed itself it is not told.

    Args:
        on_change: called when there may be something to tell; set while the client idles.
    """

    def __init__(self, account: IAnnotatedAccount) -> None:
        self.on_change: Callable[[], None] | None = None
        self.is_behind = False
        self._account = account
        self._told = 0
        self._own: set[int] = set()
        self._subscription: ISubscription | None = account.changes.subscribe(account.account_id, self._changed)

    async def begin(self) -> None:
        """
        Count what was changed before as told.

        Raises:
            MailError: the store cannot say.
        """
        self._told = (await self._account.annotated(None)).number

    def _changed(self, change: MailboxChange) -> None:
        if change.mailbox_id in {NO_MAILBOX, ANY_MAILBOX}:
            self.is_behind = True
            if self.on_change is not None:
                self.on_change()

    def note_own(self, numbers: Sequence[int]) -> None:
        """Note changes that the client made itself."""
        self._own.update(numbers)

    async def take(self) -> Mapping[str, Sequence[str]]:
        """
        Give the entries that others changed, by mailbox, and count them as told.

        Raises:
            MailError: the store cannot say; ask again.
        """
        if not self.is_behind:
            return {}
        self.is_behind = False
        try:
            changed = await self._account.annotated(self._told)
        except BaseException:
            self.is_behind = True
            raise
        self._told = changed.number
        told: dict[str, list[str]] = {}
        for change in changed.changes:
            if change.number not in self._own:
                told.setdefault(change.mailbox, []).append(change.entry)
        self._own = {number for number in self._own if number > self._told}
        return told

    def close(self) -> None:
        """Stop listening; may be called twice."""
        self.on_change = None
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
