"""
One mail transaction of a client: MAIL, RCPT, and the content by DATA or BDAT.

RFC 5321 section 3.3; in as few round trips as RFC 2920 and RFC 3030 allow. An error after the reply to the content
changes nothing, and a connection that ends before that reply defers: the host may have the message.
"""

from collections.abc import Iterator, Sequence

import attrs
from twisted.internet import defer

from mailsuite.envelope import Body, Recipient
from mailsuite.errors import MailError
from mailsuite.smtp.chunks import LineEnds, Verbatim, encode_chunk
from mailsuite.smtp.dialogue import Dialogue, NoReplyError, ServerReply
from mailsuite.smtp.envelope_commands import encode_rcpt
from mailsuite.smtp.framing import ContentEncoder
from mailsuite.smtp.offered import Offered
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.smtp.outgoing import Outgoing
from mailsuite.smtp.results import Results, deferred, is_too_many, later, outcome_of
from mailsuite.smtp.settings import ClientSettings

RECIPIENTS_IN_FLIGHT = 100
"""As many RCPT commands are sent before their replies are read."""

CHUNKS_IN_FLIGHT = 4
"""As many chunks are sent before the reply to the first is read."""

AT_ONCE_OCTETS = 64 * 1024
"""A message up to this size goes out together with its envelope where the host knows BDAT."""

NO_SUCH_COMMAND = frozenset({500, 502})  # RFC 5321 section 4.2.4

_Place = tuple[int, Recipient]


class _EndedError(Exception):
    """The transaction is over, and so is the connection; the results are known."""


