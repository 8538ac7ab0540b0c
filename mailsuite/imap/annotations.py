"""How a session hears that others changed annotations (RFC 5464 section 4.4.2)."""

from collections.abc import Callable, Mapping, Sequence

from mailsuite.interfaces import ANY_MAILBOX, IAnnotatedAccount, ISubscription, MailboxChange

NO_MAILBOX = 0


class AnnotationWatch:
    """
    Knows up to which change the client has heard of annotations; what it changed itself it is not told.

    Args:
        announce: called when there may be something to tell.
    """

    def __init__(self, account: IAnnotatedAccount, announce: Callable[[], None]) -> None:
        self._announce = announce
        self.is_behind = False
        self._account = account
        self._told = 0
        self._own: set[int] = set()
        self._back: dict[str, Sequence[str]] = {}
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
            self._announce()

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
        told = {mailbox: [*entries] for mailbox, entries in self._back.items()}
        self._back = {}
        for change in changed.changes:
            if change.number not in self._own:
                told.setdefault(change.mailbox, []).append(change.entry)
        self._own = {number for number in self._own if number > self._told}
        return told

    def put_back(self, told: Mapping[str, Sequence[str]]) -> None:
        """Keep what could not be told after all."""
        self._back = dict(told)
        self.is_behind = self.is_behind or bool(told)

    def close(self) -> None:
        """Stop listening; may be called twice."""
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
