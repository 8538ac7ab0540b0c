"""
From an address to a connection that is ready for MAIL: greeting, EHLO, STARTTLS, AUTH.

RFC 5321 section 3.1 and section 3.2, RFC 3207, RFC 4954.
"""

import base64

import attrs
from twisted.internet import defer
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from mailsuite.smtp.connection import Connection
from mailsuite.smtp.dialogue import Dialogue, NoReplyError, ServerReply, TLSFailedError
from mailsuite.smtp.offered import NOTHING, Offered, parse_offered
from mailsuite.smtp.outcome import Outcome
from mailsuite.smtp.results import deferred, later
from mailsuite.smtp.settings import ClientSettings, TLSPolicy

NOT_OFFERED = "starttls-not-supported"  # RFC 8460 section 4.3.1


class NotOpenedError(Exception):
    """
    There is no connection that could carry a message.

    Args:
        outcome: of all recipients, at this host; always temporary.
        tls_failure: if TLS was the reason, a result type of RFC 8460 section 4.3.
        lacks_tls: the host was reached, and TLS as it should be cannot be had with it, now or later.
    """

    def __init__(self, outcome: Outcome, tls_failure: str = "", *, lacks_tls: bool = False) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.tls_failure = tls_failure
        self.lacks_tls = lacks_tls


async def open_connection(
    endpoint: IStreamClientEndpoint, settings: ClientSettings, *, reactor: IReactorTime
) -> Connection:
    """
    Connect to a host and get ready.

    Where TLS is opportunistic and its handshake fails, a second connection goes without.

    Args:
        endpoint: the host and port, already chosen.
        reactor: the clock of the timeouts.

    Raises:
        NotOpenedError: it did not come to that.
    """
    try:
        return await _open(endpoint, settings, reactor)
    except TLSFailedError as error:
        failure = error.result
        if settings.tls is not TLSPolicy.OPPORTUNISTIC or settings.implicit_tls:
            raise NotOpenedError(deferred("4.7.5", str(error)), failure, lacks_tls=error.certain) from error
    in_the_clear = attrs.evolve(settings, tls=TLSPolicy.NONE)
    try:
        connection = await _open(endpoint, in_the_clear, reactor)
    except TLSFailedError as error:  # cannot be
        raise NotOpenedError(deferred("4.7.5", str(error)), failure) from error
    except NotOpenedError as error:
        raise NotOpenedError(error.outcome, failure) from error
    connection.tls_failure = failure
    return connection


async def _open(endpoint: IStreamClientEndpoint, settings: ClientSettings, reactor: IReactorTime) -> Connection:
    opening = _Opening(await _connect(endpoint, settings, reactor), settings)
    try:
        await opening.run()
    except NotOpenedError:
        opening.dialogue.leave(settings.quit_seconds)
        raise
    except TLSFailedError:
        opening.dialogue.abort()
        raise
    except NoReplyError as error:
        opening.dialogue.abort()
        raise NotOpenedError(deferred("4.4.2", str(error))) from error
    except defer.TimeoutError as error:
        opening.dialogue.abort()
        raise NotOpenedError(deferred("4.4.2", "the host did not answer in time")) from error
    except BaseException:
        opening.dialogue.abort()
        raise
    return Connection(
        opening.dialogue,
        attrs.evolve(
            opening.offered,
            chunking=opening.offered.chunking and settings.chunking,
            requiretls=opening.offered.requiretls and opening.encrypted,  # RFC 8689 section 4.2.1: after STARTTLS
        ),
        settings,
        reactor,
        encrypted=opening.encrypted,
        tls_failure=opening.tls_failure,
    )


async def _connect(endpoint: IStreamClientEndpoint, settings: ClientSettings, reactor: IReactorTime) -> Dialogue:
    factory = Factory.forProtocol(lambda: Dialogue(reactor))
    factory.noisy = False
    try:
        connecting = endpoint.connect(factory)
        protocol = await connecting.addTimeout(settings.connect_seconds, reactor)
    except (
        ConnectError,
        ConnectingCancelledError,
        DNSLookupError,
        defer.TimeoutError,
        OSError,
        ValueError,
    ) as error:
        raise NotOpenedError(deferred("4.4.1", f"cannot connect: {type(error).__name__}")) from error
    assert isinstance(protocol, Dialogue)
    return protocol


