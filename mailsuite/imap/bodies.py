"""
FETCH answers that need messages' octets: small messages together, large ones in pieces.

A message that is small is read whole, with its neighbours, and its sections are cut from memory. Of a larger one only
what was asked for is read, a piece at a time, never faster than the client takes it.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap.fetch_format import Plan, Row
from mailsuite.imap.fetch_grammar import BodySection, FetchItems
from mailsuite.imap.sections import (
    answer,
    cached_fields,
    cut,
    extent,
    from_content,
    is_cached,
    is_header,
    is_whole,
    partial,
    picked_fields,
    selects_fields,
)
from mailsuite.imap.session import ConnectionGone, Session
from mailsuite.interfaces import IMailbox
from mailsuite.message.header import HEADER_MAX_OCTETS, find_empty_line
from mailsuite.message.mime import parse_parts

SMALL_MAX_OCTETS = 64 * 1024  # of a message that is read whole whatever is asked of it
BATCH_OCTETS = 256 * 1024
PIECE_OCTETS = 256 * 1024
HEADER_WINDOW_OCTETS = 16 * 1024
TURN_SECONDS = 0.02  # of looking for parts, then others have their turn


@attrs.frozen
class Wanted:
    """
    One message of a FETCH.

    Args:
        opening: its answer up to the last attribute.
        closing: what follows the last section.
        header: its cached header fields; empty when none were asked for.
    """

    uid: int
    size: int
    header: bytes
    opening: bytes
    closing: bytes


async def write_bodies(
    session: Session,
    items: FetchItems,
    plan: Plan,
    openings: Sequence[bytes],
    rows: Sequence[Row],
    fresh: Mapping[int, bytes],
) -> int:
    """
    Write the answers of some messages; return how many had no octets any more.

    Args:
        fresh: by UID, what is to be told as well, since this FETCH changed it.
    """
    writing = Bodies(session, items)
    missing = 0
    space = b" " if items.attributes else b""
    wanted = [
        Wanted(
            uid=row[0],  # type: ignore[arg-type]  # what the columns are is known
            size=row[plan.size_at],  # type: ignore[arg-type]  # likewise
            header=row[plan.header_at] if plan.header_at else b"",  # type: ignore[arg-type]  # likewise
            opening=opening + space,
            closing=fresh.get(row[0], b"") + b")\r\n",  # type: ignore[call-overload]  # likewise
        )
        for opening, row in zip(openings, rows, strict=True)
    ]
    small_max = BATCH_OCTETS if writing.whole else SMALL_MAX_OCTETS
    for batch in _batches(wanted, small_max):
        # Reading the next batch ahead gains nothing: the store's thread and this one would wait for each other.
        if batch[0].size > small_max:
            missing += not await writing.write_large(batch[0])
        else:
            missing += await writing.write_small(batch)
    return missing


def _batches(wanted: Sequence[Wanted], small_max: int) -> Iterator[list[Wanted]]:
    """Put small neighbours together; a large message stands alone."""
    batch: list[Wanted] = []
    total = 0
    for message in wanted:
        if batch and (message.size > small_max or total + message.size > BATCH_OCTETS):
            yield batch
            batch, total = [], 0
        if message.size > small_max:
            yield [message]
        else:
            batch.append(message)
            total += message.size
    if batch:
        yield batch


class Bodies:
    """Writes the sections of messages."""

    def __init__(self, session: Session, items: FetchItems) -> None:
        self._session = session
        self._mailbox: IMailbox = session.mailbox.mailbox
        self._sections = items.sections
        self.whole = any(is_whole(section) for section in items.sections)

    async def write_small(self, batch: Sequence[Wanted]) -> int:
        """Read messages together and write them; return how many are gone."""
        contents = dict(await self._mailbox.read_many([message.uid for message in batch], BATCH_OCTETS))
        pieces: list[bytes] = []
        missing = 0
        seconds = self._session.seconds
        turn_ends = seconds() + TURN_SECONDS
        for message in batch:
            if seconds() > turn_ends:
                await self._session.connection.sleep(0)
                turn_ends = seconds() + TURN_SECONDS
            content = contents.get(message.uid)
            if content is None:
                missing += 1
                continue
            parts = functools.cache(functools.partial(parse_parts, content))
            answers = [
                answer(
                    section,
                    cached_fields(message.header, section)
                    if is_cached(section)
                    else from_content(content, parts, section),
                )
                for section in self._sections
            ]
            pieces += (message.opening, b" ".join(answers), message.closing)
        self._session.connection.write(b"".join(pieces))
        await self._session.connection.drained()
        return missing

    async def write_large(self, message: Wanted) -> bool:
        """Write one message in pieces; False when it is gone."""
        connection = self._session.connection
        try:
            found = [await self._find(message, section) for section in self._sections]
        except MailError as error:
            if error.kind is Kind.EXPUNGED:
                return False
            raise
        before = message.opening
        for section, place in zip(self._sections, found, strict=True):
            if place is None or isinstance(place, bytes):
                connection.write(before + answer(section, place))
            else:
                start, end = place
                connection.write(b"%b%b {%d}\r\n" % (before, section.label, end - start))
                await self._stream(message.uid, start, end)
            before = b" "
        connection.write(message.closing)
        await connection.drained()
        return True

    async def _find(self, message: Wanted, section: BodySection) -> bytes | tuple[int, int] | None:
        """Give a section's octets when they are few, or where they lie."""
        if is_cached(section):
            return cached_fields(message.header, section)
        if is_whole(section):
            await self._mailbox.read(message.uid, 0, 1)  # is it still there? Better known before the answer begins
            return partial(0, message.size, section)
        if is_header(section):
            header = await self._header(message)
            return cut(picked_fields(header, section) if selects_fields(section) else header, section)
        found = extent(await self._mailbox.parts(message.uid), section)
        if found is None:
            return None
        if selects_fields(section):
            start, end = found
            octets = await self._mailbox.read(message.uid, start, min(end - start, HEADER_MAX_OCTETS))
            return cut(picked_fields(octets, section), section)
        return partial(*found, section)

    async def _header(self, message: Wanted) -> bytes:
        length = HEADER_WINDOW_OCTETS
        while True:
            octets = await self._mailbox.read(message.uid, 0, length)
            end = 0 if octets.startswith((b"\r\n", b"\n")) else find_empty_line(octets, 0, len(octets)) + 1
            if end or octets.startswith((b"\r\n", b"\n")):
                return octets[: end + (2 if octets[end : end + 1] == b"\r" else 1)]
            if len(octets) < length:
                return octets
            length *= 4

    async def _stream(self, uid: int, start: int, end: int) -> None:
        """Write octets piece by piece; once the literal has begun, what is missing ends the connection."""
        connection = self._session.connection
        while start < end:
            try:
                octets = await self._mailbox.read(uid, start, min(PIECE_OCTETS, end - start))
            except MailError as error:
                octets = b""
                if error.kind is not Kind.EXPUNGED:
                    self._session.log.emit("imap.message.unreadable", uid=uid, reason=error.kind.value)
            if not octets:
                connection.hang_up()
                raise ConnectionGone
            connection.write(octets)
            start += len(octets)
            await connection.drained()
