"""From one event of the wire to one tagged answer: the top of every command."""

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap import commands, finding_commands, metadata_commands, responses
from mailsuite.imap.append_grammar import brings_message
from mailsuite.imap.notify_commands import NotifyEvent
from mailsuite.imap.parser import parse_command
from mailsuite.imap.search_keys import names_numbers
from mailsuite.imap.selected import Selected
from mailsuite.imap.session import ConnectionGone, Reply, Session, State
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.verbs import VERBS, Verb
from mailsuite.imap.verbs.append import append
from mailsuite.imap.verbs.idle import begin_idle, end_idle
from mailsuite.imap.verbs.metadata import too_large
from mailsuite.imap.verbs.select import leave
from mailsuite.imap.wire import (
    BeginMessageLiteral,
    CommandReceived,
    ContinuationNeeded,
    Event,
    Fault,
    InputRefused,
    RawLine,
)

TURN_COMMANDS = 50  # so many commands of one client, then the others have their turn
SERVER_BUG = Reply("internal error; it has been written down", status=responses.NO, code=responses.SERVERBUG)
_LEAVING = (commands.Close, commands.Unselect, commands.Select, commands.Examine, commands.Logout)
_OPENING = (commands.Select, commands.Examine)
_REMOVES = (commands.Expunge, commands.Move)
_FINDING = (finding_commands.Search, finding_commands.Sort, finding_commands.Thread)
_NO_EXPUNGE = (commands.Fetch, commands.Store, finding_commands.Search, finding_commands.Sort, finding_commands.Thread)


