"""
The link between the parent process and one of its workers: questions with answers, and notes, both ways.

One JSON object a line over a pair of connected sockets. A question is ``{"ask": number, "command": name,
...arguments}``, its answer ``{"answer": number, "result": value}`` or ``{"answer": number, "error": sentence, "kind":
kind}``; a note is ``{"note": name, ...values}``. Only our own processes hold an end.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver

from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog, background
from mailsuite.service.control import Command, answer_request

LINE_MAX_OCTETS = 64 * 2**20
GONE = "a process of the server ended before it answered; try again"

TOO_LONG = "the answer is too long"

Hearing = Callable[[Mapping[str, Any]], None]


class Link(LineOnlyReceiver):
    """
    One end.

    Args:
        commands: answers to the other end's questions, by name; may be filled later.
        notes: who hears of the other end's notes, by name; likewise.
        lost: called once when the other end is gone.

    Attributes:
        congested: the other end does not read; what can be said later should be.
        relieved: called when it reads again.
    """

    delimiter = b"\n"
    MAX_LENGTH = LINE_MAX_OCTETS

    def __init__(
        self, commands: dict[str, Command], notes: dict[str, Hearing], lost: Callable[[], None] = lambda: None
    ) -> None:
        self.commands = commands
        self.notes = notes
        self.congested = False
        self.relieved: Callable[[], None] = lambda: None
        self._lost = lost
        self._number = 0
        self._asked: dict[int, Deferred[object]] = {}
        self._gone = False
        self._log = EventLog(Logger("mailsuite.service.link"))

    # what is said

    def ask(self, command: str, **arguments: object) -> Deferred[object]:
        """
        Ask the other end.

        Returns:
            Fires with the result; fails with MailError: what the other end said, UNAVAILABLE when it is gone.
        """
        deferred: Deferred[object] = Deferred()
        if self._gone:
            deferred.errback(MailError(Kind.UNAVAILABLE, GONE))
            return deferred
        self._number += 1
        self._asked[self._number] = deferred
        self._say({"ask": self._number, "command": command, **arguments})
        return deferred

    def tell(self, note: str, **values: object) -> None:
        """Let the other end know; nobody answers."""
        if not self._gone:
            self._say({"note": note, **values})

    def _say(self, message: Mapping[str, object]) -> None:
        self._write(_encode(message))

    def _write(self, octets: bytes) -> None:
        assert self.transport is not None
        self.transport.write(octets)

    # what is heard

    def lineReceived(self, line: bytes) -> None:
        """Take one message."""
        message = json.loads(line)
        if "note" in message:
            hear = self.notes.get(message["note"])
            if hear is not None:
                hear(message)
        elif "answer" in message:
            self._take_answer(message)
        else:
            _ = background(self._answer(message), self._log, f"the question {message.get('command')}")

    def _take_answer(self, message: Mapping[str, Any]) -> None:
        deferred = self._asked.pop(message["answer"], None)
        if deferred is None or deferred.called:
            return
        if "error" in message:
            deferred.errback(MailError(Kind[message["kind"]], message["error"]))
        else:
            deferred.callback(message["result"])

    async def _answer(self, message: Mapping[str, Any]) -> None:
        answer = await answer_request(self.commands, message, self._log)
        if not self._gone:
            octets = _encode({"answer": message["ask"], **answer})
            if len(octets) > LINE_MAX_OCTETS:
                octets = _encode({"answer": message["ask"], "error": TOO_LONG, "kind": Kind.TOO_LARGE.name})
            self._write(octets)

    # the life of the connection

    def connectionMade(self) -> None:
        """Hear when the other end does not keep up."""
        transport: Any = self.transport
        transport.registerProducer(self, True)  # noqa: FBT003 - Twisted's signature

    def pauseProducing(self) -> None:
        """Too much waits to be read by the other end."""
        self.congested = True

    def resumeProducing(self) -> None:
        """It has been read."""
        self.congested = False
        self.relieved()

    def stopProducing(self) -> None:
        """The connection ends; `connectionLost` follows."""

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002 - Twisted's signature
        """Nobody answers any more."""
        self._gone = True
        asked, self._asked = self._asked, {}
        for deferred in asked.values():
            if not deferred.called:
                deferred.errback(MailError(Kind.UNAVAILABLE, GONE))
        self._lost()


def _encode(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("ascii") + b"\n"
