"""APPEND, also of several messages, and REPLACE: octets go where they belong while they arrive."""

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.append_grammar import (
    Announced,
    MessageEnd,
    Step,
    Stretch,
    Url,
    parse_append,
    parse_append_rest,
)
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.urls import URL_MAX_OCTETS, BadURLError
from mailsuite.imap.verbs.catenate import Sources, bad_url
from mailsuite.imap.verbs.copy import NO_MAILBOX, ensure_mailbox
from mailsuite.imap.verbs.replace import Replaced, find_replaced, replace
from mailsuite.imap.wire import (
    BeginMessageLiteral,
    CommandReceived,
    EndAppend,
    EndMessageLiteral,
    InputRefused,
    MessageChunk,
)
from mailsuite.interfaces import AppendMessage, Body, IBodyFile, IRightsAccount

MESSAGES_MAX = 1000  # in one APPEND (RFC 3502)
PARTS_MAX = 1000  # in one APPEND (RFC 4469)
MEMORY_MAX_OCTETS = 1024 * 1024  # of the messages of one APPEND together; what is more goes to files
URL_SHARE = 4  # what the URLs of one command bring altogether, in messages of the largest size
EMPTY_REFUSED = Reply("an empty message cancels the APPEND", status=responses.NO)  # RFC 3502 section 6.3.11
NUL_REFUSED = Reply("the message holds NUL", status=responses.NO, code=responses.CANNOT)
TOO_BIG = Reply("the message is too large", status=responses.NO, code=responses.TOOBIG)
TOO_MANY_MESSAGES = Reply("too many messages in one APPEND", status=responses.NO, code=responses.LIMIT)
TOO_MANY_PARTS = Reply("too many parts in one APPEND", status=responses.NO, code=responses.LIMIT)

Arrival = BeginMessageLiteral | EndAppend | CommandReceived


