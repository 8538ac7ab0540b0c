"""FETCH and UID FETCH: from the index where it knows, from the message where it must."""

import functools
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import cast

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.ahead import Ahead
from mailsuite.imap.bodies import Lost, write_bodies
from mailsuite.imap.fetch_format import Plan, Row, flag_octets, plan_for, row_uid
from mailsuite.imap.fetch_grammar import FetchAttribute, FetchItems
from mailsuite.imap.resync import changed_rows, write_vanished
from mailsuite.imap.rows import HEADER_CHUNK_OCTETS, count_read
from mailsuite.imap.sections import cached_literals
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import MODSEQ_MAX, BadCommandError
from mailsuite.imap.turns import Turns
from mailsuite.imap.view import SEEN_FLAG
from mailsuite.interfaces import History, StoreMode, UnwritableError

CHUNK_MESSAGES = 1000
BODY_CHUNK_MESSAGES = 200
PREVIEW_CHUNK_MESSAGES = 50  # RFC 8970 section 4.2
LINES_AT_ONCE = 10  # long ones may stand in each place
WRITE_OCTETS = 64 * 1024


async def fetch(session: Session, command: commands.Fetch) -> Reply:
    """
    FETCH (RFC 3501 section 6.4.5), also of what changed since a MODSEQ, and of one page of what was named.

    RFC 7162 section 3.1.4.1, RFC 9394 section 3.3.
    """
    refused = _refuse(session, command)
    if refused is not None:
        return refused
    selected = session.mailbox
    plan = plan_for(command.items, selected.fetch_kind)
    if plan.tells_flags:
        await selected.synchronise()  # flags come from the view
        session.connection.write(selected.keyword_notice())
    if command.changed_since is not None:
        uids = await _tell_changed(session, command, plan, command.changed_since)
    else:
        uids = _named(session, command)
    if plan.from_view:
        await _write_from_view(session, plan, uids)
        return Reply("FETCH completed")
    lost = await _Fetching(session, command.items, plan).run(uids)
    if FetchAttribute.MODSEQ in command.items.attributes:
        # Who saw a MODSEQ takes it that everything up to it was told, also what went (RFC 7162 section 3.2).
        await selected.synchronise(always=True)
    if lost.undecodable:
        return Reply("a part has an encoding that is not known", status=responses.NO, code=responses.UNKNOWN_CTE)
    if lost.missing:
        # RFC 5530 section 3: some of it is not there, since somebody else expunged it.
        return Reply("some of the messages are expunged", code=responses.EXPUNGEISSUED)
    return Reply("FETCH completed")


def _refuse(session: Session, command: commands.Fetch) -> Reply | None:
    """Say why a FETCH cannot be done; if it can, take note that the client knows MODSEQs where it asks for them."""
    if command.vanished and not command.uid:
        raise BadCommandError("VANISHED is for UID FETCH", tag=command.tag)  # RFC 7162 section 3.2.6
    if command.vanished:
        session.need_qresync(command.tag)
    refused = session.refuse_beyond(command.messages, uid=command.uid)
    if refused is None and FetchAttribute.MODSEQ in command.items.attributes:
        session.use_modseq(command.tag)
    return refused


def _named(session: Session, command: commands.Fetch) -> "array[int]":
    """Give the UIDs of the messages that a client named, or of one page of them."""
    uids = session.mailbox.view.resolve(command.messages, uid=command.uid)
    return uids if command.page is None else array("I", command.page.of(uids))


async def write_messages(session: Session, items: FetchItems, uids: Sequence[int]) -> None:
    """Write items of messages that nobody asked for now."""
    plan = plan_for(items, session.mailbox.fetch_kind)
    if plan.from_view:
        await _write_from_view(session, plan, array("I", uids))
    else:
        await _Fetching(session, items, plan).run(array("I", uids))


async def _tell_changed(session: Session, command: commands.Fetch, plan: Plan, since: int) -> "array[int]":
    """Write what a history tells of the messages named; give the UIDs of those whose answers need more than that."""
    selected = session.mailbox
    history = await selected.mailbox.history(since)
    if command.vanished:
        await write_vanished(session, history, command.messages.resolve(selected.view.uidnext - 1))
    named = selected.view.positions(command.messages, uid=command.uid)
    if command.page is not None:  # RFC 9394 section 3.4: first the page, then what changed of it
        named = list(command.page.of_ranges(named))
    uids = array("I")
    if plan.from_history:
        await write_changed(session, plan, named, history)
        return uids
    for rows in changed_rows(selected.view, named, history):
        uids.extend(uid for uid, _, _ in rows)
        await session.connection.sleep(0)
    return uids


