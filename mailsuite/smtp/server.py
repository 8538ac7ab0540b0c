"""
SMTP on a Twisted transport: one command at a time, in order, with backpressure both ways.

Twisted's ESMTP lends the transport shell: TLS on the same transport, the portal, the life of a connection. What is
read goes through `framing`, what it means is decided by `verbs`; this module moves octets and keeps time.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
)
from twisted.mail.smtp import ESMTP
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.errors import MailError
from mailsuite.observe.sessions import OpenSession
from mailsuite.smtp import replies
from mailsuite.smtp.content import Content
from mailsuite.smtp.deadline import Deadline
from mailsuite.smtp.framing import (
    BareNewline,
    CommandLine,
    ContentChunk,
    EndOfChunk,
    EndOfData,
    Event,
    Framer,
    LineTooLong,
)
from mailsuite.smtp.grammar import BadCommandError, split_command
from mailsuite.smtp.replies import Refused, Reply
from mailsuite.smtp.session import Session
from mailsuite.smtp.verbs import VERBS, Answer, Verb, auth_response

READ_AHEAD_OCTETS = 65_536
"""While a command waits, this much more is read from the peer before reading pauses."""

LAST_IN_GROUP = frozenset((b"HELO", b"EHLO", b"LHLO", b"DATA", b"STARTTLS", b"XCLIENT"))
"""What the next octets mean depends on the reply to these, so nothing may follow them (RFC 2920 section 3.1)."""


@implementer(IHandshakeListener, IPushProducer)
class SMTPServer(ESMTP):
    """
    One connection.

    Args:
        session: its state, with everything it needs from outside.
        context_factory: makes the TLS side of STARTTLS; None where TLS is not offered.
        ended: called once when the connection is gone.
    """

    verbs: Mapping[bytes, Verb] = VERBS
    hellos: frozenset[bytes] = frozenset((b"HELO", b"EHLO"))
    content_class: type[Content] = Content
    transport: Any  # TCP, TLS, a unix socket or a test's: what each offers is asked of its interfaces

    def __init__(
        self, session: Session, *, context_factory: object = None, ended: Callable[["SMTPServer"], None] | None = None
    ) -> None:
        super().__init__(contextFactory=context_factory)  # type: ignore[no-untyped-call]  # Twisted's is
        self.session = session
        self.portal = session.portal  # type: ignore[assignment]  # Twisted declares it by its default, None
        self.host = session.hostname.encode("ascii", "replace")
        self._settings = session.settings
        self._clock = session.clock
        self._told_ended = ended
        self._framer = Framer()
        self._out: list[bytes] = []
        self._deadline = Deadline(self._clock, self._expired)
        self._stalled = Deadline(self._clock, self._abort)
        self._busy = False  # a verb or a write has not finished; nothing else is begun
        self._waiting_for: Deferred[None] | None = None  # the last thing that made it so
        self._running = False  # `_run` is on the stack
        self._greeted = False
        self._said_hello = False  # by the command that is not answered yet
        self._closing = False
        self._lost = False
        self._handshaking = False
        self._farewell: Reply | None = None  # said as soon as no message is under way
        self._output_full = False
        self._reading_paused = False
        self._command_done = True  # since the deadline was last moved
        self._content = self.content_class(session, self._framer)

    # The life of the connection.

    def connectionMade(self) -> None:
        """Greet, or wait a moment to see who talks too early."""
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self.session.encrypted = self.startedTLS = ISSLTransport.providedBy(transport)
        self.canStartTLS = self.ctx is not None and ITLSTransport.providedBy(transport)
        self.session.tls_offered = self.canStartTLS and not self.startedTLS
        local_port = getattr(transport.getHost(), "port", 0) or 0
        self.session.peer = attrs.evolve(self.session.peer, local_port=local_port)
        transport.registerProducer(self, streaming=True)
        if self.startedTLS:
            self._handshaking = True
            self._deadline.set(self._settings.tls_handshake_seconds)
        if self._settings.greet_delay_seconds > 0:
            self._clock.callLater(self._settings.greet_delay_seconds, self._greet)
        else:
            self._greet()

    def greeting(self) -> bytes:
        """Say what stands after the 220, in the place where Twisted has it."""
        return self.session.greeting.encode("ascii", "replace")

    def _greet(self) -> None:
        if self._closing or self._lost or self._greeted:
            return
        self._greeted = True
        self._out.append(Reply(220, "", (self.greeting().decode("ascii"),)).encoded)
        self._flush()
        if not self.startedTLS:
            self._deadline.set(self._settings.greeting_seconds)

    def handshakeCompleted(self) -> None:
        """Note what was agreed on; the peer's next turn begins."""
        self._handshaking = False
        handle = self.transport.getHandle()
        described = f"{handle.get_protocol_version_name()} {handle.get_cipher_name() or ''}".strip()
        self.session.peer = attrs.evolve(self.session.peer, tls=described)
        self.session.log.emit("smtp.tls.started", tls=described)
        self._deadline.set(self._settings.greeting_seconds)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 - Twisted's signature
        """Give up what was not finished; what is being committed goes on without us."""
        self._lost = self._closing = True
        self._deadline.clear()
        self._stalled.clear()
        self._framer.discard()
        if not self._busy:
            self.session.close()
        else:
            self.session.ended = True
        told, self._told_ended = self._told_ended, None
        if told is not None:
            told(self)

    def drain(self, farewell: Reply = replies.SHUTTING_DOWN) -> None:
        """End the connection as soon as no message is under way (RFC 5321 section 3.8)."""
        self._farewell = farewell
        self._end_drained()
        self._flush()

    def describe(self) -> OpenSession:
        """Say who this is and what it does."""
        session = self.session
        if self._handshaking:
            doing = "TLS handshake"
        elif self._framer.in_data and session.sender is not None:
            doing = f"message from {session.sender.path or '<>'}, {self._content.pace.received_octets} octets so far"
        else:
            doing = session.verb.decode("ascii", "replace") or "connected"
        return OpenSession(
            session=session.peer.session,
            peer=session.peer.ip,
            account=session.peer.account,
            tls=session.encrypted,
            began=session.began,
            doing=doing,
        )

    def _end_drained(self) -> None:
        """Say farewell if that is to be, unless a message or a command is under way."""
        if self._farewell is None or self.session.transaction is not None:
            return
        if not (self._busy or self._closing or self._framer.in_data):
            self._send(self._farewell)

    def timeoutConnection(self) -> None:
        """Twisted's name for what happens when the peer is too slow."""
        in_content = self._framer.in_data or self.session.in_chunks
        self._send(replies.TOO_SLOW if in_content and self._content.pace.received_octets else replies.TIMED_OUT)
        self._flush()

    def _expired(self) -> None:
        if self._handshaking:  # nothing can be said before it is done
            self.session.log.emit("smtp.session.expired")
            self._abort()
        elif self._busy or self._output_full:  # the peer waits for us, or `_stalled` watches it
            self._deadline.set(self._settings.command_seconds)
        elif not self._closing:
            self.session.log.emit("smtp.session.expired")
            self.timeoutConnection()

    def _abort(self) -> None:
        self._closing = True
        self.transport.abortConnection()

    def _close(self) -> None:
        """Send what is to be sent, then close, at the latest when the peer has stopped reading for long."""
        if self._closing:
            return
        self._flush()
        self._closing = True
        self._framer.discard()
        self._deadline.clear()
        self._stalled.set(self._settings.write_stall_seconds)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    # Octets in.

    def dataReceived(self, data: bytes) -> None:
        """Take what was read; work on it now if nothing is being waited for."""
        if self._closing:
            return
        if not self._greeted:
            self._abuse("before the greeting")
            self._flush()
            return
        self._framer.feed(data)
        if not self._busy and not self._output_full:
            self._run()
        elif self._framer.buffered > READ_AHEAD_OCTETS and not self._reading_paused:
            self._reading_paused = True
            self.transport.pauseProducing()

    def _run(self) -> None:
        """Work through events until one has to wait or none is left."""
        if self._running:
            return
        self._running = True
        try:
            while not (self._busy or self._closing or self._output_full):
                event = self._framer.next_event()
                if event is None:
                    break
                self._take(event)
        finally:
            self._running = False
        if self._farewell is not None:
            self._end_drained()
        self._flush()
        if self._closing or self._busy or self._output_full:
            return
        self._move_deadline()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resumeProducing()

    def _take(self, event: Event) -> None:
        match event:
            case CommandLine():
                self._command_done = True
                self._command(event.line)
            case ContentChunk():
                self._take_content(event.octets)
            case EndOfData():
                self._command_done = True
                self._answer(self._content.end_data(event))
            case EndOfChunk():
                self._command_done = True
                self._answer(self._content.end_chunk(event))
            case BareNewline():
                self._command_done = True
                self.session.bare_newlines += 1
                self._answer(replies.BAD_LINE if self.session.bare_newlines == 1 else replies.BAD_LINES)
            case LineTooLong():
                self._line_too_long(runaway=event.runaway)

    def _line_too_long(self, *, runaway: bool) -> None:
        session = self.session
        session.bad_lines += 1
        if runaway or session.bad_lines >= self._settings.bad_lines_max:
            self._answer(replies.BAD_LINES)
        elif session.exchange is not None:
            session.exchange = None
            self._answer(replies.RESPONSE_TOO_LONG)
        else:
            self._answer(replies.LINE_TOO_LONG)

    # Commands.

    def _command(self, line: bytes) -> None:
        session = self.session
        self._said_hello = session.exchange is None and line.partition(b" ")[0].upper() in self.hellos
        if session.broken:
            self._answer(replies.GIVING_UP)
            return
        if self._farewell is not None and session.transaction is None:
            self._answer(self._farewell)
            return
        try:
            if session.exchange is not None:
                self._answer(auth_response(session, line))
                return
            verb, argument = split_command(line)
            if len(line) > self._settings.command_line_max_octets and verb != b"AUTH":
                if verb == b"BDAT":
                    self._answer(replies.BAD_CHUNK)
                else:
                    self._line_too_long(runaway=False)
                return
            if verb in LAST_IN_GROUP and self._framer.buffered and self._may_not_follow(verb):
                return
            take = self.verbs.get(verb)
            if take is None:
                if verb == b"BDAT":
                    session.verb = verb
                    self._content.begin_chunk(argument)
                else:
                    self._answer(self._unknown(verb))
                return
            session.verb = verb
            self._answer(take(session, argument))
        except Exception as error:  # noqa: BLE001 - the top of a verb: our bug is a temporary failure for the peer
            self._answer(self._reply_to(error))

    def _unknown(self, verb: bytes) -> Reply:
        session = self.session
        session.log.emit("smtp.command.refused", verb=verb[:32].decode("ascii", "replace"))
        if not session.peer.helo:
            session.unknown_commands += 1
            if session.unknown_commands >= self._settings.unknown_commands_before_hello_max:
                return replies.TOO_MANY_ERRORS
        return replies.UNKNOWN_COMMAND

    def _may_not_follow(self, verb: bytes) -> bool:
        """Deal with octets behind a command whose reply the peer had to wait for."""
        if verb == b"STARTTLS" and self.session.check_starttls() is None:
            # They came in the clear and could pass for what is said inside TLS: RFC 3207 section 4.2.
            self.session.log.emit("smtp.pipelining.refused", place="behind STARTTLS")
            self._close()
            return True
        if verb == b"STARTTLS":
            return False
        # Who logged in may be sloppy, as long as content never runs as commands.
        if self.session.authenticated and (verb != b"DATA" or self.session.check_data() is None):
            return False
        self._abuse(f"behind {verb.decode('ascii')}")
        return True

    def _abuse(self, place: str) -> None:
        self.session.log.emit("smtp.pipelining.refused", place=place)
        self._put(replies.PIPELINING_ABUSE)
        self._close()

    def _answer(self, answer: Answer) -> None:
        """Send a reply, now or when the verb has come to one."""
        if isinstance(answer, Reply):
            self._judge(answer)
        else:
            self._resume(None, answer)

    def _resume(self, result: object, verb: Coroutine[Deferred[Any], Any, Reply]) -> None:
        """Run a verb to its reply, which is usual, or to what it waits for; a Deferred of its own would cost more."""
        try:
            waiting = verb.throw(result.value) if isinstance(result, Failure) else verb.send(result)  # type: ignore[arg-type]  # a value is there
        except StopIteration as done:
            reply = done.value
        except Exception as error:  # noqa: BLE001 - the top of a verb
            reply = self._reply_to(error)
        else:
            self._busy = True
            self._waiting_for = waiting.addBoth(self._resume, verb)
            return
        if self._busy:
            self._verb_done(reply)
        else:
            self._judge(reply)

    def _verb_done(self, reply: Reply) -> None:
        self._busy = False
        if self._lost:
            self.session.close()
            return
        self._judge(reply)
        self._go_on()

    def _reply_to(self, error: BaseException | None) -> Reply:
        if isinstance(error, BadCommandError):
            return error.reply
        if isinstance(error, (MailError, Refused)):
            return replies.reply_to(error)
        return self._fault(error)

    def _fault(self, error: BaseException | None) -> Reply:
        """Log our bug; say that it is temporary, and take no further command on this connection."""
        self.session.log.failure("smtp.session.failed", error, doing="command")
        self.session.end_transaction()
        self.session.broken = True
        return replies.UNAVAILABLE

    def _judge(self, reply: Reply) -> None:
        reply, delay_seconds = self.session.judge(reply)
        if delay_seconds:
            self._busy = True
            self._clock.callLater(delay_seconds, self._send_late, reply)
        else:
            self._send(reply)

    def _send_late(self, reply: Reply) -> None:
        self._busy = False
        if self._lost:
            self.session.close()
            return
        self._send(reply)
        self._go_on()

    def _go_on(self) -> None:
        if not self._running and not self._closing:
            self._run()

    # Content.

    def _take_content(self, octets: bytes) -> None:
        waiting = self._content.take(octets)
        if waiting is None:
            return
        self._busy = True
        self._content.pace.pause()
        self._waiting_for = waiting.addCallback(self._written)

    def _written(self, _result: object) -> None:
        self._busy = False
        self._content.pace.go_on()
        if self._lost:
            self.session.close()
        else:
            self._go_on()

    def _move_deadline(self) -> None:
        if self._framer.in_data:
            self._deadline.set(self._content.pace.seconds_left())
        elif self._command_done:
            # A deadline is for a whole command: octets that trickle in do not move it.
            self._command_done = False
            trusted = self.session.authenticated or self.session.transaction is not None or self.session.messages
            settings = self._settings
            seconds = settings.command_seconds if trusted else settings.stranger_command_seconds
            if self.session.in_chunks:  # the time for a message runs on between them
                seconds = min(seconds, self._content.pace.seconds_left())
            self._deadline.set(seconds)

    # Octets out.

    def _send(self, reply: Reply) -> None:
        """Queue a reply for the next write, and do what its code says."""
        self._put(reply)
        if reply.code == 250:  # noqa: PLR2004 - by far the most frequent
            if self._farewell is not None and self.session.transaction is None:
                self._out.append(self._farewell.encoded)
                self._close()
        elif reply is replies.SEND_CONTENT:
            self._content.begin_data()
        elif reply is replies.TLS_READY:
            self._start_tls()
        elif reply is replies.LOGGED_IN:
            self.authenticated = True
        elif reply.code in {221, 421} or reply is replies.BAD_CHUNK or reply is replies.CHUNK_TOO_LARGE:
            self._close()

    def _put(self, reply: Reply) -> None:
        """Queue a reply; in the place of the greeting, or to HELO and EHLO, it has no enhanced code."""
        if self._said_hello or not self._greeted:
            self._said_hello = False
            reply = reply.plain()
        self._out.append(reply.encoded)

    def _flush(self) -> None:
        """Write the replies of one read at once."""
        if self._out and not self._lost:
            octets = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out.clear()
            self.transport.write(octets)

    def _start_tls(self) -> None:
        self._flush()
        self.session.forget_everything()
        self.startedTLS = self._handshaking = True
        self._deadline.set(self._settings.tls_handshake_seconds)
        self._command_done = False
        self.transport.startTLS(self.ctx)

    def pauseProducing(self) -> None:
        """The peer does not read: do nothing more for it, and not for ever."""
        self._output_full = True
        self._stalled.set(self._settings.write_stall_seconds)

    def resumeProducing(self) -> None:
        """The peer reads again."""
        self._output_full = False
        self._stalled.clear()
        if not self._busy:
            self._go_on()

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""
        self._output_full = True
