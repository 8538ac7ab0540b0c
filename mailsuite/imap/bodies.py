"""
FETCH answers that need messages' octets: small messages together, large ones in pieces.

A message that is small is read whole, with its neighbours, and its sections are cut from memory. Of a larger one only
what was asked for is read, a piece at a time, never faster than the client takes it.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap.fetch_format import Plan, Row
from mailsuite.imap.fetch_grammar import BodySection, FetchItems, SectionForm
from mailsuite.imap.sections import (
    UnknownEncodingError,
    answer,
    cached_fields,
    cut,
    encoding_of,
    extent,
    from_content,
    is_cached,
    is_header,
    is_whole,
    partial,
    picked_fields,
    selects_fields,
    size_answer,
    without_nul,
)
from mailsuite.imap.session import ConnectionGone, Session
from mailsuite.interfaces import IMailbox
from mailsuite.message.decode import IDENTITY, Decoder, decoder_for
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


@attrs.define
class Excerpt:
    """
    What was asked for of octets that come piece by piece.

    Args:
        first: so many of them go before it.
        limit: so many it has at most; None for all that come.
        octets: of it that came.
        has_nul: whether NUL was among them.
    """

    first: int
    limit: int | None
    octets: int = 0
    has_nul: bool = False
    _before: int = 0

    def take(self, piece: bytes) -> bytes:
        """Give what of a piece belongs to it."""
        skipped = min(self.first - self._before, len(piece))
        self._before += skipped
        wanted = piece[skipped : None if self.limit is None else skipped + self.limit - self.octets]
        self.octets += len(wanted)
        self.has_nul = self.has_nul or b"\0" in wanted
        return wanted

    @property
    def is_whole(self) -> bool:
        """Whether nothing of it can come any more."""
        return self.octets == self.limit


@attrs.frozen
class Decoded:
    """
    A part of a large message that is to be sent decoded.

    Args:
        start: where its octets begin in the message.
        end: where they end.
        excerpt: what of it was asked for, measured.
    """

    start: int
    end: int
    encoding: str
    excerpt: Excerpt


@attrs.define
class Lost:
    """
    What could not be told.

    Args:
        missing: messages that had no octets any more.
        undecodable: messages with a part whose encoding nobody knows.
    """

    missing: int = 0
    undecodable: int = 0


async def write_bodies(
    session: Session,
    items: FetchItems,
    plan: Plan,
    openings: Sequence[bytes],
    rows: Sequence[Row],
    fresh: Mapping[int, bytes],
    lost: Lost,
) -> None:
    """
    Write the answers of some messages.

    Args:
        fresh: by UID, what is to be told as well, since this FETCH changed it.
        lost: counts those that have no answer.
    """
    writing = Bodies(session, items, lost)
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
            await writing.write_large(batch[0])
        else:
            await writing.write_small(batch)


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

    def __init__(self, session: Session, items: FetchItems, lost: Lost) -> None:
        self._session = session
        self._lost = lost
        self._mailbox: IMailbox = session.mailbox.mailbox
        self._sections = items.sections
        self.whole = any(is_whole(section) for section in items.sections)

    async def write_small(self, batch: Sequence[Wanted]) -> None:
        """Read messages together and write them."""
        contents = dict(await self._mailbox.read_many([message.uid for message in batch], BATCH_OCTETS))
        pieces: list[bytes] = []
        seconds = self._session.seconds
        turn_ends = seconds() + TURN_SECONDS
        for message in batch:
            if seconds() > turn_ends:
                await self._session.connection.sleep(0)
                turn_ends = seconds() + TURN_SECONDS
            content = contents.get(message.uid)
            if content is None:
                self._lost.missing += 1
                continue
            parts = functools.cache(functools.partial(parse_parts, content))
            try:
                answers = [
                    answer(
                        section,
                        cached_fields(message.header, section)
                        if is_cached(section)
                        else from_content(content, parts, section),
                    )
                    for section in self._sections
                ]
            except UnknownEncodingError:
                self._lost.undecodable += 1
                continue
            pieces += (message.opening, b" ".join(answers), message.closing)
        self._session.connection.write(b"".join(pieces))
        await self._session.connection.drained()

    async def write_large(self, message: Wanted) -> None:
        """Write one message in pieces."""
        connection = self._session.connection
        try:
            found = [await self._find(message, section) for section in self._sections]
        except UnknownEncodingError:
            self._lost.undecodable += 1
            return
        except MailError as error:
            if error.kind is not Kind.EXPUNGED:
                raise
            self._lost.missing += 1
            return
        before = message.opening
        for section, place in zip(self._sections, found, strict=True):
            if place is None or isinstance(place, bytes):
                connection.write(before + answer(section, place))
            elif isinstance(place, Decoded):
                await self._write_decoded(message.uid, section, place, before)
            elif section.form is SectionForm.SIZE:
                connection.write(before + size_answer(section, place[1] - place[0]))
            else:
                await self._write_plain(message.uid, section, *place, before)
            before = b" "
        connection.write(message.closing)
        await connection.drained()

    async def _find(self, message: Wanted, section: BodySection) -> bytes | tuple[int, int] | Decoded | None:
        """
        Give a section's octets when they are few, or where they lie.

        Raises:
            MailError: EXPUNGED.
            UnknownEncodingError: it cannot be decoded.
        """
        if is_cached(section):
            return cached_fields(message.header, section)
        if is_whole(section):
            await self._mailbox.read(message.uid, 0, 1)  # is it still there? Better known before the answer begins
            return await self._place(message.uid, section, 0, message.size, "")
        if is_header(section):
            header = await self._header(message)
            return cut(picked_fields(header, section) if selects_fields(section) else header, section)
        parts = await self._mailbox.parts(message.uid)
        found = extent(parts, section)
        if found is None:
            return None
        if selects_fields(section):
            start, end = found
            octets = await self._mailbox.read(message.uid, start, min(end - start, HEADER_MAX_OCTETS))
            return cut(picked_fields(octets, section), section)
        return await self._place(message.uid, section, *found, encoding_of(parts, section))

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

    async def _place(
        self, uid: int, section: BodySection, start: int, end: int, encoding: str
    ) -> tuple[int, int] | Decoded:
        """Say where the octets lie; of what is sent decoded, also how many it gives and whether NUL is among them."""
        if section.form is SectionForm.OCTETS:
            return partial(start, end, section)
        if encoding not in IDENTITY:
            limit = None if section.offset is None else section.length
            return await self._measure(uid, start, end, encoding, Excerpt(section.offset or 0, limit))
        start, end = partial(start, end, section)
        if section.form is SectionForm.SIZE:
            return start, end
        return await self._measure(uid, start, end, encoding, Excerpt(0, end - start))

    async def _measure(self, uid: int, start: int, end: int, encoding: str, excerpt: Excerpt) -> Decoded:
        """Decode once to learn what is told before the octets: their number, and whether a <string> can hold them."""
        decoder = decoder_for(encoding)
        if decoder is None:
            raise UnknownEncodingError
        position = start
        while position < end and not excerpt.is_whole:
            octets = await self._mailbox.read(uid, position, min(PIECE_OCTETS, end - position))
            if not octets:
                raise MailError(Kind.EXPUNGED, "the message is gone")
            excerpt.take(decoder.feed(octets))
            position += len(octets)
            await self._session.connection.sleep(0)
        excerpt.take(decoder.finish())
        return Decoded(start, end, encoding, excerpt)

    async def _write_decoded(self, uid: int, section: BodySection, place: Decoded, before: bytes) -> None:
        """Write a part decoded, as a literal8 only where it holds NUL (RFC 9051 section 7.5.2)."""
        connection = self._session.connection
        measured = place.excerpt
        if section.form is SectionForm.SIZE:
            connection.write(before + size_answer(section, measured.octets))
            return
        tilde = b"~" if measured.has_nul else b""
        connection.write(b"%b%b %b{%d}\r\n" % (before, section.label, tilde, measured.octets))
        decoder = decoder_for(place.encoding)
        if decoder is not None and measured.octets:
            await self._stream_decoded(uid, place, decoder)

    async def _stream_decoded(self, uid: int, place: Decoded, decoder: Decoder) -> None:
        """Write what was promised."""
        connection = self._session.connection
        excerpt = Excerpt(place.excerpt.first, place.excerpt.octets)
        position = place.start
        while not excerpt.is_whole:
            if position < place.end:
                octets = await self._read(uid, position, min(PIECE_OCTETS, place.end - position))
                position += len(octets)
                wanted = excerpt.take(decoder.feed(octets))
            else:
                wanted = excerpt.take(decoder.finish())
                if not excerpt.is_whole:  # the message is another one now
                    self._break_off()
            if excerpt.has_nul and not place.excerpt.has_nul:  # likewise
                self._break_off()
            connection.write(wanted)
            await connection.drained()

    async def _write_plain(self, uid: int, section: BodySection, start: int, end: int, before: bytes) -> None:
        """Write octets as they are, piece by piece, but without NUL."""
        connection = self._session.connection
        connection.write(b"%b%b {%d}\r\n" % (before, section.label, end - start))
        while start < end:
            octets = await self._read(uid, start, min(PIECE_OCTETS, end - start))
            connection.write(without_nul(octets))
            start += len(octets)
            await connection.drained()

    async def _read(self, uid: int, start: int, length: int) -> bytes:
        """Read some of what a literal that has begun promises: what is missing ends the connection."""
        try:
            octets = await self._mailbox.read(uid, start, length)
        except MailError as error:
            octets = b""
            if error.kind is not Kind.EXPUNGED:
                self._session.log.emit("imap.message.unreadable", uid=uid, reason=error.kind.value)
        if not octets:
            self._break_off()
        return octets

    def _break_off(self) -> NoReturn:
        self._session.connection.hang_up()
        raise ConnectionGone