async def write_changed(
    session: Session, plan: Plan, named: Sequence[range], history: History, until: int = MODSEQ_MAX
) -> None:
    """
    Write UID, flags and MODSEQ of what changed of the messages at these positions of the view.

    Args:
        plan: of items that a history tells.
        until: what has a higher MODSEQ is left out.
    """
    selected = session.mailbox
    view = selected.view
    for rows in changed_rows(view, named, history, until):
        if rows:
            view.note_keywords(frozenset().union(*{flags for _, flags, _ in rows}))
            session.connection.write(selected.keyword_notice())
            uids = [uid for uid, _, _ in rows]
            numbers = uids if selected.uid_only else view.sequence_numbers(uids)
            shown = [view.shown_flags(uid, flags) for uid, flags, _ in rows]
            await _write_lines(session, plan.answers(numbers, [(uid, modseq) for uid, _, modseq in rows], shown))
            if plan.tells_flags:
                view.note_told(rows)
        await session.connection.sleep(0)


async def _write_from_view(session: Session, plan: Plan, uids: "array[int]") -> None:
    selected = session.mailbox
    view = selected.view
    for chunk in _chunks(uids, CHUNK_MESSAGES):
        numbers = view.sequence_numbers(chunk)
        addressed = chunk if selected.uid_only else numbers
        await _write_lines(session, plan.answers(addressed, list(zip(chunk)), view.flags_at(numbers)))
        await session.connection.sleep(0)


async def _write_lines(session: Session, lines: Iterator[bytes]) -> None:
    connection = session.connection
    octets = 0
    while piece := b"".join(islice(lines, LINES_AT_ONCE)):
        connection.write(piece)
        octets += len(piece)
        if octets >= WRITE_OCTETS:
            octets = 0
            await connection.drained()
    await connection.drained()


def _chunks(uids: "array[int]", length: int) -> Iterator["array[int]"]:
    for start in range(0, len(uids), length):
        yield uids[start : start + length]