class Transaction:
    """
    Sends a message to some recipients, once.

    Args:
        mail: the MAIL command.
        recipients: each with its place in `results`.
        reset: something is left of the transaction before; RSET ends it (RFC 5321 section 4.1.1.5).
        reused: the connection carried a message before, so that its end before MAIL was taken says nothing of the host.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        offered: Offered,
        settings: ClientSettings,
        outgoing: Outgoing,
        mail: bytes,
        recipients: Sequence[_Place],
        results: Results,
        *,
        smtputf8: bool,
        reset: bool,
        reused: bool,
    ) -> None:
        self._dialogue = dialogue
        self._offered = offered
        self._settings = settings
        self._outgoing = outgoing
        self._mail = mail
        self._recipients = recipients
        self._results = results
        self._smtputf8 = smtputf8
        self._reset = reset
        self._reused = reused
        self._begun = False  # MAIL was taken
        self._pending = False  # the host may have all of the message, and has not said so
        self._accepted: list[int] = []
        self._no_room: Outcome | None = None
        self.too_many: list[_Place] = []
        """Recipients that fit into another transaction."""
        self.dirty = False
        """Something is left of it: RSET before the next."""

    @property
    def _places(self) -> Iterator[int]:
        return (place for place, _ in self._recipients)

    async def run(self) -> bool:
        """
        Do it; what came of it is in the results.

        Returns:
            Whether the connection can go on.
        """
        try:
            await self._envelope()
        except _EndedError:
            return False
        except NoReplyError as error:
            self._lose(deferred("4.4.2", str(error)), closed=True)
        except defer.TimeoutError:
            self._lose(deferred("4.4.2", "the host did not answer in time"))
        except MailError as error:
            self._results.settle(self._places, deferred("4.3.0", error.detail))
        except OSError:
            self._results.settle(self._places, deferred("4.3.0", "the message could not be read"))
        else:
            return True
        return False

    def _lose(self, outcome: Outcome, *, closed: bool = False) -> None:
        """Give the outcome to all that have none, unless a new connection is to be tried."""
        if closed and self._reused and not self._begun and not self._pending:
            return  # it was dead before; nothing was said
        self._results.settle(self._places, outcome, elsewhere=not self._pending)

    # replies

    async def _reply(self, seconds: float = 0) -> ServerReply:
        reply = await self._dialogue.reply(seconds or self._settings.command_seconds)
        if reply.code == 421:  # noqa: PLR2004 - RFC 5321 section 3.8: the host closes the connection
            if not self._accepted:
                self._pending = False
            self._lose(outcome_of(reply), closed=True)
            raise _EndedError
        return reply

    # the envelope

    async def _envelope(self) -> None:
        if not (await self._pipelined() if self._offered.pipelining else await self._in_turn()):
            return
        if not self._accepted:
            self.dirty = True
            self._finish(None)
            return
        self._dialogue.ensure_quiet()
        if self._offered.chunking:
            await self._chunks()
        else:
            self._dialogue.write(b"DATA\r\n")
            await self._data()

    async def _in_turn(self) -> bool:
        """Say the commands one after the other; give whether the content is to be sent."""
        if self._reset:
            self._dialogue.ensure_quiet()
            self._dialogue.write(b"RSET\r\n")
            await self._take_reset()
        self._dialogue.ensure_quiet()
        self._dialogue.write(self._mail)
        if not await self._take_mail():
            return False
        for place, recipient in self._recipients:
            self._dialogue.ensure_quiet()
            self._dialogue.write(encode_rcpt(recipient, self._offered, smtputf8=self._smtputf8))
            await self._take_rcpt(place, recipient)
        return True

    async def _pipelined(self) -> bool:
        """Say as many commands at once as may be; give whether the content is still to be sent."""
        ahead = b"RSET\r\n" * self._reset + self._mail
        content = b""
        for start in range(0, len(self._recipients), RECIPIENTS_IN_FLIGHT):
            group = self._recipients[start : start + RECIPIENTS_IN_FLIGHT]
            self._dialogue.ensure_quiet()
            if start + RECIPIENTS_IN_FLIGHT >= len(self._recipients):
                content = self._content_ahead()
            lines = (encode_rcpt(recipient, self._offered, smtputf8=self._smtputf8) for _, recipient in group)
            self._dialogue.write(b"".join((ahead, *lines, content)))
            if start == 0 and not await self._take_beginning(len(group), content):
                return False
            ahead = b""
            for place, recipient in group:
                await self._take_rcpt(place, recipient)
        if content:
            await self._take_content_reply(content)
        return not content

    async def _take_beginning(self, count: int, content: bytes) -> bool:
        """Read the replies to RSET and MAIL, and when the latter was refused, those to all that was sent behind it."""
        if self._reset:
            await self._take_reset()
        if await self._take_mail():
            return True
        for _ in range(count):
            await self._reply()
        await self._take_unwanted(content)
        return False

    async def _take_content_reply(self, content: bytes) -> None:
        """Go on with what was sent behind the recipients."""
        if not self._accepted:
            self.dirty = True
            await self._take_unwanted(content)
            self._finish(None)
        elif content.startswith(b"DATA"):
            await self._data()
        else:
            self._finish_chunks(await self._reply(self._settings.end_of_data_seconds))

    async def _take_reset(self) -> None:
        reply = await self._reply()
        if reply.code != 250:  # noqa: PLR2004 - RFC 5321 section 4.1.1.5 knows no other
            raise NoReplyError("the host did not take RSET")

    async def _take_mail(self) -> bool:
        """Read the reply to MAIL; a refusal is for all."""
        outcome = outcome_of(await self._reply())
        if outcome.state is OutcomeState.DELIVERED:
            self._begun = True
            return True
        self._results.refuse(self._places, outcome)
        return False

    async def _take_rcpt(self, place: int, recipient: Recipient) -> None:
        reply = await self._reply()
        outcome = outcome_of(reply)
        if is_too_many(reply):
            self.too_many.append((place, recipient))
            self._no_room = later(reply)
        elif outcome.state is OutcomeState.DELIVERED:
            self._accepted.append(place)
        else:
            self._results.refuse([place], outcome)

    # the content

    def _content_ahead(self) -> bytes:
        """Give what may follow RCPT in the same write: RFC 2920 section 3.1, RFC 3030 section 4.2."""
        if not self._offered.chunking:
            return b"DATA\r\n"
        if not self._outgoing.whole or self._outgoing.size_octets > AT_ONCE_OCTETS:
            return b""
        self._pending = True
        encoder = self._encoder()
        return encode_chunk(encoder.encode(self._outgoing.first) + encoder.finish(), last=True)

    def _encoder(self) -> LineEnds | Verbatim:
        return Verbatim() if self._outgoing.body is Body.BINARY_MIME else LineEnds()

    async def _take_unwanted(self, content: bytes) -> None:
        """Nobody was accepted; a host that wants the content all the same gets none: RFC 2920 section 3.1."""
        if not content:
            return
        reply = await self._reply(self._settings.data_seconds)
        self._pending = False
        if content.startswith(b"DATA"):
            if reply.code == 354:  # noqa: PLR2004 - RFC 5321 section 4.1.1.4
                self._dialogue.ensure_quiet()
                self._dialogue.write(b".\r\n")
                await self._reply(self._settings.end_of_data_seconds)
        elif reply.code < 400:  # noqa: PLR2004 - without a recipient, no host can have taken it
            raise NoReplyError("the host took a message for nobody")
        elif reply.code in NO_SUCH_COMMAND:
            raise NoReplyError("the host offered CHUNKING and does not know BDAT")

    async def _data(self) -> None:
        reply = await self._reply(self._settings.data_seconds)
        if reply.code != 354:  # noqa: PLR2004 - RFC 5321 section 4.1.1.4
            self._refuse_content(reply)
            return
        encoder = ContentEncoder()
        content = self._outgoing.content()
        while octets := await content.read():
            self._end_early()
            self._dialogue.ensure_quiet()
            self._dialogue.write(encoder.encode(octets))
            await self._passed_on()
        self._end_early()
        self._dialogue.ensure_quiet()
        self._pending = True
        self._dialogue.write(encoder.finish())
        self._finish(await self._reply(self._settings.end_of_data_seconds))

    async def _passed_on(self) -> None:
        """Wait until there is room for more, unless the host has made up its mind."""
        try:
            await self._dialogue.writable(self._settings.content_seconds)
        finally:
            self._end_early()

    def _end_early(self) -> None:
        """
        Take an answer that came before the end of the content, after which nothing more is sent.

        Raises:
            NoReplyError: it cannot be one.
            _EndedError: it was one.
        """
        reply = self._dialogue.early_reply()
        if reply is None:
            return
        outcome = outcome_of(reply)
        if outcome.state is OutcomeState.DELIVERED:
            raise NoReplyError("the host took a message before its end")
        self._results.refuse(self._places, outcome)
        raise _EndedError

    async def _chunks(self) -> None:
        encoder = self._encoder()
        waiting = 0
        window = CHUNKS_IN_FLIGHT if self._offered.pipelining else 1
        content = self._outgoing.content()
        held = await content.read()
        while following := await content.read():
            self._dialogue.ensure_replies(waiting)
            self._dialogue.write(encode_chunk(encoder.encode(held), last=False))
            held = following
            waiting += 1
            await self._dialogue.writable(self._settings.content_seconds)
            if waiting >= window:
                await self._take_chunk()
                waiting -= 1
        self._dialogue.ensure_replies(waiting)
        self._pending = True
        self._dialogue.write(encode_chunk(encoder.encode(held) + encoder.finish(), last=True))
        for _ in range(waiting):
            await self._take_chunk()
        self._finish_chunks(await self._reply(self._settings.end_of_data_seconds))

    async def _take_chunk(self) -> None:
        reply = await self._reply(self._settings.content_seconds)
        if not 200 <= reply.code < 300:  # noqa: PLR2004 - RFC 5321 section 4.2.1
            self._pending = False  # RFC 3030 section 2: after a failure, all of it has failed
            self._refuse_chunks(reply)
            raise _EndedError

    def _finish_chunks(self, reply: ServerReply) -> None:
        self._pending = False
        if 200 <= reply.code < 300:  # noqa: PLR2004 - RFC 5321 section 4.2.1
            self._finish(reply)
            return
        self._refuse_chunks(reply)

    def _refuse_chunks(self, reply: ServerReply) -> None:
        if reply.code in NO_SUCH_COMMAND:
            # It offered CHUNKING and does not know BDAT; it may have read the content as commands.
            self._results.without_chunking = True
            raise _EndedError
        self.dirty = True
        self._refuse_content(reply)

    def _refuse_content(self, reply: ServerReply) -> None:
        outcome = outcome_of(reply)
        self.dirty = True
        if outcome.state is not OutcomeState.DELIVERED:
            self._finish(outcome)
            return
        self._results.refuse(self._accepted, attrs.evolve(outcome, state=OutcomeState.DEFERRED))
        raise _EndedError

    def _finish(self, answer: ServerReply | Outcome | None) -> None:
        """Note what the host said to the content; None when it got none."""
        self._pending = False
        if isinstance(answer, ServerReply):
            answer = outcome_of(answer)
        if answer is not None:
            outcome = answer
            if outcome.state is OutcomeState.DELIVERED and self._offered.dsn:
                outcome = attrs.evolve(outcome, dsn=True)
            self._results.refuse(self._accepted, outcome)
        if self._no_room is not None and not self._accepted:
            # Not even one had room: this is no question of their number.
            self._results.refuse((place for place, _ in self.too_many), self._no_room)
            self.too_many = []