class _Opening:
    """The words before the first MAIL."""

    def __init__(self, dialogue: Dialogue, settings: ClientSettings) -> None:
        self.dialogue = dialogue
        self.offered: Offered = NOTHING
        self.encrypted = settings.implicit_tls
        self.tls_failure = ""
        self._settings = settings

    async def run(self) -> None:
        settings = self._settings
        greeting = await self.dialogue.reply(settings.greeting_seconds)
        if greeting.code != 220:  # noqa: PLR2004 - RFC 5321 section 3.1
            # Whether for good or for now: another host of this domain may say something else.
            raise NotOpenedError(later(greeting))
        await self._ehlo()
        if settings.tls is not TLSPolicy.NONE and not self.encrypted:
            await self._start_tls()
        if settings.username:
            await self._log_in()

    async def _command(self, line: bytes) -> ServerReply:
        self.dialogue.ensure_quiet()
        self.dialogue.write(line + b"\r\n")
        reply = await self.dialogue.reply(self._settings.command_seconds)
        if reply.code == 421:  # noqa: PLR2004 - RFC 5321 section 3.8: the host closes the connection
            raise NotOpenedError(later(reply))
        return reply

    async def _ehlo(self) -> None:
        reply = await self._command(b"EHLO " + self._settings.hostname)
        if reply.code == 250:  # noqa: PLR2004 - RFC 5321 section 4.1.1.1
            self.offered = parse_offered(reply.lines[1:])
            return
        self.offered = NOTHING
        if reply.code >= 500:  # noqa: PLR2004 - an old server: RFC 5321 section 3.2
            reply = await self._command(b"HELO " + self._settings.hostname)
        if reply.code != 250:  # noqa: PLR2004 - RFC 5321 section 4.1.1.1
            raise NotOpenedError(later(reply))

    async def _start_tls(self) -> None:
        required = self._settings.tls is TLSPolicy.REQUIRE
        if not self.offered.starttls:
            if required:
                text = "TLS is required and the host does not offer it"
                raise NotOpenedError(deferred("4.7.0", text), NOT_OFFERED, lacks_tls=True)
            self.tls_failure = NOT_OFFERED
            return
        reply = await self._command(b"STARTTLS")
        if reply.code != 220:  # noqa: PLR2004 - RFC 3207 section 4
            if required:
                raise NotOpenedError(later(reply), NOT_OFFERED)
            self.tls_failure = NOT_OFFERED
            return
        creator = self._settings.tls_creator
        if creator is None:
            from mailsuite.smtp.any_certificate import AnyCertificate

            creator = AnyCertificate(self._settings.host)
        await self.dialogue.start_tls(creator, self._settings.command_seconds)
        self.encrypted = True
        await self._ehlo()  # RFC 3207 section 4.2: forget what was said in the clear

    async def _log_in(self) -> None:
        settings = self._settings
        if not self.encrypted and not settings.allow_cleartext:
            raise NotOpenedError(deferred("4.7.11", "no password is sent without TLS"))
        mechanisms = self.offered.mechanisms
        if "PLAIN" in mechanisms:
            response = base64.b64encode(b"\0" + settings.username + b"\0" + settings.password)
            reply = await self._command(b"AUTH PLAIN " + response)
        elif "LOGIN" in mechanisms:
            reply = await self._command(b"AUTH LOGIN")
            for answer in (settings.username, settings.password):
                if reply.code != 334:  # noqa: PLR2004 - RFC 4954 section 4
                    break
                reply = await self._command(base64.b64encode(answer))
        else:
            raise NotOpenedError(deferred("4.7.0", "the host offers no login that we know"))
        if reply.code != 235:  # noqa: PLR2004 - RFC 4954 section 6
            # The operator's fault, not the sender's: the message waits for a better password.
            raise NotOpenedError(later(reply))
