"""
The control socket: how the command line reaches the server that runs on a folder.

One JSON object a line each way, on a unix socket that only its owner can open. A request is ``{"command": name,
...arguments}``; the answer holds ``result``, or ``error`` with one sentence.
"""

import contextlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from twisted.internet.defer import maybeDeferred
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver

from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog, background

SOCKET_NAME = "control.sock"
SOCKET_MODE = 0o600
REQUEST_MAX_OCTETS = 64 * 1024
REQUEST_SECONDS = 60.0

Command = Callable[[Mapping[str, object]], Awaitable[object]]


async def answer_request(
    commands: Mapping[str, Command], request: Mapping[str, Any], log: EventLog
) -> dict[str, object]:
    """Do what a request asks for; give ``result``, or ``error`` and ``kind``."""
    name = request.get("command")
    command = commands.get(name) if isinstance(name, str) else None
    if command is None:
        return {"error": "the server does not know this command", "kind": Kind.NOT_FOUND.name}
    try:
        return {"result": await command(request)}
    except MailError as error:
        return {"error": error.detail, "kind": error.kind.name}
    except Exception:  # noqa: BLE001 - the asker must not wait for ever
        log.failure("background.work.failed", what=f"the request {name}")
        return {"error": "the server failed; its log says how", "kind": Kind.UNAVAILABLE.name}


class ControlProtocol(LineOnlyReceiver):
    """Answers one request and closes."""

    delimiter = b"\n"
    MAX_LENGTH = REQUEST_MAX_OCTETS

    def __init__(self, commands: Mapping[str, Command], log: EventLog, clock: Any) -> None:
        self._commands = commands
        self._log = log
        self._clock = clock
        self._deadline: Any = None
        self._asked = False

    def connectionMade(self) -> None:
        """Wait for the request, not for ever."""
        self._deadline = self._clock.callLater(REQUEST_SECONDS, self._give_up)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 - Twisted's signature
        """Forget the deadline."""
        self._stop_waiting()

    def lineReceived(self, line: bytes) -> None:
        """Take the request."""
        if not self._asked:
            self._asked = True
            self._stop_waiting()
            _ = background(self._answer(line), self._log, "a request on the control socket")

    def _stop_waiting(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()

    def _give_up(self) -> None:
        transport: Any = self.transport
        transport.abortConnection()

    async def _answer(self, line: bytes) -> None:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        answer = await answer_request(self._commands, request if isinstance(request, dict) else {}, self._log)
        transport: Any = self.transport
        transport.write(json.dumps(answer).encode("ascii") + b"\n")
        transport.loseConnection()


class ControlFactory(ServerFactory):
    """
    Serves the control socket.

    Args:
        commands: by name; each is given the request.
    """

    noisy = False

    def __init__(self, commands: Mapping[str, Command], clock: Any) -> None:
        self._commands = commands
        self._clock = clock
        self._log = EventLog(Logger("mailsuite.service.control"))

    def buildProtocol(self, addr: object) -> ControlProtocol:  # noqa: ARG002 - Twisted's signature
        """Make a protocol."""
        return ControlProtocol(self._commands, self._log, self._clock)


@attrs.define
class ControlSocket:
    """
    The socket in its folder; the caller holds the lock of the folder, so that a file there is a dead one's.

    Args:
        folder: ``run`` beside the configuration.
    """

    folder: str
    reactor: Any
    _port: Any = attrs.field(default=None, init=False)
    _descriptor: int = attrs.field(default=-1, init=False)

    def open(self, commands: Mapping[str, Command]) -> None:
        """
        Listen.

        Raises:
            OSError: the folder cannot be written.
        """
        self._descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        path = socket_path(self._descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._port = self.reactor.listenUNIX(path, ControlFactory(commands, self.reactor), mode=SOCKET_MODE)

    async def close(self) -> None:
        """Stop listening; the file goes."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def socket_path(folder: int) -> str:
    """
    Name the socket in an open folder, however deep that folder lies: an address of a unix socket has 107 octets.

    Args:
        folder: descriptor, open for as long as the name is used.
    """
    return f"/proc/self/fd/{folder}/{SOCKET_NAME}"
