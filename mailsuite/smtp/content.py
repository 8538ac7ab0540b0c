"""
The content of a message on its way from the peer to the receiver, by DATA or by BDAT.

Whatever becomes of it, the octets that the peer announced are read to their end: they must never pass for commands.
RFC 5321 section 4.1.1.4, RFC 3030.
"""

from collections.abc import Awaitable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailsuite.envelope import Body
from mailsuite.errors import MailError
from mailsuite.smtp import replies
from mailsuite.smtp.deadline import ContentPace
from mailsuite.smtp.framing import EndOfChunk, EndOfData, Framer
from mailsuite.smtp.grammar import Chunk, parse_bdat
from mailsuite.smtp.replies import BadCommandError, Refused, Reply
from mailsuite.smtp.session import Session
from mailsuite.smtp.verbs import Answer, commit

CHUNK_PATIENCE = 10
"""A chunk is read to its end and answered unless it is so many times as long as the longest message."""
SMALL_CHUNK_OCTETS = 1024
"""Who sends many chunks of less than this and no message wants something else."""


async def _waited(awaitable: Awaitable[None]) -> None:
    await awaitable


class Content:
    """
    What one connection does with content.

    Args:
        framer: told when content begins.

    Attributes:
        pace: how fast the message comes in.
        chunk: what BDAT announced last.
    """

    def __init__(self, session: Session, framer: Framer) -> None:
        self.session = session
        self.pace = ContentPace(session.settings, session.clock)
        self._framer = framer
        self.chunk = Chunk(0, last=False)
        self._chunk_refusal: Reply | None = None  # of this chunk, which belongs to no message

    @property
    def of_message(self) -> bool:
        """Whether the chunk that has come belongs to a message, refused or not."""
        return self._chunk_refusal is None or self.session.refusal is not None

    def begin_data(self) -> None:
        """The peer was told to send (354)."""
        self._framer.begin_data()
        self.pace.begin()

    def begin_chunk(self, argument: bytes) -> None:
        """
        BDAT was said (RFC 3030 section 2); the time for a message runs from its first chunk to its last.

        Raises:
            BadCommandError: nobody knows where the next command begins, so the connection has to end.
        """
        session = self.session
        chunk = parse_bdat(argument)
        if chunk.octets > CHUNK_PATIENCE * session.settings.message_max_octets:
            raise BadCommandError(replies.CHUNK_TOO_LARGE)
        self.chunk = chunk
        refused = self._chunk_refusal = session.check_bdat()
        first = refused is None and not session.in_chunks
        if first:
            session.in_chunks = True
            self.begin_transaction()
        if first or refused is not None:
            self.pace.begin()
        if self.pace.received_octets + chunk.octets > session.settings.message_max_octets:
            self.refuse(replies.TOO_LARGE)
        self._framer.begin_chunk(chunk.octets, first=first, last=chunk.last)

    def begin_transaction(self) -> None:
        """Tell the receiver that content follows."""
        transaction = self.session.transaction
        assert transaction is not None  # check_bdat saw to it
        try:
            transaction.begin_data()
        except Exception:  # noqa: BLE001 - whatever the receiver raises, the chunk is answered at its end
            self._write_failed(Failure())

    def take(self, octets: bytes) -> Deferred[None] | None:
        """
        Give octets to the receiver.

        Returns:
            What to wait for before the next ones; it never fails.
        """
        self.pace.received_octets += len(octets)
        transaction = self.session.transaction
        if transaction is None or self._chunk_refusal is not None:  # read on to the end and answer there
            return None
        if self.pace.received_octets > self.session.settings.message_max_octets:
            self.refuse(replies.TOO_LARGE)
            return None
        try:
            waiting = transaction.write(octets)
        except Exception:  # noqa: BLE001 - whatever the receiver raises, the message is answered at its end
            self._write_failed(Failure())
            return None
        if waiting is None:
            return None
        running = waiting if isinstance(waiting, Deferred) else Deferred.fromCoroutine(_waited(waiting))
        return running.addErrback(self._write_failed)

    def _write_failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, (MailError, Refused)):
            self.refuse(replies.reply_to(error))
        else:
            self.session.log.failure("smtp.session.failed", failure, doing="content")
            self.refuse(replies.UNAVAILABLE)

    def refuse(self, reply: Reply) -> None:
        """Forget the message; what is left of it is read over, and this is the answer."""
        session = self.session
        if self._chunk_refusal is None and session.refusal is None:
            session.end_transaction()
            session.refusal = reply

    def end_data(self, end: EndOfData) -> Answer:
        """The end mark of DATA came: commit the message or say why not."""
        refusal = self.session.refusal or self._fault_of(end)
        if refusal is None:
            return commit(self.session)
        self._tell_refused(refusal)
        self.session.end_transaction()
        return refusal

    def end_chunk(self, end: EndOfChunk) -> Answer:
        """
        The octets of BDAT have come: answer them, and with the last ones commit the message.

        Every chunk behind a refused one has the same answer, until the last one or RSET (RFC 3030 section 2).
        """
        session, chunk = self.session, self.chunk
        refusal, self._chunk_refusal = self._chunk_refusal, None
        if refusal is not None:
            refusal = session.count_junk(refusal)
        else:
            refusal = session.refusal or self._fault_of(end)
            if refusal is not None:
                self._tell_refused(refusal)
                self.refuse(refusal)
        if refusal is not None:
            if chunk.last:
                session.refusal = None
            return refusal
        if chunk.last:
            return commit(session)
        reply = replies.OK.saying(f"{chunk.octets} octets taken")
        return reply if chunk.octets >= SMALL_CHUNK_OCTETS else session.count_junk(reply)

    def _fault_of(self, end: EndOfData | EndOfChunk) -> Reply | None:
        """Say what is wrong with the octets; nothing ever is in BINARYMIME, which its receiver agreed to."""
        sender = self.session.sender
        if sender is not None and sender.body is Body.BINARY_MIME:
            return None
        if end.bare_newline:
            return replies.BARE_NEWLINE
        return replies.NUL_IN_CONTENT if end.nul else None

    def _tell_refused(self, reply: Reply) -> None:
        self.session.messages += 1
        self.session.tell_refused(reply)