class Dispatch:
    """
    Runs a session's commands and answers them.

    Args:
        session: whose commands these are.
    """

    __slots__ = ("_bad_commands", "_removes", "_session", "_turn", "ending")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bad_commands = 0
        self._turn = 0
        self._removes = False
        self.ending = ""
        """Why this command is the last; empty when it is not."""

    def count_anew(self) -> None:
        """Forget the bad commands so far: somebody else begins."""
        self._bad_commands = 0

    async def run(self, event: Event) -> None:
        """
        Do what one event asks for, to the tagged answer.

        Raises:
            ConnectionGone: the client hung up, or we did.
        """
        connection = self._session.connection
        if isinstance(event, ContinuationNeeded):
            connection.write(responses.continuation())
            return
        idling, self._session.idling = self._session.idling, None
        if idling is not None and isinstance(event, RawLine | InputRefused):
            await self._answer(idling, partial(end_idle, event, idling), expunge=True, uid=False)
        elif isinstance(event, InputRefused):
            self._bad(self._refusal(event))
        elif isinstance(event, CommandReceived) and not brings_message(event.pieces[0]):
            await self._command(event)
        elif isinstance(event, CommandReceived | BeginMessageLiteral):
            await self._append(event)
        if self._session.state is State.LOGOUT:
            connection.hang_up()
        elif self.ending:
            connection.write(responses.bye(self.ending))
            connection.hang_up()
        self._turn += 1
        if self._turn >= TURN_COMMANDS:
            self._turn = 0
            await connection.sleep(0)

    def _refusal(self, event: InputRefused) -> BadCommandError:
        """Say what is wrong with what was no command; of an annotation that is too long, how long it may be."""
        annotates = event.command == metadata_commands.SetMetadata.name and self._session.annotated is not None
        if event.fault is not Fault.LITERAL_TOO_LARGE or not annotates:
            return BadCommandError(event.fault.value, tag=event.tag, close=event.close)
        reply = too_large(self._session)
        return BadCommandError(reply.text, tag=event.tag, status=reply.status, code=reply.code, close=event.close)

    async def _command(self, event: CommandReceived) -> None:
        try:
            command = parse_command(event.pieces, self._session.enabled)
            self._session.allow(command)
        except BadCommandError as error:
            if error.forgets and self._session.selected is not None:
                self._session.selected.view.save(())
            if error.unselects:
                leave(self._session)
            self._bad(error)
            return
        self._session.command = command.name
        if isinstance(command, commands.Idle):
            begin_idle(self._session, command)
            return
        self._removes = isinstance(command, _REMOVES)
        verb = VERBS[type(command)]
        uid = bool(getattr(command, "uid", False)) or getattr(command, "uids", None) is not None
        await self._answer(
            command.tag,
            partial(self._run_for_guest, verb, command) if self._is_guest else partial(verb, self._session, command),
            expunge=_may_renumber(command, uid=uid),
            uid=uid,
            tells=not isinstance(command, _OPENING),
        )

    @property
    def _is_guest(self) -> bool:
        selected = self._session.selected
        return selected is not None and selected.is_guest

    async def _run_for_guest(self, verb: Verb, command: commands.Command) -> Reply | None:
        """Run a verb where the selected mailbox is somebody else's, who may have taken the rights away."""
        if not isinstance(command, _LEAVING):
            await self._session.mailbox.meet_rights()
        return await verb(self._session, command)

    async def _append(self, event: BeginMessageLiteral | CommandReceived) -> None:
        pieces = event.head if isinstance(event, BeginMessageLiteral) else event.pieces
        tag, word, *_ = pieces[0].split(b" ", 2)
        uid = word.upper() == b"UID"
        self._session.command = commands.Append.name if word.upper() == b"APPEND" else commands.Replace.name
        self._removes = self._session.command == commands.Replace.name
        await self._answer(tag, lambda: append(self._session, event), expunge=True, uid=uid)

    async def _answer(
        self, tag: bytes, run: Callable[[], Awaitable[Reply | None]], *, expunge: bool, uid: bool, tells: bool = True
    ) -> None:
        """
        Run a verb, tell what changed meanwhile, and answer.

        Args:
            tells: what changed is told at the end. Not by what opens a mailbox: its answer is one state of it, and
                until it ends there is no mailbox that could change (RFC 3501 section 6.3.1).
        """
        session = self._session
        reply: Reply | None
        broken = False
        try:
            reply = await run()
            if tells and session.selected is not None and session.selected.is_behind:
                await session.selected.synchronise()
            if session.annotation_watch is not None:
                with contextlib.suppress(MailError):  # else after the next command
                    await session.tell_annotations()
        except BadCommandError as error:
            self._bad(error if error.tag is not None else _with_tag(error, tag))
            return
        except MailError as error:
            failure = responses.failure_of(error)
            reply = Reply(error.detail, status=failure.status, code=failure.code)
            await self._check_selected()
        except ConnectionGone:
            raise
        except Exception:  # noqa: BLE001 - the top of a command: whatever it is, it is our bug
            session.log.failure("imap.command.failed")
            reply, broken = SERVER_BUG, True
        if tells and session.selected is not None:
            reply = self._tell_changes(session.selected, reply, expunge=expunge, uid=uid)
        if reply is not None:
            session.connection.write(responses.tagged(tag, reply.status, reply.text, reply.code))
        if broken:
            # What the verb left behind is unknown: a new connection begins with a known state.
            session.connection.write(responses.bye("internal error", responses.UNAVAILABLE))
            session.connection.hang_up()

    def _tell_changes(self, selected: Selected, reply: Reply | None, *, expunge: bool, uid: bool) -> Reply | None:
        """Tell what changed in the selected mailbox; the HIGHESTMODSEQ that may follow goes into the reply's code."""
        connection = self._session.connection
        watching = self._session.watching
        if watching is None:
            connection.write(selected.notices(expunge=expunge, uid=uid))
        elif watching.selected_group.events or self._removes:  # RFC 5465 section 3.1: otherwise it is not to be told
            flags = NotifyEvent.FLAG_CHANGE in watching.selected_group.events
            connection.write(selected.notices(expunge=expunge, uid=True, flags=flags))
        code = selected.take_modseq_code()
        if code and reply is not None and reply.status == responses.OK and not reply.code:
            return attrs.evolve(reply, code=code)
        if code:
            connection.write(responses.untagged(responses.OK, "highest MODSEQ", code))
        return reply

    async def _check_selected(self) -> None:
        """After a failure: is the selected mailbox still there?"""
        session = self._session
        if session.selected is None:
            return
        try:
            await session.selected.synchronise(always=True)
        except MailError as error:
            if error.kind is Kind.NOT_FOUND:
                session.connection.write(responses.bye("the selected mailbox was deleted"))
                session.connection.hang_up()
                raise ConnectionGone from error

    def _bad(self, error: BadCommandError) -> None:
        """Answer what cannot be read or is not allowed; too much of it ends the connection."""
        session = self._session
        connection = session.connection
        if error.tag is None:
            connection.write(responses.untagged(error.status, error.detail, error.code))
        else:
            connection.write(responses.tagged(error.tag, error.status, error.detail, error.code))
        if error.status == responses.BAD:
            self._bad_commands += 1
        settings = session.settings
        limit = (
            settings.bad_commands_before_login
            if session.state is State.NOT_AUTHENTICATED
            else settings.bad_commands_after_login
        )
        if error.close or self._bad_commands >= limit:
            session.log.emit("imap.session.refused", reason=error.detail)
            connection.write(responses.bye("too many bad commands" if not error.close else error.detail))
            connection.hang_up()


def _may_renumber(command: commands.Command, *, uid: bool) -> bool:
    """Whether sequence numbers may change with the answer (RFC 3501 section 7.4.1, RFC 7162 section 3.2.10.2)."""
    if isinstance(command, _FINDING) and names_numbers(command.key):
        return False
    return uid or not isinstance(command, _NO_EXPUNGE)


def _with_tag(error: BadCommandError, tag: bytes) -> BadCommandError:
    return BadCommandError(error.detail, tag=tag, status=error.status, code=error.code, close=error.close)