class RefusedError(Exception):
    """
    Nothing will be stored.

    Args:
        reply: says why.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


@attrs.define
class Arriving:
    """One message, as far as it is here: in memory, or in a file."""

    part: commands.AppendPart
    size: int = 0
    chunks: list[bytes] = attrs.Factory(list)
    file: IBodyFile | None = None

    async def add(self, octets: bytes) -> None:
        """Take octets."""
        if self.file is None:
            self.chunks.append(octets)
        else:
            await self.file.write(octets)

    async def message(self) -> AppendMessage:
        """Give the whole message."""
        content: bytes | Body = b"".join(self.chunks) if self.file is None else await self.file.finish()
        return AppendMessage(content=content, flags=self.part.flags, internal_date=self.part.internal_date)


@attrs.define
class Upload:
    """
    The messages of one APPEND or REPLACE, as far as they have arrived.

    Args:
        mailbox: where they are to go.
        replaced: the message that goes when they come.
        arriving: the message that is not whole yet.
        after: what the last literal was.
        refused: why nothing is stored; the rest is read all the same, to find the next command.
        octets: of all messages.
        memory_octets: how much of them is held in memory.
        url_octets: how much of them came by URLs.
        parts: of all messages that are put together.
    """

    session: Session
    tag: bytes
    sources: Sources
    mailbox: str = ""
    replaced: Replaced | None = None
    messages: list[AppendMessage] = attrs.Factory(list)
    files: list[IBodyFile] = attrs.Factory(list)
    arriving: Arriving | None = None
    after: Announced = Announced.MESSAGE
    refused: Reply | None = None
    octets: int = 0
    memory_octets: int = 0
    url_octets: int = 0
    parts: int = 0

    async def take(self, event: Arrival) -> bool:
        """
        Take a stretch of the command and the literal behind it.

        Returns:
            Whether more can follow; False at the end of the command.

        Raises:
            RefusedError: nothing will be stored.
        """
        stretch = await self._read(event)
        if self.refused is None:
            for step in stretch.steps:
                await self._step(step)
        if not isinstance(event, BeginMessageLiteral):
            return False
        if self.refused is not None:
            raise RefusedError(self.refused)
        if not event.size_octets and not stretch.announced.is_part:
            raise RefusedError(EMPTY_REFUSED)
        if stretch.announced is Announced.URL:
            await self._take_url(event)
        else:
            await self._take_octets(event)
            if not stretch.announced.is_part:
                await self._finish()
        self.after = stretch.announced
        return True

    async def _read(self, event: Arrival) -> Stretch:
        if isinstance(event, EndAppend):
            return parse_append_rest((event.rest,), self.tag, self.after)
        if isinstance(event, BeginMessageLiteral) and event.further:
            return parse_append_rest(event.head, self.tag, self.after)
        pieces = event.head if isinstance(event, BeginMessageLiteral) else event.pieces
        command, stretch = parse_append(pieces, self.session.enabled)
        self.session.allow(command)
        self.mailbox = command.mailbox
        if isinstance(command, commands.Replace):
            found = await find_replaced(self.session, command)
            if isinstance(found, Reply):
                raise RefusedError(found)
            self.replaced = found
        return stretch

    async def _step(self, step: Step) -> None:
        if isinstance(step, MessageEnd):
            await self._finish()
        elif isinstance(step, Url):
            await self._add_url(step.octets)
        else:
            if self.replaced is not None and self.messages:
                raise BadCommandError("REPLACE takes one message", tag=self.tag)  # RFC 8508 section 4.7
            if len(self.messages) >= MESSAGES_MAX:
                raise RefusedError(TOO_MANY_MESSAGES)
            self.arriving = Arriving(step)

    async def _finish(self) -> None:
        if self.arriving is not None and self.refused is None:
            self.messages.append(await self.arriving.message())
            self.arriving = None

    @property
    def _freed(self) -> int | None:
        """How much goes when the message comes; None where nothing goes."""
        return None if self.replaced is None else self.replaced.size_octets

    async def _check_room(self, size: int, *, quota: bool) -> None:
        """Check that octets that come next are not too many, for their message and for the account."""
        arrived = 0 if self.arriving is None else self.arriving.size
        if arrived + size > self.session.settings.literal_max_octets:
            raise RefusedError(TOO_BIG)  # RFC 4469 section 4.2
        if not quota:
            return
        account = self.session.avatar
        if IRightsAccount.providedBy(account) and await IRightsAccount(account).is_others(self.mailbox):
            await IRightsAccount(account).check_append(self.mailbox, arrived + size, self._freed)
            return
        used, limit = (await account.quota()).get("STORAGE", (0, 0))
        more = self.octets + size - (self._freed or 0)
        if limit and more > 0 and used + more > limit:
            raise MailError(Kind.OVER_QUOTA, "the mailbox is full")

    async def _begin_file(self, size: int) -> IBodyFile:
        account = self.session.avatar
        if IRightsAccount.providedBy(account):
            return await IRightsAccount(account).begin_body_for(self.mailbox, size, self._freed)
        await account.status(self.mailbox)  # is it there? Better known before than after the octets
        return await account.begin_body(size, self._freed)

    async def _prepare(self, size: int) -> Arriving:
        """Make room for octets that follow; beyond some, a message goes into a file."""
        arriving = self.arriving
        if arriving is None:
            raise BadCommandError("expected a message", tag=self.tag)
        self.parts += 1
        if self.parts > PARTS_MAX:
            raise RefusedError(TOO_MANY_PARTS)
        held = min(self.session.settings.literal_memory_octets, MEMORY_MAX_OCTETS - self.memory_octets + arriving.size)
        if arriving.file is None and arriving.size + size > held:
            arriving.file = await self._begin_file(arriving.size + size)
            self.files.append(arriving.file)
            self.memory_octets -= arriving.size
            chunks, arriving.chunks = arriving.chunks, []
            for chunk in chunks:
                await arriving.file.write(chunk)
        if arriving.file is None:
            self.memory_octets += size
        arriving.size += size
        self.octets += size
        return arriving

    async def _take_octets(self, event: BeginMessageLiteral) -> None:
        """Take a literal that is a message, or a part of one."""
        connection = self.session.connection
        await self._check_room(event.size_octets, quota=event.synchronising)
        arriving = await self._prepare(event.size_octets)
        self._invite(event)
        while not isinstance(arrived := await connection.next_event(), EndMessageLiteral):
            if not isinstance(arrived, MessageChunk):
                raise BadCommandError("expected the octets of a message", tag=self.tag, close=True)
            await arriving.add(arrived.octets)
        if arrived.nul:
            self.refused = NUL_REFUSED

    def _invite(self, event: BeginMessageLiteral) -> None:
        self.session.connection.assembler.accept_message()
        if event.synchronising:
            self.session.connection.write(responses.continuation())

    async def _take_url(self, event: BeginMessageLiteral) -> None:
        """Take a literal that is a URL."""
        if event.size_octets > URL_MAX_OCTETS:
            raise BadCommandError("the URL is too long", tag=self.tag)
        self._invite(event)
        url = b""
        while isinstance(arrived := await self.session.connection.next_event(), MessageChunk):
            url += arrived.octets
        await self._add_url(url)

    async def _add_url(self, url: bytes) -> None:
        """Add octets of a message that is here already."""
        await self.session.connection.drained()  # is the client still there?
        try:
            source = await self.sources.find(url)
            size = source.size_octets
            self.url_octets += size
            if self.url_octets > URL_SHARE * self.session.settings.literal_max_octets:
                raise RefusedError(TOO_BIG)
            await self._check_room(size, quota=True)
            arriving = await self._prepare(size)
            async for octets in source.pieces():
                await arriving.add(octets)
        except BadURLError as error:
            # Without it the command fails whatever the URL is: TRYCREATE tells more.
            await ensure_mailbox(self.session, self.mailbox)
            raise RefusedError(bad_url(url, str(error))) from error

    def abort(self) -> None:
        """Remove the files of what is not stored."""
        for file in self.files:
            file.abort()


async def append(session: Session, event: BeginMessageLiteral | CommandReceived) -> Reply:
    """
    APPEND (RFC 3501 section 6.3.11, RFC 3502), with the UIDs in the answer (RFC 4315 section 3), and REPLACE.

    Both take messages that are put together of parts (RFC 4469 section 3, RFC 8508 section 4.2).

    Raises:
        BadCommandError: it cannot be read, or not now.
        MailError: nothing was appended, and nothing replaced.
    """
    pieces = event.head if isinstance(event, BeginMessageLiteral) else event.pieces
    tag = pieces[0].split(b" ", 1)[0]
    upload = Upload(session, tag, Sources(session))
    arrival: Arrival = event
    try:
        while await _take(upload, arrival):
            following = await session.connection.next_event()
            if isinstance(following, InputRefused):
                raise BadCommandError(following.fault.value, tag=tag, close=following.close)
            if not isinstance(following, BeginMessageLiteral | EndAppend):
                raise BadCommandError("unexpected text after the message", tag=tag)
            arrival = following
        return upload.refused or await _store(upload)
    finally:
        upload.abort()
        upload.sources.close()


async def _take(upload: Upload, event: Arrival) -> bool:
    """Take a stretch; whatever goes wrong, the octets behind it are passed over."""
    try:
        return await upload.take(event)
    except RefusedError as error:
        upload.refused = error.reply
    except MailError as error:
        if error.kind is Kind.NOT_FOUND:
            upload.refused = NO_MAILBOX
        else:
            failure = responses.failure_of(error)
            upload.refused = Reply(error.detail, status=failure.status, code=failure.code)
    except BadCommandError as error:
        if not error.close and not _pass_over(upload, event):
            raise BadCommandError(
                error.detail, tag=error.tag, status=error.status, code=error.code, close=True
            ) from error
        raise
    if not _pass_over(upload, event):
        raise BadCommandError(
            upload.refused.text, tag=upload.tag, status=responses.NO, code=responses.LIMIT, close=True
        )
    return False


def _pass_over(upload: Upload, event: Arrival) -> bool:
    """Pass over the rest of the command; False when that would be too much."""
    if not isinstance(event, BeginMessageLiteral):
        return True  # it has ended
    return upload.session.connection.assembler.refuse_message()


async def _store(upload: Upload) -> Reply:
    session = upload.session
    try:
        if upload.replaced is not None:
            reply = await replace(session, upload.replaced, upload.mailbox, upload.messages[0])
            upload.files.clear()  # they are the store's now
            return reply
        appended = await session.avatar.append(upload.mailbox, upload.messages)
    except MailError as error:
        if error.kind is Kind.NOT_FOUND:
            return NO_MAILBOX
        raise
    upload.files.clear()
    if session.watching is not None:
        session.watching.own_messages(upload.mailbox, appended.uids)
    selected = session.selected
    if selected is not None and selected.mailbox.name == upload.mailbox:
        await selected.synchronise(always=True)
    code = responses.append_uid_code(appended.uidvalidity, appended.uids) if appended.uids else b""
    return Reply("APPEND completed", code=code)
