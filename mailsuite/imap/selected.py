"""The mailbox that a session has selected, and how the session hears of its changes."""

from collections.abc import Awaitable, Callable, Iterator
from collections.abc import Set as AbstractSet
from typing import TypeVar

from mailsuite.imap import responses
from mailsuite.imap.ahead import Ahead
from mailsuite.imap.capabilities import CONDSTORE, QRESYNC, REV2, UIDONLY
from mailsuite.imap.remembered import Remembered
from mailsuite.imap.sequence import merge_runs
from mailsuite.imap.view import SYSTEM_FLAGS, Notices, SelectedView
from mailsuite.interfaces import (
    ALL_RIGHTS,
    ANY_MAILBOX,
    Changes,
    IGuestMailbox,
    IMailAccount,
    IMailbox,
    ISubscription,
    IWatchableMailbox,
    MailboxChange,
    Rights,
    allowed_flags,
)

T = TypeVar("T")

LOOK_SECONDS = 1.0
"""Who asks again within this time is watched for: then it is known without looking that nothing has happened."""


class Selected:
    """
    A mailbox between SELECT and whatever ends it.

    It listens from the beginning, so that nothing between the snapshot and the first command is missed; `view` is
    there after `look`.

    Args:
        enabled: what the client has switched on.

    Attributes:
        enabled: what it has switched on since; the session says so.
        modseq_due: who knows MODSEQs is to be told HIGHESTMODSEQ, since messages went.
    """

    __slots__ = (
        "_gap",
        "_guest",
        "_keywords_max",
        "_looked",
        "_newest",
        "_remembered",
        "_subscription",
        "_told_read_only",
        "_told_rights",
        "_watchable",
        "enabled",
        "mailbox",
        "modseq_due",
        "on_change",
        "view",
    )

    view: SelectedView

    def __init__(self, account: IMailAccount, mailbox: IMailbox, enabled: AbstractSet[bytes] = frozenset()) -> None:
        self.mailbox = mailbox
        self.enabled = enabled
        self.modseq_due = False
        self._keywords_max: int = account.keywords_max
        self._guest = IGuestMailbox(mailbox) if IGuestMailbox.providedBy(mailbox) else None
        self._told_rights = self.rights
        self._told_read_only = self.read_only
        self.on_change: Callable[[], None] | None = None
        self._remembered: Remembered | None = None
        self._newest = 0
        self._gap = False
        self._watchable: IWatchableMailbox | None = None
        self._looked = -LOOK_SECONDS
        self._subscription: ISubscription | None = account.changes.subscribe(account.account_id, self._changed)

    @property
    def remembered(self) -> Remembered:
        """What was worked out before."""
        if self._remembered is None:
            self._remembered = Remembered()
        return self._remembered

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed; with rights that are taken away or given, that changes."""
        return bool(self.mailbox.read_only)

    @property
    def is_guest(self) -> bool:
        """Whether the mailbox is somebody else's."""
        return self._guest is not None

    @property
    def rights(self) -> Rights:
        """What the client may do, as it was when the mailbox was last asked for something."""
        rights: Rights = ALL_RIGHTS if self._guest is None else self._guest.rights
        return rights

    async def look(self) -> None:
        """Take the snapshot that the view begins with; what may be done is told next."""
        self.view = SelectedView(await self.mailbox.snapshot(), recent=REV2 not in self.enabled)
        self._told_read_only = self.read_only

    def _changed(self, change: MailboxChange) -> None:
        if change.mailbox_id in {ANY_MAILBOX, 0}:  # of the names that changed, one may be this mailbox's
            self._gap = True
        elif change.mailbox_id == self.mailbox.mailbox_id:
            self._newest = max(self._newest, change.modseq)
        else:
            return
        if self.on_change is not None:
            self.on_change()

    def watch(self) -> None:
        """Hear of other programs' changes as of all others, where that can be."""
        if self._watchable is None:
            self._watchable = IWatchableMailbox(self.mailbox, None)
        if self._watchable is not None:
            self._watchable.watch()

    @property
    def shows_modseq(self) -> bool:
        """Whether the client is told UID and MODSEQ with all flags (RFC 7162 sections 3.1 and 3.2.4)."""
        return CONDSTORE in self.enabled

    @property
    def shows_uid(self) -> bool:
        """Whether the client is told the UID with all flags, also where it did not ask (RFC 9051 section 7.5.2)."""
        return REV2 in self.enabled or self.shows_modseq

    @property
    def uid_only(self) -> bool:
        """Whether the client wants to hear of no sequence numbers (RFC 9586 section 3)."""
        return UIDONLY in self.enabled

    @property
    def fetch_kind(self) -> bytes:
        """Which response tells of a message."""
        return responses.UIDFETCH if self.uid_only else responses.FETCH

    @property
    def is_behind(self) -> bool:
        """Whether a notice came of something that the view does not hold yet."""
        return self._gap or self._newest > self.view.modseq

    async def meet_rights(self) -> None:
        """
        Before a command on a mailbox of somebody else: learn what a notice came of, which may be other rights.

        Raises:
            MailError: NOT_FOUND when the mailbox is gone, or may no longer be read.
        """
        if self._guest is not None and self.is_behind:
            await self.synchronise()

    async def synchronise(self, *, always: bool = False) -> None:
        """
        Bring the view up to date.

        Args:
            always: also without a notice, for changes that other programs made in the mailbox's folder.

        Raises:
            MailError: NOT_FOUND when the mailbox is gone.
        """
        if always or self.is_behind:
            newest, self._gap = self._newest, False
            changes = await self.mailbox.changes(self.view.modseq)
            self.view.tells_modseqs = self.shows_modseq
            self.view.apply(changes)
            # A notice may be of a MODSEQ that changed nothing the view can see.
            self.view.modseq = max(self.view.modseq, newest)

    async def look_again(self, now: float) -> None:
        """
        Bring the view up to date as NOOP does; who asks all the time costs a look now and then.

        Args:
            now: seconds of any clock.

        Raises:
            MailError: NOT_FOUND when the mailbox is gone.
        """
        if now - self._looked < LOOK_SECONDS:
            if not self.is_behind and self._watchable is not None and self._watchable.is_quiet:
                return
            self.watch()
        self._looked = now
        await self.synchronise(always=True)

    async def changing(self, work: Awaitable[T]) -> tuple[T, Changes]:
        """
        Let the store do something to the mailbox, and learn in the same trip what it and others have changed.

        Returns:
            The work's result, and the changes, to be given to the view when the result has been noted.

        Raises:
            MailError: the work has failed.
        """
        self.view.tells_modseqs = self.shows_modseq
        working = Ahead(work)
        following = Ahead(self.mailbox.changes(self.view.modseq))
        try:
            result = await working.result()
        except BaseException:
            following.abandon()
            raise
        return result, await following.result()

    def notices(self, *, expunge: bool, uid: bool = False, flags: bool = True) -> bytes:
        """
        Write what the client is to be told now, and count it as told.

        Args:
            expunge: whether sequence numbers may change (RFC 3501 section 7.4.1).
            uid: a UID command causes the answers, so that they carry UIDs (RFC 3501 section 6.4.8).
            flags: of changed flags, too; otherwise they are taken as told (RFC 5465 section 5).
        """
        rights = b"" if self._guest is None else self._rights_notice()
        if not flags:
            self.view.forget_flags()
        if not self.view.has_notices(expunge=expunge):
            return rights
        return rights + b"".join(self._lines(self.view.notices(expunge=expunge), uid=uid))

    def _rights_notice(self) -> bytes:
        """Write what may be done now, if that is something else than before (RFC 4314 section 5.1.1)."""
        notice = b""
        if self.rights != self._told_rights:
            notice = self.flag_lines(self.view.keywords)
        if self.read_only != self._told_read_only:
            self._told_read_only = self.read_only
            code = responses.READ_ONLY if self.read_only else responses.READ_WRITE  # RFC 3501 section 7.1
            notice += responses.untagged(responses.OK, "the rights on this mailbox have changed", code)
        return notice

    def take_modseq_code(self) -> bytes:
        """
        Write HIGHESTMODSEQ if it is due: after a MOVE for who uses CONDSTORE, else for who uses QRESYNC.

        While messages that went may not be told, it stays behind, so that the client asks for them again when the
        connection breaks (RFC 7162 section 3.2).
        """
        due = (self.modseq_due and self.shows_modseq) or (self.view.has_gone and QRESYNC in self.enabled)
        self.modseq_due = False
        return responses.highest_modseq_code(self.view.told_modseq) if due else b""

    def keyword_notice(self) -> bytes:
        """Write the flags there can be, if there are some that the client does not know."""
        keywords = self.view.keyword_notice()
        return b"" if keywords is None else self.flag_lines(keywords)

    def _lines(self, notices: Notices, *, uid: bool) -> Iterator[bytes]:
        if notices.vanished and (QRESYNC in self.enabled or self.uid_only):
            self.modseq_due = True
            yield responses.vanished_line(merge_runs(notices.vanished))
        else:
            yield from map(responses.expunge_line, notices.expunged)
        if notices.exists is not None:
            yield responses.exists_line(notices.exists)
        if notices.recent is not None:
            yield responses.recent_line(notices.recent)
        if notices.keywords is not None:
            yield self.flag_lines(notices.keywords)
        if not notices.flags:
            return
        shows_uid, shows_modseq, kind = uid or self.shows_uid, self.shows_modseq, self.fetch_kind
        for number, message_uid, flags, modseq in notices.flags:
            shown_uid = message_uid if shows_uid else None
            addressed = message_uid if kind is responses.UIDFETCH else number
            yield responses.fetch_flags_line(addressed, flags, shown_uid, modseq if shows_modseq else None, kind=kind)

    def flag_lines(self, keywords: frozenset[str]) -> bytes:
        """
        Write which flags there can be, and which are kept (RFC 3501 section 7.1, PERMANENTFLAGS).

        Where there are as many keywords as there may be, no others can be made (RFC 9051 section 7.1).
        """
        flags = {*SYSTEM_FLAGS, *keywords}
        others = () if len(keywords) >= self._keywords_max else ("\\*",)
        self._told_rights = self.rights
        kept = frozenset() if self.read_only else allowed_flags(frozenset(flags.union(others)), self.rights)
        code = responses.permanent_flags_code(kept)
        return responses.flags_line(flags) + responses.untagged(responses.OK, "flags that are kept", code)

    def close(self) -> None:
        """Stop listening and give the mailbox back; may be called twice."""
        self.on_change = None
        if self._subscription is not None:
            self._subscription.cancel()
            self._subscription = None
            self.mailbox.close()
