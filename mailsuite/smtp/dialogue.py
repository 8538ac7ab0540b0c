"""The client's end of a connection: octets out, replies in, nothing about what they mean."""

import re
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.errors import ProtocolError
from mailsuite.smtp.replies import clean

REPLY_LINE_MAX_OCTETS = 4096  # eight times what RFC 5321 section 4.5.3.1.5 allows
REPLY_LINES_MAX = 128
REPLIES_MAX = 256
"""Replies that wait to be read; more than a client ever asks for at once."""

_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: |$)")


@attrs.frozen
class ServerReply:
    """
    What the far side said.

    Args:
        enhanced: RFC 3463 code from the last line; empty when there is none or its class contradicts the code.
        lines: the words, printable, without codes.
    """

    code: int
    enhanced: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All words in one line."""
        return clean(" ".join(line for line in self.lines if line))


class NoReplyError(Exception):
    """The connection ended, or was not what it should be; the words are for the log."""


class TLSFailedError(NoReplyError):
    """
    The TLS handshake failed.

    Args:
        result: how, as RFC 8460 section 4.3 names it.
        certain: TLS itself said so, and not the network or the clock: it will be the same the next time.
    """

    def __init__(self, text: str, result: str = "validation-failure", *, certain: bool = False) -> None:
        super().__init__(text)
        self.result = result
        self.certain = certain


class ReplyReader:
    """Octets to replies. RFC 5321 section 4.2.1."""

    def __init__(self) -> None:
        self._buffer = b""
        self._code = b""
        self._lines: list[str] = []
        self._enhanced = ""

    @property
    def pending(self) -> bool:
        """Whether octets are left that belong to no reply yet."""
        return bool(self._buffer or self._lines)

    def feed(self, octets: bytes) -> list[ServerReply]:
        """
        Take what was read, give the replies that it completes.

        Raises:
            ProtocolError: this is no SMTP server.
        """
        *lines, self._buffer = (self._buffer + octets).split(b"\n")
        if len(self._buffer) > REPLY_LINE_MAX_OCTETS or any(len(line) > REPLY_LINE_MAX_OCTETS for line in lines):
            raise ProtocolError("the reply is too long")
        found = []
        for line in lines:
            reply = self._line(line.removesuffix(b"\r"))
            if reply is not None:
                found.append(reply)
        return found

    def _line(self, line: bytes) -> ServerReply | None:
        match = _REPLY_LINE.fullmatch(line)
        if match is None or (self._code and match[1] != self._code) or len(self._lines) >= REPLY_LINES_MAX:
            raise ProtocolError("the reply is malformed")
        text = clean((match[3] or b"").decode("utf-8", "replace"))
        enhanced = _ENHANCED.match(text)
        if enhanced and enhanced[1][0] == chr(match[1][0]):
            self._enhanced = enhanced[1]
            text = text[enhanced.end() :]
        self._code = match[1]
        self._lines.append(text)
        if match[2] == b"-":
            return None
        reply = ServerReply(int(self._code), self._enhanced, tuple(self._lines))
        self._code, self._lines, self._enhanced = b"", [], ""
        return reply


_NOTHING_IN_COMMON = (
    "alert handshake failure",
    "alert insufficient security",
    "alert protocol version",
    "key too small",
    "no shared cipher",
    "unsupported protocol",
)
"""Words of OpenSSL for hosts whose TLS is not ours."""


def handshake_error(reason: BaseException | None) -> TLSFailedError:
    """Say why a handshake failed, and how RFC 8460 section 4.3 calls that."""
    from OpenSSL import SSL
    from service_identity import VerificationError

    if isinstance(reason, VerificationError):
        return TLSFailedError("the certificate is not for this host", "certificate-host-mismatch", certain=True)
    if isinstance(reason, SSL.Error):
        words = clean(" ".join(str(item) for entry in reason.args[:1] for item in _last(entry)))
        if "expired" in words:
            return TLSFailedError("the certificate has expired", "certificate-expired", certain=True)
        if "certificate verify failed" in words:
            return TLSFailedError("the certificate is not trusted", certain=True)  # who verified it knows why
        if words:
            certain = any(each in words for each in _NOTHING_IN_COMMON)
            return TLSFailedError(f"the TLS handshake failed: {words}", certain=certain)
    return TLSFailedError("the TLS handshake failed")


def _last(errors: object) -> tuple[object, ...]:
    """The reason of the last error in OpenSSL's list of (library, function, reason)."""
    if isinstance(errors, list | tuple) and errors and isinstance(errors[-1], tuple):
        return errors[-1][-1:]
    return ()


