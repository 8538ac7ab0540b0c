r"""
The maildrop: a mailbox as POP3 sees it, frozen at login (RFC 1939 section 4).

Nothing changes in the mailbox before QUIT, so a connection that breaks loses nothing.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import IO, Protocol

from twisted.internet.defer import maybeDeferred
from twisted.mail.interfaces import IMailboxPOP3

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Column, IMailAccount, IMailbox, StoreMode
from mailsuite.pop3.grammar import LineEnds

INBOX = "INBOX"
FETCH_BATCH = 500
PIECE_OCTETS = 128 * 1024
PREFETCH_MESSAGES_MAX = 128
DELETED = frozenset({"\\Deleted"})


class Maildrop(Protocol):
    """Messages by index, from 0; their number and order never change."""

    sizes: Sequence[int]
    unique_ids: Sequence[str]

    def pieces(self, index: int) -> AsyncGenerator[bytes, None]:
        """
        Read a message.

        Raises:
            MailError: EXPUNGED before the first piece when it has gone; UNAVAILABLE at any time.
        """

    async def remove(self, indices: Collection[int]) -> None:
        """
        Remove messages, durably.

        Raises:
            MailError: they may all still be there.
        """

    def close(self) -> None:
        """The session is over."""


class AccountMaildrop:
    r"""
    The INBOX of an account.

    It is opened read-only, so that ``\Recent`` stays for IMAP, and for writing only when QUIT has something to remove.
    """

    def __init__(
        self, account: IMailAccount, mailbox: IMailbox, uidvalidity: int, uids: Sequence[int], prefetch_octets: int
    ) -> None:
        self._account = account
        self._mailbox = mailbox
        self._uidvalidity = uidvalidity
        self._uids = uids
        self._prefetch_octets = prefetch_octets
        self._ahead: dict[int, bytes] = {}
        self._expected = -1  # the index that a client reading in order asks for next
        self._window = 1
        self.sizes: Sequence[int] = ()
        self.unique_ids: Sequence[str] = [f"{uidvalidity}.{uid}" for uid in uids]

    @classmethod
    async def open_(cls, account: IMailAccount, *, prefetch_octets: int) -> "AccountMaildrop":
        """
        Take the snapshot.

        Raises:
            MailError: UNAVAILABLE; NOT_FOUND.
        """
        mailbox = await account.open_mailbox(INBOX, read_only=True)
        try:
            snapshot = await mailbox.snapshot()
            sizes: dict[int, int] = {}
            for begin in range(0, len(snapshot.uids), FETCH_BATCH):
                rows = await mailbox.fetch(snapshot.uids[begin : begin + FETCH_BATCH], (Column.SIZE,))
                sizes.update((int(str(row[0])), int(str(row[-1]))) for row in rows)
        except BaseException:
            mailbox.close()
            raise
        uids = [uid for uid in snapshot.uids if uid in sizes]
        maildrop = cls(account, mailbox, snapshot.uidvalidity, uids, prefetch_octets)
        maildrop.sizes = [sizes[uid] for uid in uids]
        return maildrop

    async def pieces(self, index: int) -> AsyncGenerator[bytes, None]:
        """
        Read a message; small ones that follow are read ahead when the client goes through them in order.

        Raises:
            MailError: EXPUNGED; UNAVAILABLE.
        """
        uid, size = self._uids[index], self.sizes[index]
        self._window = min(self._window * 2, PREFETCH_MESSAGES_MAX) if index == self._expected else 1
        self._expected = index + 1
        if size <= PIECE_OCTETS:
            if uid not in self._ahead:
                await self._read_ahead(index)
            yield self._ahead.pop(uid)
            return
        offset = 0
        while offset < size:
            piece = await self._mailbox.read(uid, offset, min(PIECE_OCTETS, size - offset))
            if not piece:
                raise MailError(Kind.EXPUNGED, "the message has been removed")
            yield piece
            offset += len(piece)

    async def _read_ahead(self, index: int) -> None:
        wanted = []
        octets = 0
        for next_ in range(index, min(index + self._window, len(self._uids))):
            octets += self.sizes[next_]
            if next_ > index and (octets > self._prefetch_octets or self.sizes[next_] > PIECE_OCTETS):
                break
            wanted.append(self._uids[next_])
        self._ahead = dict(await self._mailbox.read_many(wanted, max(self._prefetch_octets, self.sizes[index])))
        if self._uids[index] not in self._ahead:
            raise MailError(Kind.EXPUNGED, "the message has been removed")

    async def remove(self, indices: Collection[int]) -> None:
        """
        Remove messages, durably; those that have gone already are no fault.

        Raises:
            MailError: UNAVAILABLE; CONFLICT when the mailbox was made anew and its UIDs mean other messages.
        """
        if not indices:
            return
        uids = [self._uids[index] for index in sorted(indices)]
        mailbox = await self._account.open_mailbox(INBOX, read_only=False)
        try:
            status = await self._account.status(INBOX)
            if status.uidvalidity != self._uidvalidity or mailbox.mailbox_id != self._mailbox.mailbox_id:
                raise MailError(Kind.CONFLICT, "the mailbox was made anew")
            await mailbox.store_flags(uids, StoreMode.ADD, DELETED, None)
            await mailbox.expunge(uids)
        finally:
            mailbox.close()

    def close(self) -> None:
        """The session is over."""
        self._ahead.clear()
        self._mailbox.close()


class ForeignMaildrop:
    """A mailbox that another program's realm gave us, as Twisted's own POP3 server would use it."""

    def __init__(self, mailbox: IMailboxPOP3, sizes: Sequence[int], unique_ids: Sequence[str]) -> None:
        self._mailbox = mailbox
        self.sizes = sizes
        self.unique_ids = unique_ids

    @classmethod
    async def open_(cls, mailbox: IMailboxPOP3) -> "ForeignMaildrop":
        """Ask for everything that may be told without reading a message."""
        sizes = [int(size) for size in await maybeDeferred(mailbox.listMessages)]
        unique_ids = []
        for index in range(len(sizes)):
            unique_id = await maybeDeferred(mailbox.getUidl, index)
            text = unique_id.decode("ascii", "replace") if isinstance(unique_id, bytes) else str(unique_id)
            unique_ids.append("".join(c if "!" <= c <= "~" else "?" for c in text) or "?")
        return cls(mailbox, sizes, unique_ids)

    async def pieces(self, index: int) -> AsyncGenerator[bytes, None]:
        """
        Read a message, and end its lines with CRLF.

        Raises:
            MailError: EXPUNGED.
        """
        try:
            file: IO[bytes] = await maybeDeferred(self._mailbox.getMessage, index)
        except (ValueError, IndexError) as error:
            raise MailError(Kind.EXPUNGED, "the message has been removed") from error
        ends = LineEnds()
        try:
            while piece := file.read(PIECE_OCTETS):
                yield ends.feed(piece)
            yield ends.finish()
        finally:
            file.close()

    async def remove(self, indices: Collection[int]) -> None:
        """Mark and sync; what goes wrong is the mailbox's own exception."""
        for index in sorted(indices):
            await maybeDeferred(self._mailbox.deleteMessage, index)
        await maybeDeferred(self._mailbox.sync)

    def close(self) -> None:
        """Nothing to close: the portal's logout does it."""
