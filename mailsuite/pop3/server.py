"""
POP3 on a Twisted transport: one command at a time, in order, with backpressure.

Twisted's POP3 lends the transport shell and its timeouts; what is read goes through `grammar`, what it means is decided
by `verbs`.
"""

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
)
from twisted.mail.pop3 import POP3
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.errors import MailError, ProtocolError
from mailsuite.observe.sessions import OpenSession
from mailsuite.pop3.grammar import LineReader, LineTooLong, encode_error, encode_ok, parse_command
from mailsuite.pop3.session import After, Answer, Reply, Session, State, Stream
from mailsuite.pop3.verbs import VERBS, auth_line, reply_to

READ_AHEAD_OCTETS = 65_536
FLUSH_OCTETS = 65_536

GIVING_UP = Reply(encode_error("something went wrong here; try again later", "SYS/TEMP"), After.CLOSE)
LOGIN_ENDED = Reply(encode_error("this login is no longer valid", "AUTH"), After.CLOSE)
ENDED_BY_OPERATOR = Reply(encode_error("the operator ended this connection", "SYS/TEMP"), After.CLOSE)
SHUTTING_DOWN = Reply(encode_error("the server is shutting down", "SYS/TEMP"), After.CLOSE)
LINE_TOO_LONG = Reply(encode_error("the line is too long"))