@implementer(IPushProducer, IHandshakeListener)
class Dialogue(Protocol):
    """
    One connection to a server.

    Args:
        clock: of the timeouts.
    """

    transport: Any  # TCP or TLS: what each offers is asked of its interfaces

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._reader = ReplyReader()
        self._replies: deque[ServerReply] = deque()
        self._waiting: Deferred[ServerReply] | None = None
        self._writable: Deferred[None] | None = None
        self._handshake: Deferred[None] | None = None
        self._full = False
        self._lost: NoReplyError | None = None
        self._leaving = False
        self._hung_up = False
        self._ended = False
        self._bye_timer: Any = None
        self._disturbed: Callable[[], None] | None = None

    @property
    def quiet(self) -> bool:
        """Whether the connection stands and nothing was said that nobody asked for."""
        return self._lost is None and not self._leaving and not self._replies and not self._reader.pending

    def ensure_quiet(self) -> None:
        """
        See that nothing was said in advance: it would count as the answer to what the far side has not heard yet.

        Raises:
            NoReplyError: something was, or the connection ended.
        """
        if self._lost is not None:
            raise self._lost
        if not self.quiet:
            raise NoReplyError("the host said more than it was asked")

    def ensure_replies(self, most: int) -> None:
        """
        See that no more was said than was asked: it would count as the answer to what follows.

        Args:
            most: replies that may have come already.

        Raises:
            NoReplyError: there are more.
        """
        if len(self._replies) > most:
            raise NoReplyError("the host said more than it was asked")

    def watch(self, disturbed: Callable[[], None] | None) -> None:
        """
        Tell when anything happens while nothing is asked; None stops that.

        Args:
            disturbed: called at most once: the far side closed, or said something of its own accord.
        """
        self._disturbed = disturbed

    def connectionMade(self) -> None:
        """Get ready for small writes and for backpressure."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, streaming=True)

    def dataReceived(self, data: bytes) -> None:
        """Hand replies to who waits for them."""
        if self._lost is not None:
            return
        try:
            found = self._reader.feed(data)
        except ProtocolError as error:
            self._fail(NoReplyError(error.detail))
            self.abort()
            return
        if self._leaving:
            self._hang_up()
            return
        self._replies.extend(found)
        if len(self._replies) > REPLIES_MAX:
            self._replies.clear()
            self._fail(NoReplyError("the host said more than it was asked"))
            self.abort()
        self._tell_disturbed()
        if self._waiting is not None and self._replies:
            waiting, self._waiting = self._waiting, None
            waiting.callback(self._replies.popleft())

    def early_reply(self) -> ServerReply | None:
        """Give a reply that came before its time, if there is one."""
        return self._replies.popleft() if self._replies else None

    async def reply(self, seconds: float) -> ServerReply:
        """
        Wait for the next reply.

        Raises:
            NoReplyError: the connection ended.
            TimeoutError: it took longer.
        """
        if self._replies:
            return self._replies.popleft()
        if self._lost is not None:
            raise self._lost
        waiting = self._waiting = Deferred()
        return await waiting.addTimeout(seconds, self._clock)

    def write(self, octets: bytes) -> None:
        """Send; what the peer does not take yet is kept, see `writable`."""
        if self._lost is None:
            self.transport.write(octets)

    async def writable(self, seconds: float) -> None:
        """
        Wait until the peer has taken most of what was written.

        Raises:
            NoReplyError: the connection ended.
            TimeoutError: it took longer.
        """
        if self._lost is not None:
            raise self._lost
        if self._full:
            waiting = self._writable = Deferred()
            await waiting.addTimeout(seconds, self._clock)

    async def start_tls(self, creator: IOpenSSLClientConnectionCreator, seconds: float) -> None:
        """
        Begin TLS and wait for the handshake.

        Raises:
            TLSFailedError: it failed, or octets followed the reply in the clear, which only an attacker would send:
                RFC 3207 section 5.
        """
        if self._replies or self._reader.pending:
            self.abort()
            raise TLSFailedError("octets in the clear behind the reply to STARTTLS")
        waiting = self._handshake = Deferred()
        self.transport.startTLS(creator)
        try:
            await waiting.addTimeout(seconds, self._clock)
        except defer.TimeoutError:
            self.abort()
            raise TLSFailedError("the TLS handshake took too long") from None

    def handshakeCompleted(self) -> None:
        """TLS is on."""
        waiting, self._handshake = self._handshake, None
        if waiting is not None:
            waiting.callback(None)

    def leave(self, seconds: float) -> None:
        """Say QUIT; close when it is answered, or after this time. Whatever happens now concerns no message."""
        if self._lost is not None or self._leaving:
            return
        self._leaving = True
        self._bye_timer = self._clock.callLater(seconds, self.abort)
        self.write(b"QUIT\r\n")

    def _hang_up(self) -> None:
        if self._hung_up:
            return
        self._hung_up = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def abort(self) -> None:
        """Close at once."""
        self._leaving = True
        if not self._ended:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Tell whoever waits."""
        self._ended = True
        if self._bye_timer is not None and self._bye_timer.active():
            self._bye_timer.cancel()
        broke = reason is not None and reason.check(ConnectionDone) is None
        self._fail(NoReplyError("the connection broke" if broke else "the connection was closed"), reason)
        self._tell_disturbed()

    def _tell_disturbed(self) -> None:
        disturbed, self._disturbed = self._disturbed, None
        if disturbed is not None:
            disturbed()

    def _fail(self, error: NoReplyError, reason: Failure | None = None) -> None:
        if self._lost is None:
            self._lost = error
        handshake, self._handshake = self._handshake, None
        if handshake is not None and not handshake.called:
            handshake.errback(handshake_error(None if reason is None else reason.value))
        reply, self._waiting = self._waiting, None
        writable, self._writable = self._writable, None
        if reply is not None and not reply.called:
            reply.errback(self._lost)
        if writable is not None and not writable.called:
            writable.errback(self._lost)

    def pauseProducing(self) -> None:
        """The transport holds enough."""
        self._full = True

    def resumeProducing(self) -> None:
        """The transport wants more."""
        self._full = False
        waiting, self._writable = self._writable, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """The transport is gone; `connectionLost` follows."""
