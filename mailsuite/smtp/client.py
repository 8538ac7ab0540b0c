"""
Send one message to one host, and say what became of each recipient.

`send` does it on a connection of its own; `send_over` on connections that somebody keeps.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mailsuite.envelope import Envelope
from mailsuite.smtp.connection import Connection, no_tls, without_chunking
from mailsuite.smtp.envelope_commands import requires_tls
from mailsuite.smtp.opening import NotOpenedError, open_connection
from mailsuite.smtp.outcome import Content, Outcome
from mailsuite.smtp.outgoing import Conversions
from mailsuite.smtp.results import Results, deferred
from mailsuite.smtp.settings import ClientSettings

NOT_REACHED = deferred("4.4.2", "not reached")


class Connections(Protocol):
    """Where connections to one host come from, and what becomes of them."""

    async def take(self, *, chunking: bool) -> Connection:
        """
        Give a connection that is ready, for one message.

        Args:
            chunking: False for a new one that uses no BDAT.

        Raises:
            NotOpenedError: there is none.
        """
        ...

    def give_back(self, connection: Connection) -> None:
        """Take it back after that message, whatever state it is in."""
        ...


async def send(
    endpoint: IStreamClientEndpoint,
    envelope: Envelope,
    open_content: Callable[[], Content],
    settings: ClientSettings,
    *,
    reactor: IReactorTime,
) -> Sequence[Outcome]:
    """
    Send a message to all recipients of `envelope`, on a new connection.

    Args:
        endpoint: the host and port, already chosen.
        open_content: gives the octets from their beginning each time.
        reactor: the clock of the timeouts; with threads, large messages are converted in one.

    Returns:
        One outcome for each recipient, in their order. No failure of the network or of the far side raises.
    """
    results = Results(len(envelope.recipients))
    connections = _New(endpoint, settings, reactor)
    await send_over(connections, envelope, open_content, results, Conversions(reactor))
    return [outcome or NOT_REACHED for outcome in results.outcomes]


class _New:
    """A new connection each time."""

    def __init__(self, endpoint: IStreamClientEndpoint, settings: ClientSettings, reactor: IReactorTime) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._reactor = reactor

    async def take(self, *, chunking: bool) -> Connection:
        """Open one."""
        settings = self._settings if chunking else without_chunking(self._settings)
        return await open_connection(self._endpoint, settings, reactor=self._reactor)

    @staticmethod
    def give_back(connection: Connection) -> None:
        """Nobody else wants it."""
        connection.leave()


async def send_over(
    connections: Connections,
    envelope: Envelope,
    open_content: Callable[[], Content],
    results: Results,
    conversions: Conversions,
) -> None:
    """
    Send a message to the recipients that have no outcome yet, to one host.

    A connection that was kept and is dead gives way to another one; and hosts may limit what one connection carries.
    Each new connection brings at least one recipient an outcome, so this ends.
    """
    chunking = True
    while unsent := results.unsent:
        try:
            connection = await connections.take(chunking=chunking)
        except NotOpenedError as error:
            never = error.lacks_tls and requires_tls(envelope.sender)
            results.settle(unsent, no_tls(error.outcome.text) if never else error.outcome, elsewhere=True)
            return
        is_new = connection.messages == 0
        try:
            await connection.send(envelope, open_content, results, conversions, unsent)
        finally:
            connections.give_back(connection)
        if results.without_chunking and chunking:
            chunking = False
        elif is_new and len(results.unsent) == len(unsent):
            results.settle(unsent, NOT_REACHED, elsewhere=True)
