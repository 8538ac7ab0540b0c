"""
LMTP: what SMTP is between a mail system and the store behind it, with a reply for each recipient. RFC 2033.

Nobody is known here by a login, so nothing is relayed. It must not be served on port 25 (RFC 2033 section 5).
"""

import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailsuite.interfaces import IMailReceiver
from mailsuite.observe import EventLog
from mailsuite.smtp import grammar, replies
from mailsuite.smtp.content import Content
from mailsuite.smtp.factory import SMTPFactory
from mailsuite.smtp.framing import EndOfChunk, EndOfData
from mailsuite.smtp.replies import Reply
from mailsuite.smtp.server import SMTPServer
from mailsuite.smtp.session import Session
from mailsuite.smtp.settings import SMTPSettings
from mailsuite.smtp.verbs import VERBS, Answer, Verb

LMTP_BANNER = "LMTP"
NO_ANSWER = replies.OK.times(0)


def lhlo(session: Session, argument: bytes) -> Reply:
    """LHLO: as EHLO (RFC 2033 section 4.1)."""
    session.greet(grammar.parse_hostname(argument), esmtp=True)
    session.peer = attrs.evolve(session.peer, lmtp=True)
    return session.count_junk(Reply(250, "", (session.hostname, *session.announce())))


def hello_of_smtp(session: Session, _argument: bytes) -> Reply:
    """HELO and EHLO: so that who takes us for an SMTP server learns of it (RFC 2033 section 4.1)."""
    return session.count_junk(replies.LHLO_INSTEAD)


def help_(session: Session, _argument: bytes) -> Reply:
    """HELP: RFC 5321 section 4.1.1.8."""
    return session.count_junk(replies.LMTP_HELP)


LMTP_VERBS: Mapping[bytes, Verb] = {
    **VERBS,
    b"LHLO": lhlo,
    b"HELO": hello_of_smtp,
    b"EHLO": hello_of_smtp,
    b"HELP": help_,
}


class LMTPContent(Content):
    """Answers the end of content once for each recipient that was taken: RFC 2033 sections 4.2 and 4.3."""

    _recipients = 1

    def begin_data(self) -> None:
        """The peer was told to send (354)."""
        self._recipients = self.session.recipients
        super().begin_data()

    def begin_transaction(self) -> None:
        """The first chunk comes."""
        self._recipients = self.session.recipients
        super().begin_transaction()

    def end_data(self, end: EndOfData) -> Answer:
        """The end mark of DATA came."""
        return self._for_each(super().end_data(end))

    def end_chunk(self, end: EndOfChunk) -> Answer:
        """
        The octets of BDAT have come: only the last ones are answered for each recipient.

        Where none was taken they are not answered at all (RFC 2033 section 4.3): a client that has sent all in one
        piece would take an answer for that to its next command.
        """
        for_each = self.chunk.last and self.of_message
        answer = super().end_chunk(end)
        if self.chunk.last and answer is replies.RECIPIENT_FIRST:
            self.session.end_transaction()
            return NO_ANSWER
        return self._for_each(answer) if for_each else answer

    def _for_each(self, answer: Answer) -> Answer:
        return answer.times(self._recipients) if isinstance(answer, Reply) else self._wait(answer)

    async def _wait(self, answer: Coroutine[Deferred[Any], Any, Reply]) -> Reply:
        try:
            reply = await answer
        except Exception:  # noqa: BLE001 - the top of a verb: our bug is a temporary failure, for each recipient
            self.session.log.failure("smtp.session.failed", doing="commit")
            self.session.broken = True
            reply = replies.UNAVAILABLE
        return reply.times(self._recipients)


class LMTPServer(SMTPServer):
    """One connection that speaks LMTP."""

    verbs = LMTP_VERBS
    hellos = SMTPServer.hellos | {b"LHLO"}
    content_class = LMTPContent


class LMTPFactory(SMTPFactory):
    """
    Serves LMTP (RFC 2033): as `SMTPFactory`, for mail systems of our own.

    TLS is never demanded, since such a peer is on the same machine or in the same network, and neither AUTH nor a
    delay before the greeting are of any use to it.
    """

    protocol_class = LMTPServer

    def __init__(
        self,
        receiver: IMailReceiver,
        *,
        hostname: bytes = b"localhost",
        portal: Portal | None = None,
        settings: SMTPSettings = SMTPSettings(),  # noqa: B008 - frozen
        context_factory: object = None,
        reactor: IReactorTime | None = None,
        log: EventLog | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(
            receiver,
            hostname=hostname,
            portal=portal,
            settings=lmtp_settings(settings),
            context_factory=context_factory,
            reactor=reactor,
            log=log,
            jitter=jitter,
        )

    def reconfigure(self, settings: SMTPSettings) -> None:
        """Give new connections other settings; those that are open keep theirs."""
        super().reconfigure(lmtp_settings(settings))


def lmtp_settings(settings: SMTPSettings) -> SMTPSettings:
    """Make of the settings for strangers those for LMTP."""
    return attrs.evolve(settings, banner=LMTP_BANNER, require_tls=False, require_auth=False, greet_delay_seconds=0)
