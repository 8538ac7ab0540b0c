"""
IMAP over a Twisted transport: one command at a time, in order.

Twisted's ``IMAP4Server`` gives the shell (timeouts, portal, the place in the class tree where other programs look);
what arrives goes to our own assembler and grammar, and what is to be done to the verbs.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
)
from twisted.mail.imap4 import IMAP4Server
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.imap import responses
from mailsuite.imap.compressed import READ_AHEAD_MAX_OCTETS, CompressedInput
from mailsuite.imap.dispatch import Dispatch
from mailsuite.imap.pushing import Pushing
from mailsuite.imap.session import ConnectionGone, Session, State
from mailsuite.imap.wire import CommandAssembler, Event
from mailsuite.observe import background
from mailsuite.observe.sessions import OpenSession
from mailsuite.peers import plain_ip

if TYPE_CHECKING:
    from mailsuite.imap.factory import IMAPFactory

SHUTTING_DOWN = "the server is shutting down"
ENDED_BY_OPERATOR = "the operator ended this connection"
FLUSH_WAIT_SECONDS = 1.0  # for the rest of what a client has compressed


@implementer(IPushProducer)
class IMAPServer(IMAP4Server):
    """
    One connection.

    Args:
        factory: holds what all connections share: portal, settings, clock, counts.
        session_id: names the connection in the log.
    """

    # Of what is the server's own there is no dict: with thousands of clients that idle, that is most of the memory.
    __slots__ = (
        "_account_key",
        "_closing",
        "_compressed",
        "_dispatch",
        "_gone",
        "_hung_up",
        "_input",
        "_ip",
        "_limits_after_login",
        "_limits_before_login",
        "_output",
        "_paused",
        "_pushing",
        "_reading_paused",
        "_repeated",
        "_room",
        "_stall",
        "_waits",
        "_working",
        "assembler",
        "clock",
        "factory",
        "log",
        "session",
        "settings",
    )

    transport: Any  # TCP, TLS, a unix socket or a test's: what each offers is asked of its interfaces

    def __init__(self, factory: "IMAPFactory", session_id: str) -> None:
        super().__init__(contextFactory=factory.context_factory)  # type: ignore[no-untyped-call]  # Twisted's is
        self.factory = factory
        self.portal = factory.portal  # type: ignore[assignment]  # Twisted declares it by its default, None
        self.settings = factory.settings
        self.clock = factory.clock
        self._limits_before_login = factory.limits_before_login
        self._limits_after_login = factory.limits_after_login
        self.assembler = CommandAssembler(self._limits_before_login)
        self.log = factory.log.bind(session=session_id)
        self.session = Session(
            connection=self,
            portal=factory.portal,
            settings=self.settings,
            log=self.log,
            seconds=factory.seconds,
            session_id=session_id,
        )
        self._dispatch = Dispatch(self.session)
        self._pushing = Pushing(self)
        self._ip = ""
        self._account_key = ""
        self._output: list[bytes] = []
        self._compressed: CompressedInput | None = None
        self._waits: list[Deferred[None]] = []
        self._input: Deferred[None] | None = None
        self._room: Deferred[None] | None = None
        self._stall: IDelayedCall | None = None
        self._repeated: IDelayedCall | None = None
        self._working = False
        self._paused = False
        self._reading_paused = False
        self._gone = False
        self._closing = False
        self._hung_up = False

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        """Wait by the factory's clock: the seam of Twisted's TimeoutMixin."""
        return self.clock.callLater(period, func)

    # the connection's life

    def connectionMade(self) -> None:
        """Greet, and begin to take commands."""
        transport = self.transport
        self.canStartTLS = ITLSTransport(transport, None) is not None
        peer = transport.getPeer()
        self._ip = self.session.ip = plain_ip(getattr(peer, "host", ""))
        self.log = self.session.log = self.log.bind(peer=self._ip or "unix")
        self.session.tls = ISSLTransport.providedBy(transport)
        self.session.can_start_tls = self.factory.context_factory is not None and self.canStartTLS
        if ITCPTransport.providedBy(transport):
            # Bulk answers end in small pieces: with Nagle's algorithm each would wait 40 ms.
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature
        if not self.factory.enter(self, self._ip):
            self.write(responses.bye("too many connections from your address", responses.LIMIT))
            self.hang_up()
            return
        self.log.emit("imap.session.begun", tls=self.session.tls)
        self._limit_time(self.settings.login_seconds)
        self.sendServerGreeting()

    def sendServerGreeting(self) -> None:
        """Say what can be used before login (RFC 3501 section 7.1.1)."""
        code = responses.capability_code(self.session.capabilities())
        self.write(responses.untagged(responses.OK, "mailsuite ready", code))
        self.flush()

    def _work(self) -> None:
        """Take up what has arrived; while the client says nothing, nothing waits for it, and that costs little."""
        event = self._next_command()
        if event is not None:
            self._working = True
            _ = background(self._serve(event), self.log, "IMAP session")
        elif not self._closing:
            self._rest()

    async def _serve(self, event: Event | None) -> None:
        """Run the commands that have arrived whole; of changes is told before the first and after the last."""
        ends = True
        try:
            self._pushing.stop()
            if self.session.idling is None:  # else what is found now is told with the answer
                await self._pushing.told()
            while event is not None and not self._closing:
                await self._dispatch.run(event)
                self.flush()
                if self._paused:
                    await self.drained()
                event = self._next_command()
            ends = self._closing
        except ConnectionGone:
            pass
        finally:
            self._working = False
            if ends:
                self.session.end()
                self.hang_up()
        if not ends:
            self._rest()
            if self.session.wants_pushes and not self._working:  # a transport may deliver as soon as it may
                self._pushing.begin()

    def _rest(self) -> None:
        """Let the client speak."""
        self.flush()
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resumeProducing()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted gives no default here
        """Let go of everything; a verb that works on the store is let finish."""
        del reason
        self._gone = self._closing = self._hung_up = True
        self._limit_time(None)
        self._stop_stall()
        self._stop_repeating()
        self._output.clear()
        self.assembler.discard()
        self._end_waits()
        if self.factory.leave(self, self._ip, self._account_key):
            self.log.emit("imap.session.ended")

    def dataReceived(self, data: bytes) -> None:
        """Take octets; the command that runs is never interrupted by them."""
        if self._closing:
            return
        if self.session.state is not State.NOT_AUTHENTICATED:
            self.resetTimeout()  # type: ignore[no-untyped-call]  # Twisted's is
        if self._compressed is None:
            self.assembler.feed(data)
        else:
            try:
                self._compressed.feed(data)
            except ValueError as error:
                self._refuse_octets(error)
        if self._input is not None:
            self._input.callback(None)
        elif not self._working:
            self._work()
        if self._at_work and not self._reading_paused and self._read_ahead > READ_AHEAD_MAX_OCTETS:
            self._reading_paused = True
            self.transport.pauseProducing()

    @property
    def _at_work(self) -> bool:
        """Whether a command runs that does not wait for the client."""
        return self._working and self._input is None

    @property
    def _read_ahead(self) -> int:
        """How many octets wait for the command that runs."""
        return self.assembler.buffered_octets + (0 if self._compressed is None else self._compressed.waiting_octets)

    def _refuse_octets(self, error: ValueError) -> None:
        self.log.emit("imap.session.refused", reason=str(error))
        self.write(responses.bye("the compressed octets cannot be read"))
        self.hang_up()

    def _limit_time(self, seconds: float | None) -> None:
        self.setTimeout(seconds)  # type: ignore[no-untyped-call]  # Twisted's is

    def timeoutConnection(self) -> None:
        """Say farewell to a client that is silent, unless we are at work for it."""
        if self.session.state is not State.NOT_AUTHENTICATED and self._at_work and not self._paused:
            self._limit_time(self.settings.idle_seconds)
            return
        self.log.emit("imap.session.expired", state=self.session.state.value)
        self.write(responses.bye("autologout; idle for too long"))
        self.hang_up()

    # what verbs may ask for (session.Connection)

    def write(self, octets: bytes) -> None:
        """Keep octets for the next flush."""
        self._output.append(octets)

    def flush(self) -> None:
        """Hand everything to the transport."""
        if self._output:
            output = self._output
            self._output = []
            if not self._hung_up:
                octets = output[0] if len(output) == 1 else b"".join(output)
                self.transport.write(octets if self._compressed is None else self._compressed.stream.compress(octets))

    async def drained(self) -> None:
        """Flush, and wait while the transport has enough."""
        self.flush()
        if self._gone:
            raise ConnectionGone
        while self._paused:
            self._room = Deferred()
            try:
                await self._wait(self._room)
            finally:
                self._room = None

    def _next_command(self) -> Event | None:
        """Give the next command, or what else begins where one ends; None when more must come."""
        if not self.assembler.buffered_octets and self._compressed is None:
            return None
        return self._next_arrived()

    def _next_arrived(self) -> Event | None:
        """Give what has arrived whole; None when more must come."""
        event = self.assembler.next_event()
        try:
            while event is None and self._compressed is not None and not self._closing and self._compressed.go_on():
                event = self.assembler.next_event()
        except ValueError as error:
            self._refuse_octets(error)
        return event

    async def next_event(self) -> Event:
        """Give what the client says next."""
        while (event := self._next_arrived()) is None:
            if self._closing:
                raise ConnectionGone
            self._rest()
            self._input = Deferred()
            try:
                await self._wait(self._input)
            finally:
                self._input = None
        return event

    async def sleep(self, seconds: float) -> None:
        """Wait by the clock."""
        self.flush()
        wait: Deferred[None] = Deferred()
        call = self.clock.callLater(seconds, wait.callback, None)
        try:
            await self._wait(wait)
        finally:
            if call.active():
                call.cancel()

    async def _wait(self, wait: "Deferred[None]") -> None:
        if self._closing:
            raise ConnectionGone
        self._waits.append(wait)
        try:
            await wait
        except CancelledError as error:
            raise ConnectionGone from error
        finally:
            self._waits.remove(wait)

    def _end_waits(self) -> None:
        """Let go of whatever waits for the client; where no command runs, that is the session's end."""
        if not self._working:
            self._pushing.stop()
            self.session.end()
        for wait in tuple(self._waits):
            wait.cancel()

    def start_deflate(self) -> None:
        """Send what was written; what follows is compressed both ways (RFC 4978 section 3)."""
        self.flush()
        self._compressed = CompressedInput(self.assembler)
        self.session.compressed = True

    async def end_deflate(self) -> None:
        """
        Read on to the end of what the client flushed last (RFC 8437 section 4.1).

        One that flushes in another way than with an empty block is not waited for long.
        """
        compressed = self._compressed
        if compressed is not None:
            compressed.hold()
            ends = self.clock.seconds() + FLUSH_WAIT_SECONDS
            while compressed.read_on() and self.clock.seconds() < ends:
                await self._more_input(ends - self.clock.seconds())

    async def _more_input(self, seconds: float) -> None:
        """Wait until something arrives, or for so long."""
        self._input = Deferred()
        call = self.clock.callLater(seconds, self._input.callback, None)
        try:
            await self._wait(self._input)
        finally:
            self._input = None
            if call.active():
                call.cancel()

    def start_tls(self) -> None:
        """Begin TLS: what was known of the client is forgotten (RFC 3501 section 6.2.1)."""
        self.flush()
        self.transport.startTLS(self.factory.context_factory)
        self.startedTLS = True
        self.session.tls = True
        self.assembler.discard()

    def logged_in(self, email: str) -> bool:
        """Count the connection for the account, and widen the limits."""
        if self._gone or not self.factory.enter_account(email):
            return False
        self._account_key = email
        self.log = self.session.log = self.log.bind(account=email)
        self.assembler.limits = self._limits_after_login
        self._limit_time(self.settings.idle_seconds)
        return True

    def logged_out(self) -> None:
        """Give the account's connection back, and let the limits from before the login hold again."""
        self.flush()
        compressed, self._compressed = self._compressed, None
        if compressed is not None:  # RFC 8437 section 4.1
            self.session.compressed = False
            compressed.end()
        key, self._account_key = self._account_key, ""
        if key:
            self.factory.leave_account(key)
        self.log = self.session.log = self.log.without("account")
        self.assembler.limits = self._limits_before_login
        self._dispatch.count_anew()
        self._limit_time(self.settings.login_seconds)

    def repeat(self, seconds: float, line: Callable[[], bytes]) -> Callable[[], None]:
        """Send a line every so many seconds, while the client keeps up, until what this gives is called."""
        if not self._gone:
            self._repeated = self.clock.callLater(seconds, self._repeat, seconds, line)
        return self._stop_repeating

    def _repeat(self, seconds: float, line: Callable[[], bytes]) -> None:
        self._repeated = self.clock.callLater(seconds, self._repeat, seconds, line)
        if not self._paused and not self._closing:
            self.write(line())
            self.flush()

    def _stop_repeating(self) -> None:
        if self._repeated is not None and self._repeated.active():
            self._repeated.cancel()
        self._repeated = None

    @property
    def pushing(self) -> bool:
        """Whether something may be told now."""
        return self._pushing.is_on

    def announce(self) -> None:
        """Tell what is to be told, if something may be told now."""
        self._pushing.announce()

    @property
    def is_full(self) -> bool:
        """Whether the transport has more than enough."""
        return self._paused

    @property
    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self._closing

    def hang_up(self) -> None:
        """Close once everything is written."""
        if not self._hung_up:
            self._closing = True
            self.flush()
            self._limit_time(None)
            self.transport.unregisterProducer()
            self._hung_up = True
            self._start_stall()
            self.transport.loseConnection()
            self._end_waits()

    @property
    def account_email(self) -> str:
        """Address of the account that is logged in; empty before."""
        return self._account_key

    def describe(self) -> OpenSession:
        """Say who this is and what it does."""
        session = self.session
        return OpenSession(
            session=session.session_id,
            peer=self._ip,
            account=self._account_key,
            tls=session.tls,
            began=session.began,
            doing=session.doing,
        )

    def drain(self, reason: str = SHUTTING_DOWN) -> None:
        """Say farewell: now, or when the command that runs has ended."""
        self._dispatch.ending = reason
        if not self._at_work:
            self.write(responses.bye(reason))
            self.hang_up()

    # IPushProducer: the transport's view of us

    def pauseProducing(self) -> None:
        """Stop making output: the client does not keep up."""
        self._paused = True
        self._start_stall()

    def resumeProducing(self) -> None:
        """Go on making output."""
        self._paused = False
        self._stop_stall()
        if self._room is not None and not self._room.called:
            self._room.callback(None)
        else:
            self._pushing.announce()

    def stopProducing(self) -> None:
        """Nothing more can be sent; `connectionLost` follows."""

    def _start_stall(self) -> None:
        self._stop_stall()
        self._stall = self.clock.callLater(self.settings.stall_seconds, self._stalled)

    def _stop_stall(self) -> None:
        if self._stall is not None and self._stall.active():
            self._stall.cancel()
        self._stall = None

    def _stalled(self) -> None:
        self._stall = None
        self.log.emit("imap.session.stalled")
        self.transport.abortConnection()