class _Fetching:
    """One FETCH that asks the store: columns in chunks, the next chunk asked for while this one is written."""

    def __init__(self, session: Session, items: FetchItems, plan: Plan) -> None:
        self._session = session
        self._items = items
        self._plan = plan
        self._lost = Lost()
        self._turns = Turns(session.seconds, math.inf, functools.partial(session.connection.sleep, 0))

    async def run(self, uids: "array[int]") -> Lost:
        """Write the answers; say of how many messages there is none."""
        session = self._session
        length = BODY_CHUNK_MESSAGES if self._plan.reads else CHUNK_MESSAGES
        if self._plan.makes_previews:
            length = min(length, PREVIEW_CHUNK_MESSAGES)
        start = 0
        fresh: dict[int, bytes] = {}
        following: Ahead[Sequence[Row]] | None = None
        try:
            while start < len(uids):
                chunk = uids[start : start + length]
                fresh.update(await self._set_seen(chunk))
                asked, following = following or self._ask(chunk), None
                rows = await asked.result()
                done = count_read(chunk, rows) if self._plan.header_at else len(chunk)
                start += done
                if self._plan.preview_at and rows:
                    rows = await self._with_previews(rows)
                if start < len(uids) and not self._items.sets_seen:
                    following = self._ask(uids[start : start + length])
                self._lost.missing += done - len(rows)
                if rows:
                    await self._write(rows, fresh)
                if done == len(chunk):
                    fresh.clear()
                if start < len(uids):
                    await session.connection.sleep(0)
        finally:
            if following is not None:
                following.abandon()
        return self._lost

    def _ask(self, uids: "array[int]") -> Ahead[Sequence[Row]]:
        header_octets = HEADER_CHUNK_OCTETS if self._plan.header_at else None
        return Ahead(self._session.mailbox.mailbox.fetch(uids, self._plan.columns, header_octets))

    async def _with_previews(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Add to each row what its message begins with; only who is in a hurry is told that it is not known."""
        makes = self._plan.makes_previews
        uids = [row_uid(row) for row in rows]
        found = await self._session.mailbox.mailbox.previews(uids, make=makes)
        unknown = b"" if makes else None  # RFC 8970 section 3.2
        return [(*row, found.get(uid, unknown)) for uid, row in zip(uids, rows, strict=True)]

    async def _set_seen(self, uids: Sequence[int]) -> Mapping[int, bytes]:
        r"""Set ``\Seen`` where the items do that; return, by UID, what the client has yet to be told of it."""
        selected = self._session.mailbox
        if not self._items.sets_seen or selected.read_only:
            return {}
        view = selected.view
        unseen = [uid for uid in uids if SEEN_FLAG not in view.flags[view.index(uid)]]
        if not unseen:
            return {}
        try:
            (rows, _), changes = await selected.changing(
                selected.mailbox.store_flags(unseen, StoreMode.ADD, frozenset((SEEN_FLAG,)), None)
            )
        except MailError as error:
            if error.kind is not Kind.DENIED and not isinstance(error, UnwritableError):
                raise
            return {}  # RFC 4314 section 4: read all the same, as on a full or read-only disk
        for uid, flags, modseq in rows:
            view.note_flags(uid, flags, modseq)
        view.apply(changes)
        self._session.connection.write(selected.keyword_notice())
        return {uid: self._news(uid, modseq) for uid, _, modseq in rows}

    def _news(self, uid: int, modseq: int) -> bytes:
        """Write what the client did not ask for and must be told, since this FETCH changed it."""
        selected = self._session.mailbox
        asked = self._items.attributes
        news = b"" if self._plan.tells_flags else b" FLAGS " + flag_octets(selected.view.flags_of(uid))
        if selected.shows_modseq:  # RFC 7162 section 3.2.4
            news += b"" if FetchAttribute.UID in asked else b" UID %d" % uid
            news += b"" if FetchAttribute.MODSEQ in asked else b" MODSEQ (%d)" % modseq
        return news

    def _flags(self, rows: Sequence[Row], numbers: Sequence[int]) -> Sequence[frozenset[str]]:
        """Give the flags as they are to be shown; those that came with a MODSEQ may use keywords that are new."""
        selected = self._session.mailbox
        if not self._plan.tells_flags:
            return ()
        at = self._plan.flags_at
        if not at:
            return selected.view.flags_at(numbers)
        flags = cast("list[frozenset[str]]", [row[at] for row in rows])
        modseqs = cast("list[int]", [row[self._plan.modseq_at] for row in rows])
        selected.view.note_keywords(frozenset().union(*set(flags)))
        selected.view.note_told(zip(map(row_uid, rows), flags, modseqs, strict=True))
        self._session.connection.write(selected.keyword_notice())
        return [selected.view.shown_flags(row_uid(row), each) for row, each in zip(rows, flags, strict=True)]

    async def _write(self, rows: Sequence[Row], fresh: Mapping[int, bytes]) -> None:
        """Write the answers of a chunk."""
        session = self._session
        plan = self._plan
        view = session.mailbox.view
        uids = array("I", map(row_uid, rows))
        numbers = view.sequence_numbers(uids)
        flags = self._flags(rows, numbers)
        addressed = uids if session.mailbox.uid_only else numbers
        if plan.reads:
            openings = list(plan.answers(addressed, rows, flags, end=b""))
            await write_bodies(session, self._items, plan, openings, rows, fresh, self._lost)
        elif plan.sections:
            await self._write_headers(addressed, rows, flags, fresh)
        else:
            await _write_lines(session, plan.answers(addressed, rows, flags))

    async def _write_headers(
        self, numbers: Sequence[int], rows: Sequence[Row], flags: Sequence[frozenset[str]], fresh: Mapping[int, bytes]
    ) -> None:
        """Write answers whose sections are all in the index."""
        plan = self._plan
        length = max(1, CHUNK_MESSAGES // len(plan.sections))
        for start in range(0, len(rows), length):
            some = slice(start, start + length)
            blocks = cast("list[bytes]", [row[plan.header_at] for row in rows[some]])
            picked = []
            for section in plan.sections:
                picked.append(cached_literals(blocks, section))
                await self._turns.look()
            if fresh:
                openings = plan.answers(numbers[some], rows[some], flags[some], picked, end=b"")
                news = [fresh.get(row_uid(row), b"") for row in rows[some]]
                lines: Iterator[bytes] = map(b"%b%b)\r\n".__mod__, zip(openings, news, strict=True))
            else:
                lines = plan.answers(numbers[some], rows[some], flags[some], picked)
            await _write_lines(self._session, lines)
