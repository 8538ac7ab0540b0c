"""A TCP transport that sends at once what the system takes at once, without a turn of the reactor in between."""

from typing import TypeVar

from twisted.internet import tcp
from twisted.internet.interfaces import IListeningPort

Port = TypeVar("Port", bound=IListeningPort)


class PromptServer(tcp.Server):
    """
    Twisted's transport of an accepted connection, which puts every write off to the reactor's next turn, but prompt.

    A small reply then costs one system call in place of four. What the system does not take is left to Twisted, and so
    is everything whose order or end Twisted decides: what follows octets that wait already, writes of a pull producer,
    TLS after STARTTLS, writes to a connection that is being closed, and the report that it is lost.
    """

    def write(self, data: bytes) -> None:
        """Send now what can be sent now; the rest follows as ever."""
        if (
            data
            and self.connected
            and not (self._tempDataBuffer or self.dataBuffer)
            and (self.producer is None or self.streamingProducer)
            and not (self.TLS or self.disconnecting or self._writeDisconnecting or self._aborting)
        ):
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # it takes nothing, or is lost: the reactor finds out which
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
        super().write(data)  # type: ignore[no-untyped-call]  # Twisted's is not annotated


def make_prompt(port: Port) -> Port:
    """Let a port that was just opened give its connections this transport; ports that are not of TCP are left alone."""
    if isinstance(port, tcp.Port) and port.transport is tcp.Server:
        port.transport = PromptServer
    return port
