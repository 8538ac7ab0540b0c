"""APPEND, also of several messages: octets go where they belong while they arrive."""

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, responses
from mailsuite.imap.parser import closing_of, parse_append, parse_append_part
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.verbs.copy import NO_MAILBOX
from mailsuite.imap.wire import BeginMessageLiteral, EndAppend, EndMessageLiteral, InputRefused, MessageChunk
from mailsuite.interfaces import AppendMessage, Body, IBodyFile, IRightsAccount

MESSAGES_MAX = 1000  # in one APPEND (RFC 3502)
MEMORY_MAX_OCTETS = 1024 * 1024  # of the messages of one APPEND together; what is more goes to files
EMPTY_REFUSED = Reply("an empty message cancels the APPEND", status=responses.NO)  # RFC 3502 section 6.3.11
NUL_REFUSED = Reply("the message holds NUL", status=responses.NO, code=responses.CANNOT)


@attrs.define
class Upload:
    """
    The messages of one APPEND, as far as they have arrived.

    Args:
        mailbox: where they are to go.
        refused: why they are not; the rest is read all the same, to find the next command.
        memory_octets: how much of them is held in memory.
        closing: what must stand behind the last one.
    """

    session: Session
    tag: bytes
    mailbox: str = ""
    messages: list[AppendMessage] = attrs.Factory(list)
    file: IBodyFile | None = None
    refused: Reply | None = None
    memory_octets: int = 0
    closing: bytes = b""

    async def begin(self, event: BeginMessageLiteral) -> bool:
        """Decide about one announced message; False when it is refused and the command is over."""
        session = self.session
        if event.further:
            part = parse_append_part(event.head, self.tag, self.closing)
        else:
            command = parse_append(event.head, session.enabled)
            session.allow(command)
            self.mailbox = command.mailbox
            part = command.first
        self.closing = closing_of(part)
        size = event.size_octets
        if not size:
            self.refused = EMPTY_REFUSED
        elif size > session.settings.literal_max_octets:
            self.refused = Reply("the message is too large", status=responses.NO, code=responses.TOOBIG)
        elif len(self.messages) >= MESSAGES_MAX:
            self.refused = Reply("too many messages in one APPEND", status=responses.NO, code=responses.LIMIT)
        if self.refused is not None:
            return False
        large = size > min(session.settings.literal_memory_octets, MEMORY_MAX_OCTETS - self.memory_octets)
        if event.synchronising:
            await self._check_room(size)
        if large:
            self.file = await self._begin_file(size)
        else:
            self.memory_octets += size
        session.connection.assembler.accept_message()
        if event.synchronising:
            session.connection.write(responses.continuation())
        await self._receive(part)
        return True

    async def _begin_file(self, size: int) -> IBodyFile:
        account = self.session.avatar
        if IRightsAccount.providedBy(account):
            return await IRightsAccount(account).begin_body_for(self.mailbox, size)
        await account.status(self.mailbox)  # is it there? Better known before than after the octets
        return await account.begin_body(size)

    async def _check_room(self, size: int) -> None:
        account = self.session.avatar
        if IRightsAccount.providedBy(account) and await IRightsAccount(account).is_others(self.mailbox):
            await IRightsAccount(account).check_append(self.mailbox, size)
            return
        used, limit = (await self.session.avatar.quota()).get("STORAGE", (0, 0))
        if limit and used + size > limit:
            raise MailError(Kind.OVER_QUOTA, "the mailbox is full")

    async def _receive(self, part: commands.AppendPart) -> None:
        connection = self.session.connection
        chunks: list[bytes] = []
        while True:
            event = await connection.next_event()
            if isinstance(event, MessageChunk):
                if self.file is None:
                    chunks.append(event.octets)
                else:
                    await self.file.write(event.octets)
            elif isinstance(event, EndMessageLiteral):
                break
            else:
                raise BadCommandError("expected the octets of a message", tag=self.tag, close=True)
        if event.nul:
            self.refused = NUL_REFUSED
        if self.refused is not None:
            self.abort()
            return
        content: bytes | Body = b"".join(chunks)
        if self.file is not None:
            content = await self.file.finish()
        self.messages.append(AppendMessage(content=content, flags=part.flags, internal_date=part.internal_date))
        if isinstance(content, bytes):
            self.file = None

    def abort(self) -> None:
        """Remove the file of the message that did not arrive whole."""
        file, self.file = self.file, None
        if file is not None:
            file.abort()


async def append(session: Session, event: BeginMessageLiteral) -> Reply:
    """
    APPEND (RFC 3501 section 6.3.11, RFC 3502), with the UIDs in the answer (RFC 4315 section 3).

    Raises:
        BadCommandError: it cannot be read, or not now.
        MailError: nothing was appended.
    """
    tag = event.head[0].split(b" ", 1)[0]
    upload = Upload(session, tag)
    files: list[IBodyFile] = []
    try:
        while True:
            going = await _begin(upload, event)
            if upload.file is not None:
                files.append(upload.file)
                upload.file = None
            if not going:
                return upload.refused or NUL_REFUSED
            following = await session.connection.next_event()
            if isinstance(following, BeginMessageLiteral):
                event = following
                continue
            if isinstance(following, InputRefused):
                raise BadCommandError(following.fault.value, tag=tag, close=following.close)
            if not isinstance(following, EndAppend) or following.rest != upload.closing:
                raise BadCommandError("unexpected text after the message", tag=tag)
            if upload.refused is not None:
                return upload.refused
            return await _append(upload, files)
    finally:
        upload.abort()
        for file in files:
            file.abort()


async def _begin(upload: Upload, event: BeginMessageLiteral) -> bool:
    """Take one message; whatever goes wrong, its octets are passed over."""
    try:
        going = await upload.begin(event)
    except MailError as error:
        if error.kind is Kind.NOT_FOUND:
            upload.refused = NO_MAILBOX
        else:
            failure = responses.FAILURES[error.kind]
            upload.refused = Reply(error.detail, status=failure.status, code=failure.code)
        going = False
    except BadCommandError as error:
        if not error.close and not upload.session.connection.assembler.refuse_message():
            raise BadCommandError(
                error.detail, tag=error.tag, status=error.status, code=error.code, close=True
            ) from error
        raise
    if not going and not upload.session.connection.assembler.refuse_message():
        text = upload.refused.text if upload.refused is not None else "the message is refused"
        raise BadCommandError(text, tag=upload.tag, status=responses.NO, code=responses.LIMIT, close=True)
    return going


async def _append(upload: Upload, files: list[IBodyFile]) -> Reply:
    session = upload.session
    try:
        appended = await session.avatar.append(upload.mailbox, upload.messages)
    except MailError as error:
        if error.kind is Kind.NOT_FOUND:
            return NO_MAILBOX
        raise
    files.clear()  # they are the store's now
    selected = session.selected
    if selected is not None and selected.mailbox.name == upload.mailbox:
        if session.watching is not None:
            session.watching.own_messages(appended.uids)
        await selected.synchronise(always=True)
    code = responses.append_uid_code(appended.uidvalidity, appended.uids) if appended.uids else b""
    return Reply("APPEND completed", code=code)
