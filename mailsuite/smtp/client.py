"""
Send one message to one host, and say what became of each recipient.

RFC 5321 section 3.3, pipelined where RFC 2920 allows it. An error after the reply to the final dot changes nothing.
"""

import base64
from collections.abc import Mapping, Sequence

import attrs
from twisted.internet import defer
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory

from mailsuite.envelope import Body, Envelope, Recipient
from mailsuite.errors import MailError
from mailsuite.smtp.dialogue import Dialogue, NoReplyError, ServerReply, TLSFailedError
from mailsuite.smtp.framing import ContentEncoder
from mailsuite.smtp.grammar import encode_path
from mailsuite.smtp.outcome import Content, Outcome, OutcomeState
from mailsuite.smtp.replies import clean
from mailsuite.smtp.settings import ClientSettings, TLSPolicy

RECIPIENTS_IN_FLIGHT = 100
"""As many RCPT commands are sent before their replies are read."""


class _GivenUpError(Exception):
    """Nothing more can be done for the recipients that have no outcome yet."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def deferred(enhanced: str, text: str) -> Outcome:
    """Make the outcome of an attempt that failed without a reply."""
    return Outcome(OutcomeState.DEFERRED, 0, enhanced, clean(text))


def outcome_of(reply: ServerReply, *, is_recipient: bool = False) -> Outcome:
    """
    Read a reply as an outcome.

    Args:
        is_recipient: it answers RCPT, where "too many recipients" is temporary: RFC 5321 section 4.5.3.1.10.
    """
    if 200 <= reply.code < 300:  # noqa: PLR2004 - RFC 5321 section 4.2.1
        state = OutcomeState.DELIVERED
    elif reply.code >= 500 and not (is_recipient and reply.enhanced == "5.5.3"):  # noqa: PLR2004 - likewise
        state = OutcomeState.FAILED
    else:
        state = OutcomeState.DEFERRED
    return Outcome(state, reply.code, reply.enhanced, reply.text)


async def send(
    endpoint: IStreamClientEndpoint,
    envelope: Envelope,
    content: Content,
    settings: ClientSettings,
    *,
    reactor: IReactorTime,
) -> Sequence[Outcome]:
    """
    Send a message to all recipients of `envelope`, on one new connection.

    Where TLS is opportunistic and its handshake fails, a second connection goes without.

    Args:
        endpoint: the host and port, already chosen.
        content: read at most once.
        reactor: the clock of the timeouts.

    Returns:
        One outcome for each recipient, in their order. No failure of the network or of the far side raises.
    """
    attempt = _Attempt(envelope, content, settings, reactor)
    try:
        await attempt.run(endpoint)
    except TLSFailedError as error:
        if settings.tls is TLSPolicy.OPPORTUNISTIC and not settings.implicit_tls:
            attempt = _Attempt(envelope, content, attrs.evolve(settings, tls=TLSPolicy.NONE), reactor)
            await attempt.run(endpoint)
        else:
            attempt.give_up(deferred("4.7.5", str(error)))
    return attempt.results()


class _Attempt:
    """One connection and what it brought."""

    def __init__(self, envelope: Envelope, content: Content, settings: ClientSettings, reactor: IReactorTime) -> None:
        self._envelope = envelope
        self._content = content
        self._settings = settings
        self._reactor = reactor
        self._outcomes: list[Outcome | None] = [None] * len(envelope.recipients)
        self._extensions: Mapping[str, str] = {}
        self._encrypted = settings.implicit_tls

    def results(self) -> Sequence[Outcome]:
        """Every recipient's outcome."""
        return [outcome or deferred("4.4.2", "not reached") for outcome in self._outcomes]

    def give_up(self, outcome: Outcome) -> None:
        """Give this outcome to all recipients that have none."""
        self._outcomes = [known or outcome for known in self._outcomes]

    async def run(self, endpoint: IStreamClientEndpoint) -> None:
        """
        Connect, send, leave.

        Raises:
            TLSFailedError: before anything of the message was said.
        """
        try:
            dialogue = await self._connect(endpoint)
        except _GivenUpError as error:
            self.give_up(error.outcome)
            return
        left_well = False
        try:
            await self._hello(dialogue)
            await self._send(dialogue)
            left_well = True
        except _GivenUpError as error:
            self.give_up(error.outcome)
            left_well = True
        except TLSFailedError:
            raise
        except NoReplyError as error:
            self.give_up(deferred("4.4.2", str(error)))
        except defer.TimeoutError:
            self.give_up(deferred("4.4.2", "the host did not answer in time"))
        except MailError as error:
            self.give_up(deferred("4.3.0", error.detail))
        except OSError:
            self.give_up(deferred("4.3.0", "the message could not be read"))
        finally:
            # Without a final dot the far side must not take what it has for the whole: no QUIT then, just the end.
            if left_well:
                dialogue.leave(self._settings.quit_seconds)
            else:
                dialogue.abort()

    async def _connect(self, endpoint: IStreamClientEndpoint) -> Dialogue:
        factory = Factory.forProtocol(lambda: Dialogue(self._reactor))
        factory.noisy = False
        try:
            connecting = endpoint.connect(factory)
            protocol = await connecting.addTimeout(self._settings.connect_seconds, self._reactor)
        except (
            ConnectError,
            ConnectingCancelledError,
            DNSLookupError,
            defer.TimeoutError,
            OSError,
            ValueError,
        ) as error:
            raise _GivenUpError(deferred("4.4.1", f"cannot connect: {type(error).__name__}")) from error
        assert isinstance(protocol, Dialogue)
        return protocol

    async def _command(self, dialogue: Dialogue, line: bytes, seconds: float = 0) -> ServerReply:
        dialogue.write(line + b"\r\n")
        return self._unless_closing(await dialogue.reply(seconds or self._settings.command_seconds))

    @staticmethod
    def _unless_closing(reply: ServerReply) -> ServerReply:
        if reply.code == 421:  # noqa: PLR2004 - RFC 5321 section 3.8: the host closes the connection
            raise _GivenUpError(outcome_of(reply))
        return reply

    # Before MAIL.

    async def _hello(self, dialogue: Dialogue) -> None:
        settings = self._settings
        greeting = await dialogue.reply(settings.greeting_seconds)
        if greeting.code != 220:  # noqa: PLR2004 - RFC 5321 section 3.1
            # Whether for good or for now: another host of this domain may say something else.
            raise _GivenUpError(attrs.evolve(outcome_of(greeting), state=OutcomeState.DEFERRED))
        await self._ehlo(dialogue)
        if settings.tls is not TLSPolicy.NONE and not self._encrypted:
            await self._start_tls(dialogue)
        if settings.username:
            await self._log_in(dialogue)

    async def _ehlo(self, dialogue: Dialogue) -> None:
        reply = await self._command(dialogue, b"EHLO " + self._settings.hostname)
        if reply.code == 250:  # noqa: PLR2004 - RFC 5321 section 4.1.1.1
            words = (line.partition(" ") for line in reply.lines[1:])
            self._extensions = {keyword.upper(): value for keyword, _, value in words}
            return
        self._extensions = {}
        if reply.code >= 500:  # noqa: PLR2004 - an old server: RFC 5321 section 3.2
            reply = await self._command(dialogue, b"HELO " + self._settings.hostname)
        if reply.code != 250:  # noqa: PLR2004 - RFC 5321 section 4.1.1.1
            raise _GivenUpError(attrs.evolve(outcome_of(reply), state=OutcomeState.DEFERRED))

    async def _start_tls(self, dialogue: Dialogue) -> None:
        required = self._settings.tls is TLSPolicy.REQUIRE
        if "STARTTLS" not in self._extensions:
            if required:
                raise _GivenUpError(deferred("4.7.4", "TLS is required and the host does not offer it"))
            return
        reply = await self._command(dialogue, b"STARTTLS")
        if reply.code != 220:  # noqa: PLR2004 - RFC 3207 section 4
            if required:
                raise _GivenUpError(attrs.evolve(outcome_of(reply), state=OutcomeState.DEFERRED))
            return
        await dialogue.start_tls(self._settings.tls_creator or _any_certificate(), self._settings.command_seconds)
        self._encrypted = True
        await self._ehlo(dialogue)

    async def _log_in(self, dialogue: Dialogue) -> None:
        settings = self._settings
        if not self._encrypted and not settings.allow_cleartext:
            raise _GivenUpError(deferred("4.7.11", "no password is sent without TLS"))
        mechanisms = self._extensions.get("AUTH", "").upper().split()
        if "PLAIN" in mechanisms:
            response = base64.b64encode(b"\0" + settings.username + b"\0" + settings.password)
            reply = await self._command(dialogue, b"AUTH PLAIN " + response)
        elif "LOGIN" in mechanisms:
            reply = await self._command(dialogue, b"AUTH LOGIN")
            for answer in (settings.username, settings.password):
                if reply.code != 334:  # noqa: PLR2004 - RFC 4954 section 4
                    break
                reply = await self._command(dialogue, base64.b64encode(answer))
        else:
            raise _GivenUpError(deferred("4.7.0", "the host offers no login that we know"))
        if reply.code != 235:  # noqa: PLR2004 - RFC 4954 section 6
            # The operator's fault, not the sender's: the message waits for a better password.
            raise _GivenUpError(attrs.evolve(outcome_of(reply), state=OutcomeState.DEFERRED))

    # The transaction.

    async def _send(self, dialogue: Dialogue) -> None:
        accepted = await self._envelope_commands(dialogue)
        if not accepted:
            return
        reply = await self._command(dialogue, b"DATA", self._settings.data_seconds)
        if reply.code != 354:  # noqa: PLR2004 - RFC 5321 section 4.1.1.4
            outcome = outcome_of(reply)
            if outcome.state is OutcomeState.DELIVERED:
                outcome = attrs.evolve(outcome, state=OutcomeState.DEFERRED)
            raise _GivenUpError(outcome)
        encoder = ContentEncoder()
        while octets := await self._content.read():
            dialogue.write(encoder.encode(octets))
            await dialogue.writable(self._settings.content_seconds)
        dialogue.write(encoder.finish())
        outcome = outcome_of(await dialogue.reply(self._settings.end_of_data_seconds))
        for index in accepted:
            self._outcomes[index] = outcome

    async def _envelope_commands(self, dialogue: Dialogue) -> list[int]:
        """Say MAIL and RCPT; give the places of the recipients that were accepted."""
        utf8 = self._needs_smtputf8()
        sendable = [
            (index, recipient)
            for index, recipient in enumerate(self._envelope.recipients)
            if self._can_be_named(index, recipient)
        ]
        if not sendable:
            return []
        window = RECIPIENTS_IN_FLIGHT if "PIPELINING" in self._extensions else 1
        lines = self._mail_line(smtputf8=utf8)
        if window == 1:
            dialogue.write(lines)
            await self._take_mail_reply(dialogue)
            lines = b""
        for start in range(0, len(sendable), window):
            group = sendable[start : start + window]
            dialogue.write(lines + b"".join(self._rcpt_line(recipient) for _, recipient in group))
            if lines:
                await self._take_mail_reply(dialogue)
                lines = b""
            for index, _ in group:
                await self._take_rcpt_reply(dialogue, index)
        return [index for index, _ in sendable if self._outcomes[index] is None]

    async def _take_mail_reply(self, dialogue: Dialogue) -> None:
        reply = self._unless_closing(await dialogue.reply(self._settings.command_seconds))
        outcome = outcome_of(reply)
        if outcome.state is not OutcomeState.DELIVERED:
            raise _GivenUpError(outcome)

    async def _take_rcpt_reply(self, dialogue: Dialogue, index: int) -> None:
        """Note the outcome of a refused recipient; an accepted one has none yet."""
        reply = self._unless_closing(await dialogue.reply(self._settings.command_seconds))
        outcome = outcome_of(reply, is_recipient=True)
        if outcome.state is not OutcomeState.DELIVERED:
            self._outcomes[index] = outcome

    @staticmethod
    def _rcpt_line(recipient: Recipient) -> bytes:
        return b"RCPT TO:" + encode_path(recipient.path) + b"\r\n"

    def _mail_line(self, *, smtputf8: bool) -> bytes:
        sender = self._envelope.sender
        try:
            words = [b"MAIL FROM:" + encode_path(sender.path)]
        except MailError as error:
            raise _GivenUpError(Outcome(OutcomeState.FAILED, 0, "5.1.7", error.detail)) from error
        if "SIZE" in self._extensions:
            words.append(b"SIZE=%d" % self._content.size)
        if sender.body is Body.EIGHT_BIT_MIME:
            if "8BITMIME" not in self._extensions:
                # RFC 6152 section 3: convert it or give it back; RFC 3463 section 3.7 has the status for the latter.
                raise _GivenUpError(Outcome(OutcomeState.FAILED, 0, "5.6.3", "the host does not take 8-bit mail"))
            words.append(b"BODY=8BITMIME")
        if smtputf8:
            words.append(b"SMTPUTF8")
        return b" ".join(words) + b"\r\n"

    def _needs_smtputf8(self) -> bool:
        """
        Say whether MAIL gets the parameter.

        Raises:
            _GivenUpError: it is needed and the host does not know it: RFC 6531 section 3.5.
        """
        sender = self._envelope.sender
        addresses = [recipient.path for recipient in self._envelope.recipients]
        for_all = sender.smtputf8 or (sender.path is not None and not sender.path.is_ascii)
        if "SMTPUTF8" in self._extensions:
            return for_all or not all(address.is_ascii for address in addresses)
        if for_all:
            raise _GivenUpError(
                Outcome(OutcomeState.FAILED, 0, "5.6.7", "the host does not take internationalized mail")
            )
        return False

    def _can_be_named(self, index: int, recipient: Recipient) -> bool:
        """Say whether this host can be told the address; otherwise note the outcome."""
        try:
            encode_path(recipient.path)
        except MailError as error:
            self._outcomes[index] = Outcome(OutcomeState.FAILED, 0, "5.1.3", error.detail)
            return False
        if recipient.path.is_ascii or "SMTPUTF8" in self._extensions:
            return True
        text = "the host does not take internationalized addresses"
        self._outcomes[index] = Outcome(OutcomeState.FAILED, 0, "5.6.7", text)
        return False


def _any_certificate() -> IOpenSSLClientConnectionCreator:
    """TLS against listeners only: a certificate that nobody checks is still better than none (RFC 7435)."""
    from OpenSSL import SSL
    from twisted.internet.ssl import CertificateOptions, TLSVersion
    from zope.interface import implementer

    context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()

    @implementer(IOpenSSLClientConnectionCreator)
    class AnyCertificate:
        """Takes whatever certificate the host has."""

        @staticmethod
        def clientConnectionForTLS(_tls_protocol: object) -> SSL.Connection:
            """Make the client's side of a connection."""
            return SSL.Connection(context, None)

    return AnyCertificate()