@implementer(IHandshakeListener, IPushProducer)
class POP3Server(POP3):
    """
    One connection.

    Args:
        session: its state, with everything it needs from outside.
        context_factory: makes the TLS side of STLS; None where TLS is not offered.
        ended: called once when the connection is gone.
    """

    transport: Any  # TCP, TLS, a unix socket or a test's: what each offers is asked of its interfaces

    def __init__(
        self, session: Session, *, context_factory: object = None, ended: Callable[["POP3Server"], None] | None = None
    ) -> None:
        self.session = session
        self._settings = session.settings
        self._context_factory = context_factory
        self._told_ended = ended
        self._reader = LineReader()
        self._out: list[bytes] = []
        self._out_octets = 0
        self._running = False  # a command has not finished; no other is begun
        self._closing = False
        self._lost = False
        self._farewell: Reply | None = None
        self._reading_paused = False
        self._output_full = False
        self._writable: Deferred[None] | None = None
        self._stalled: IDelayedCall | None = None

    # The life of the connection.

    def connectionMade(self) -> None:
        """Greet."""
        transport = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self.session.encrypted = ISSLTransport.providedBy(transport)
        self.session.tls_offered = self._context_factory is not None and ITLSTransport.providedBy(transport)
        transport.registerProducer(self, streaming=True)
        self._set_timeout(self._settings.login_seconds)
        self._write(encode_ok(self._settings.banner))
        self._flush()

    def handshakeCompleted(self) -> None:
        """Note what was agreed on."""
        handle = self.transport.getHandle()
        described = f"{handle.get_protocol_version_name()} {handle.get_cipher_name() or ''}".strip()
        self.session.peer = attrs.evolve(self.session.peer, tls=described)

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: ARG002 - Twisted's signature
        """Take nothing back and remove nothing; a QUIT that is being worked on goes on without us."""
        self._lost = self._closing = True
        self._set_timeout(None)
        self._stop_stall_timer()
        self._reader.discard()
        if self.session.state is not State.UPDATE or not self._running:
            self.session.close()
        self.resumeProducing()  # who waits to write finds that nobody reads
        told, self._told_ended = self._told_ended, None
        if told is not None:
            told(self)

    def drain(self, farewell: Reply = SHUTTING_DOWN) -> None:
        """End the connection as soon as no command is being worked on; what DELE marked stays."""
        self._farewell = farewell
        if not self._running and not self._closing:
            self._send(farewell)
            self._flush()

    def describe(self) -> OpenSession:
        """Say who this is and what it does."""
        session = self.session
        verb = session.verb.decode("ascii", "replace")
        return OpenSession(
            session=session.peer.session,
            peer=session.peer.ip,
            account=session.peer.account,
            tls=session.encrypted,
            began=session.began,
            doing=f"{session.state.value}: {verb}" if verb else session.state.value,
        )

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        """Run Twisted's timeouts by our clock."""
        return self.session.clock.callLater(period, func)

    def timeoutConnection(self) -> None:
        """Close a connection that says nothing; nothing is removed (RFC 1939 section 3)."""
        if self._running:  # the client waits for us, or `_stalled` watches it
            self._move_timeout()
        elif not self._closing:
            self._send(Reply(encode_error("nothing was said for too long"), After.CLOSE))
            self._flush()

    def _move_timeout(self) -> None:
        logged_in = self.session.state is not State.AUTHORIZATION
        self._set_timeout(self._settings.idle_seconds if logged_in else self._settings.login_seconds)

    def _set_timeout(self, seconds: float | None) -> None:
        self.setTimeout(seconds)  # type: ignore[no-untyped-call]  # Twisted's is

    # Backpressure: Twisted asks us, as a producer, to pause when the peer does not read.

    def pauseProducing(self) -> None:
        """Begin no more commands and write nothing until the peer has read."""
        self._output_full = True
        if self._stalled is None and not self._lost:
            self._stalled = self.session.clock.callLater(self._settings.write_stall_seconds, self._abort)

    def resumeProducing(self) -> None:
        """Go on."""
        self._output_full = False
        self._stop_stall_timer()
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.callback(None)

    def stopProducing(self) -> None:
        """Nothing to stop: `connectionLost` follows."""

    def _abort(self) -> None:
        self._stalled = None
        self._closing = True
        self.transport.abortConnection()

    def _stop_stall_timer(self) -> None:
        stalled, self._stalled = self._stalled, None
        if stalled is not None:
            stalled.cancel()

    async def _wait_until_writable(self) -> None:
        self._flush()
        while self._output_full and not self._lost:
            if self._writable is None:
                self._writable = Deferred()
            await self._writable

    # Octets in.

    def dataReceived(self, data: bytes) -> None:
        """Take what was read; work on it now if nothing is being worked on."""
        if self._closing:
            return
        self._reader.feed(data)
        if not self._running:
            self._running = True
            _ = Deferred.fromCoroutine(self._run()).addErrback(self._failed)
            self._flush()
        elif self._reader.buffered > READ_AHEAD_OCTETS and not self._reading_paused:
            self._reading_paused = True
            self.transport.pauseProducing()

    async def _run(self) -> None:
        """Work through lines, one after the other."""
        try:
            while not self._closing:
                if self._output_full:
                    await self._wait_until_writable()
                line = self._reader.next_line(self._settings.auth_line_max_octets)
                if line is None:
                    break
                await self._answer(await self._take(line))
                if self._farewell is not None and not self._closing:
                    self._send(self._farewell)
        finally:
            self._running = False
            if self._lost:
                self.session.close()
        self._flush()
        if self._closing:
            return
        if self.session.state is not State.AUTHORIZATION:
            self._move_timeout()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resumeProducing()

    def _failed(self, failure: Failure) -> None:
        """Our bug, or the store's failure in the middle of a message: the client must not take it for the end."""
        if not self._lost:
            self.session.log.failure("pop3.session.failed", failure, doing="reply")
            self._abort()

    async def _take(self, line: bytes | LineTooLong) -> Answer:
        """Turn a line into its answer."""
        session = self.session
        if isinstance(line, LineTooLong):
            session.exchange = None
            return self._bad(attrs.evolve(LINE_TOO_LONG, after=After.CLOSE) if line.runaway else LINE_TOO_LONG)
        try:
            if session.exchange is not None:
                return await auth_line(session, line)
            return await self._command(line)
        except ProtocolError as error:
            return self._bad(Reply(encode_error(error.detail)))
        except MailError as error:
            return reply_to(error)
        except Exception:  # noqa: BLE001 - the top of a verb: our bug is a temporary failure for the peer
            session.log.failure("pop3.session.failed", doing="command")
            return GIVING_UP

    async def _command(self, line: bytes) -> Answer:
        session = self.session
        command = parse_command(line)
        verb = VERBS.get(command.verb)
        if verb is None:
            return self._bad(Reply(encode_error("that command is not known here")))
        if len(line) > self._settings.line_max_octets and command.verb != b"AUTH":
            return self._bad(LINE_TOO_LONG)
        if command.verb not in {b"USER", b"PASS"}:
            session.user = None
        session.verb = command.verb
        return session.forbids(command.verb) or await verb(session, command.argument)

    def _bad(self, reply: Reply) -> Reply:
        self.session.bad_commands += 1
        if self.session.bad_commands >= self._settings.bad_commands_max:
            return attrs.evolve(reply, after=After.CLOSE)
        return reply

    # Octets out.

    async def _answer(self, answer: Answer) -> None:
        if self._lost:
            return
        if isinstance(answer, Stream):
            await self._send_stream(answer)
        else:
            self._send(answer)

    async def _send_stream(self, stream: Stream) -> None:
        async with aclosing(stream.pieces) as pieces:
            try:
                piece = await anext(pieces)
            except MailError as error:
                self._send(reply_to(error))
                return
            except Exception:  # noqa: BLE001 - nothing was sent yet, so the answer can still be an error
                if not self._lost:
                    self.session.log.failure("pop3.session.failed", doing="message")
                self._send(GIVING_UP)
                return
            self._write(stream.first)
            self._write(piece)
            async for piece in pieces:
                if self._output_full:
                    await self._wait_until_writable()
                if self._lost:
                    return
                self._write(piece)

    def _send(self, reply: Reply) -> None:
        self._write(reply.octets)
        if reply.after is After.CLOSE:
            self._close()
        elif reply.after is After.START_TLS:
            self._start_tls()

    def _write(self, octets: bytes) -> None:
        if not self._lost:
            self._out.append(octets)
            self._out_octets += len(octets)
            if self._out_octets >= FLUSH_OCTETS:
                self._flush()

    def _flush(self) -> None:
        if self._out and not self._lost:
            octets = b"".join(self._out)
            self._out.clear()
            self._out_octets = 0
            self.transport.write(octets)

    def _close(self) -> None:
        """Send what is to be sent, then close, at the latest when the peer has stopped reading for long."""
        if self._closing:
            return
        self._flush()
        self._closing = True
        self._reader.discard()
        self._set_timeout(None)
        self.session.close()
        self._stop_stall_timer()
        self._stalled = self.session.clock.callLater(self._settings.write_stall_seconds, self._abort)
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _start_tls(self) -> None:
        """Begin TLS; what came in the clear behind STLS could pass for what is said inside it (RFC 2595 section 4)."""
        if self._reader.buffered:
            self.session.log.emit("pop3.pipelining.refused")
            self._out.clear()
            self._abort()
            return
        self._flush()
        self.session.forget()
        self.transport.startTLS(self._context_factory)
        self.session.encrypted = True
