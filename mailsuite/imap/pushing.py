"""What happens while no command runs, told as it happens: within IDLE, and where NOTIFY asked for it."""

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from mailsuite.errors import Kind, MailError
from mailsuite.imap import responses
from mailsuite.imap.session import ConnectionGone, Session
from mailsuite.observe import background

if TYPE_CHECKING:
    from mailsuite.imap.server import IMAPServer


class Pushing:
    """
    Tells one client, between its commands.

    Args:
        server: its connection.

    Attributes:
        is_on: something may be told now.
    """

    __slots__ = ("_busy", "_ends", "_look", "_server", "_told", "is_on")

    def __init__(self, server: "IMAPServer") -> None:
        self._server = server
        self.is_on = False
        self._busy = False
        self._ends: Deferred[None] | None = None
        self._look: IDelayedCall | None = None
        self._told = 0.0

    def begin(self) -> None:
        """Tell from now on what happens; also what has happened and was not told."""
        if self.is_on:
            return
        server = self._server
        session = server.session
        self.is_on = True
        self._told = server.clock.seconds()
        self._look = server.clock.callLater(server.settings.idle_look_seconds, self._look_again)
        if session.selected is not None:
            session.selected.on_change = self.announce
            session.selected.watch()
        if session.has_news:
            self.announce()  # of that, no further notice will come

    def stop(self) -> None:
        """Begin to tell nothing any more."""
        if self.is_on:
            self.is_on = False
            selected = self._server.session.selected
            if selected is not None:
                selected.on_change = None
        look, self._look = self._look, None
        if look is not None and look.active():
            look.cancel()

    async def told(self) -> None:
        """Wait until what is being told is told."""
        if self._ends is not None:
            await self._ends

    def _look_again(self) -> None:
        """Look for changes without a notice, and now and then say that we are here."""
        server = self._server
        now = server.clock.seconds()
        if now - self._told >= server.settings.idle_announce_seconds and not server.is_full:
            self._told = now
            server.write(responses.untagged(responses.OK, "still here"))
            server.flush()
        self._look = server.clock.callLater(server.settings.idle_look_seconds, self._look_again)
        self.announce()

    def announce(self) -> None:
        """Tell what is to be told, unless that is being done."""
        if not self.is_on or self._busy or self._server.is_full:
            return
        self._busy = True
        ends = background(self._announce(), self._server.log, "announcement of changes")
        if self._busy:
            self._ends = ends

    async def _announce(self) -> None:
        server = self._server
        session = server.session
        try:
            while self.is_on and not server.is_full:
                await _tell(session)
                server.flush()
                if not session.is_behind:
                    return
        except ConnectionGone:
            pass
        except MailError as error:
            if error.kind is Kind.NOT_FOUND and not server.is_closing:
                server.write(responses.bye("the selected mailbox was deleted"))
                server.hang_up()
            # Anything else may have passed when the mailbox is looked at again.
        finally:
            self._busy = False
            self._ends = None


async def _tell(session: Session) -> None:
    idling = session.idling is not None
    if session.watching is not None:
        await session.watching.announce(idling=idling)
        return
    selected, connection = session.selected, session.connection
    if selected is not None:
        await selected.synchronise(always=not selected.is_behind)
        if connection.pushing and session.selected is selected:
            connection.write(selected.notices(expunge=True))
            code = selected.take_modseq_code()
            if code:
                connection.write(responses.untagged(responses.OK, "highest MODSEQ", code))
    await session.tell_annotations(pushing=True)
