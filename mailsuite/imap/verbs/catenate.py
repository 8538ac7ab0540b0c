"""CATENATE: messages made of parts of others, which never leave the server (RFC 4469)."""

from collections.abc import AsyncIterator

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap import responses
from mailsuite.imap.sections import cut, extent, is_whole, partial, picked_fields, selects_fields
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.urls import BadURLError, MessagePart, parse_url
from mailsuite.interfaces import Column, IMailbox, PartOffsets
from mailsuite.message.header import HEADER_MAX_OCTETS

PIECE_OCTETS = 256 * 1024
_ABSENT = frozenset((Kind.NOT_FOUND, Kind.EXPUNGED))


def bad_url(url: bytes, text: str) -> Reply:
    """Refuse a URL (RFC 4469 section 4.1)."""
    return Reply(text, status=responses.NO, code=responses.bad_url_code(url))


@attrs.frozen
class Source:
    """
    Octets of a message.

    Args:
        octets: themselves, when they do not lie in the message as they are wanted.
        start: where they lie in the message otherwise.
    """

    mailbox: IMailbox
    uid: int
    start: int
    end: int
    octets: bytes | None = None

    @property
    def size_octets(self) -> int:
        """How many there are."""
        return self.end - self.start

    async def pieces(self) -> AsyncIterator[bytes]:
        """
        Give the octets.

        Raises:
            BadURLError: the message is gone meanwhile.
            MailError: it cannot be read.
        """
        if self.octets is not None:
            yield self.octets
            return
        start = self.start
        while start < self.end:
            try:
                octets = await self.mailbox.read(self.uid, start, min(PIECE_OCTETS, self.end - start))
            except MailError as error:
                if error.kind in _ABSENT:
                    raise BadURLError(error.detail) from error
                raise
            if not octets:
                raise BadURLError("the message is gone")
            start += len(octets)
            yield octets


class Sources:
    """The mailboxes that the URLs of one command lead to; each is opened once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._opened: dict[str, tuple[IMailbox, int]] = {}
        self._scanned: tuple[int, int, PartOffsets] | None = None

    async def find(self, url: bytes) -> Source:
        r"""
        Find the octets that a URL names; no ``\Seen`` is set (RFC 4469 section 3).

        Raises:
            BadURLError: there are none.
            MailError: they cannot be had now.
        """
        part = parse_url(url)
        try:
            return await self._find(part)
        except MailError as error:
            if error.kind in _ABSENT:
                raise BadURLError(error.detail) from error
            raise

    async def _find(self, part: MessagePart) -> Source:
        mailbox, uidvalidity = await self._mailbox(part.mailbox)
        if part.uidvalidity not in {None, uidvalidity}:
            raise BadURLError("the mailbox is another one than it was")
        uid, section = part.uid, part.section
        rows = await mailbox.fetch([uid], (Column.SIZE,))
        if not rows:
            raise BadURLError("there is no such message")
        if is_whole(section):
            size: int = rows[0][1]  # type: ignore[assignment]  # a size
            return Source(mailbox, uid, *partial(0, size, section))
        found = extent(await self._parts(mailbox, uid), section)
        if found is None:
            raise BadURLError("the message has no such part")
        start, end = found
        if not selects_fields(section):
            return Source(mailbox, uid, *partial(start, end, section))
        header = await mailbox.read(uid, start, min(end - start, HEADER_MAX_OCTETS))
        octets = cut(picked_fields(header, section), section)
        return Source(mailbox, uid, 0, len(octets), octets)

    async def _parts(self, mailbox: IMailbox, uid: int) -> PartOffsets:
        """Find the parts of a message; those of the last one are kept, since a client names one after the other."""
        if self._scanned is None or self._scanned[:2] != (mailbox.mailbox_id, uid):
            self._scanned = (mailbox.mailbox_id, uid, await mailbox.parts(uid))
        return self._scanned[2]

    async def _mailbox(self, name: str | None) -> tuple[IMailbox, int]:
        """Give a mailbox and its UIDVALIDITY."""
        selected = self._session.selected
        if selected is not None and name in {None, selected.mailbox.name}:
            return selected.mailbox, selected.view.uidvalidity
        if name is None:
            raise BadURLError("no mailbox is selected")
        if name not in self._opened:
            account = self._session.avatar
            uidvalidity = (await account.status(name)).uidvalidity
            self._opened[name] = (await account.open_mailbox(name, read_only=True), uidvalidity)
        return self._opened[name]

    def close(self) -> None:
        """Give the mailboxes back."""
        for mailbox, _ in self._opened.values():
            mailbox.close()
        self._opened.clear()
