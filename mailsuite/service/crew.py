"""One worker process, as its parent sees it."""

import base64
import contextlib
import os
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from mailsuite.config import Config
from mailsuite.config.tls import Pair, Stamp
from mailsuite.errors import Kind, MailError
from mailsuite.observe import EventLog
from mailsuite.service.control import Command
from mailsuite.service.link import GONE, Hearing, Link
from mailsuite.service.passing import Arrival, hand_over, take_back
from mailsuite.service.reload import give
from mailsuite.service.roles import Role

LINK_DESCRIPTOR = 3
CHANNEL_DESCRIPTOR = 4
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
SETTLED_SECONDS = 20.0
"""A worker that lived so long is started again without much of a pause."""
KILL_SECONDS = 45.0
"""A worker that was told to stop and has not by then is killed: it had 30 s for its sessions, 10 for its spool."""
PING_SECONDS = 5.0
UNANSWERED_MAX = 6
"""A worker that does not answer so many questions is killed; while one is open it gets no new connections."""


@attrs.frozen
class Orders:
    """
    What a worker is to run with.

    Args:
        config: in force since the parent's start.
        newer: with values that were read since then; the same where there are none.
    """

    config: Config
    newer: Config
    pair: Pair | None


class _Process(ProcessProtocol):
    """Tells when the process has ended."""

    def __init__(self, ended: Callable[[Any], None]) -> None:
        self._ended = ended

    def processEnded(self, reason: Failure) -> None:
        """The process is gone, and so are its descriptors."""
        self._ended(reason.value)


@attrs.define(eq=False)
class Worker:
    """
    One worker: started, started again when it ends by itself, and stopped.

    Args:
        name: ``worker-0``, ``queue``.
        number: among all of them.
        count: how many receive.
        notes: who hears what it says by itself.
        joined: called with the link of a new process; gives what is to be called when that is gone.
        let_go: called with an account that all others should close.
        changed: called when it became ready, or ended.
        place: takes a connection that the worker did not take before it ended, and closes it.
        commands: answers to what it asks.
    """

    name: str
    number: int
    count: int
    roles: Iterable[Role]
    reactor: Any
    notes: Mapping[str, Hearing]
    joined: Callable[[Link], Callable[[], None]]
    let_go: "Callable[[Worker, int], None]"
    changed: Callable[[], None]
    place: Callable[[str, socket.socket], None]
    commands: Mapping[str, Command] = attrs.field(factory=dict)
    ready: bool = attrs.field(default=False, init=False)
    pid: int = attrs.field(default=0, init=False)
    restarts: int = attrs.field(default=0, init=False)
    link: Link = attrs.field(default=None, init=False)
    peers: dict[int, str] = attrs.field(factory=dict, init=False)
    """Its connections by number, and from which network each is."""
    networks: Counter[str] = attrs.field(factory=Counter, init=False)
    _unanswered: int = attrs.field(default=0, init=False)
    _pinging: Any = attrs.field(default=None, init=False)
    _channel: socket.socket | None = attrs.field(default=None, init=False)
    _far_channel: socket.socket | None = attrs.field(default=None, init=False)
    _process: Any = attrs.field(default=None, init=False)
    _call: Any = attrs.field(default=None, init=False)
    _pause: float = attrs.field(default=FIRST_PAUSE_SECONDS, init=False)
    _began: float = attrs.field(default=0.0, init=False)
    _stopping: Deferred[None] | None = attrs.field(default=None, init=False)
    _begin: Callable[[], Orders] = attrs.field(default=None, init=False)
    _log: EventLog = attrs.field(factory=lambda: EventLog(Logger("mailsuite.service.workers")), init=False)

    # its life

    async def start(self, begin: Callable[[], Orders]) -> None:
        """
        Start the process, and wait until it can serve.

        Args:
            begin: gives what it is to run with, each time that it is started.

        Raises:
            MailError: why it cannot.
        """
        self._begin = begin
        self._call = None
        link = self._spawn()
        orders = begin()
        config, pair = orders.config, orders.pair
        self._ping()
        await link.ask(
            "begin",
            parent=os.getpid(),
            name=self.name,
            number=self.number,
            count=self.count,
            roles=[role.value for role in self.roles],
            path=config.path,
            given=give(config),
            pair=None if pair is None else _packed(pair),
        )
        while (newer := begin().newer) is not config:  # also what came while it started
            await _tell_newer(link, newer)
            config = newer
        if self._process is None:
            raise MailError(Kind.UNAVAILABLE, GONE)  # its end was noticed before its last words were read
        self.ready = self._stopping is None
        self._log.emit("service.worker.started", worker=self.name, process=self.pid)
        self.changed()

    def _spawn(self) -> Link:
        self._began = self.reactor.seconds()
        self._unanswered = 0
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            far_link, near_link = _sockets(socket.SOCK_STREAM, theirs, ours)
            far_channel, channel = _sockets(socket.SOCK_SEQPACKET, ours, ours)
            nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            theirs.callback(os.close, nothing)
            notes = {"over": self._over, "let_go": self._let_go, "leaving": lambda _: self._take_back()}
            link = Link(dict(self.commands), {**self.notes, **notes})
            leave = self.joined(link)
            ours.callback(leave)
            self._process = self.reactor.spawnProcess(
                _Process(lambda reason: self._ended(leave, reason)),
                sys.executable,
                [sys.executable, "-P", "-m", "mailsuite.service.worker"],
                env=_environment(),
                childFDs={
                    0: nothing,
                    1: 1,
                    2: 2,
                    LINK_DESCRIPTOR: far_link.fileno(),
                    CHANNEL_DESCRIPTOR: far_channel.fileno(),
                },
            )
            ours.pop_all()
        self.pid = self._process.pid
        self._channel, self._far_channel = channel, far_channel
        self.link = link
        with near_link:
            self.reactor.adoptStreamConnection(near_link.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: link))
        return link

    @property
    def accepts(self) -> bool:
        """Whether connections can be handed to it."""
        return self.ready and self._channel is not None

    @property
    def answers(self) -> bool:
        """Whether it is there, and not silent for longer than it should be."""
        return self.ready and self._unanswered <= 1

    def _ping(self) -> None:
        """Ask whether it is alive, now and then; by count, since a machine that slept has not waited."""
        if self._unanswered >= UNANSWERED_MAX:
            self._log.emit("service.worker.hung", worker=self.name, process=self.pid)
            self._process.signalProcess("KILL")  # its end starts it again
            return
        self._unanswered += 1
        _ = self.link.ask("ping").addCallbacks(self._answered, lambda _: None)
        self._pinging = self.reactor.callLater(PING_SECONDS, self._ping)

    def _answered(self, _: object) -> None:
        self._unanswered = 0

    def _end_pings(self) -> None:
        if self._pinging is not None and self._pinging.active():
            self._pinging.cancel()

    def _ended(self, leave: Callable[[], None], reason: Any) -> None:
        leave()
        self._end_pings()
        was_ready, self.ready = self.ready, False
        self._process = None
        self._take_back()
        self.peers.clear()
        self.networks.clear()
        if self._stopping is not None:
            self._stopping.callback(None)
            return
        how = f"signal {reason.signal}" if getattr(reason, "signal", None) else f"status {reason.exitCode}"
        if reason.exitCode == 0:
            self._log.emit("service.worker.left", worker=self.name, process=self.pid)
        else:
            self._log.emit("service.worker.ended", worker=self.name, process=self.pid, reason=how)
        if was_ready or self.restarts:
            self._start_again()
        self.changed()

    def _start_again(self) -> None:
        if self.reactor.seconds() - self._began > SETTLED_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        self.restarts += 1
        self._call = self.reactor.callLater(self._pause, self._restart)
        self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)

    def _restart(self) -> None:
        def failed(failure: Failure) -> None:
            reason = failure.value.detail if isinstance(failure.value, MailError) else str(failure.value)
            self._log.emit("service.worker.failed", worker=self.name, reason=reason)
            if self._stopping is not None:
                return
            if self._process is not None:
                self._process.signalProcess("KILL")  # its end starts it again
            elif self._call is None:
                self._start_again()  # there was not even a process

        _ = Deferred.fromCoroutine(self.start(self._begin)).addErrback(failed)

    def stop(self) -> Deferred[None]:
        """Let it finish and end; it is not started again. Fires when it is gone."""
        stopping: Deferred[None] = Deferred()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._process is None:
            stopping.callback(None)
            return stopping
        self._stopping = stopping
        self.ready = False
        self._end_pings()
        self.link.tell("stop")
        killing = self.reactor.callLater(KILL_SECONDS, self._kill)

        def stopped(_: object) -> None:
            if killing.active():
                killing.cancel()

        return stopping.addBoth(stopped)

    def _kill(self) -> None:
        self._log.emit("service.worker.killed", worker=self.name, process=self.pid)
        self._process.signalProcess("KILL")

    # its connections

    def take(self, number: int, service: str, network: str, accepted: socket.socket) -> bool:
        """
        Hand a connection over; the caller closes its own descriptor.

        Returns:
            False when the worker cannot take it.
        """
        if not self.accepts:
            return False
        assert self._channel is not None
        try:
            if not hand_over(self._channel, Arrival(number, service), accepted.fileno()):
                return False
        except OSError:
            return False  # it is gone; we shall hear of it
        self.peers[number] = network
        self.networks[network] += 1
        return True

    def _take_back(self) -> None:
        """Hand over no more, since it takes none any more, and give to others what it has not taken."""
        channel, self._channel = self._channel, None
        far, self._far_channel = self._far_channel, None
        if channel is None or far is None:
            return
        with channel, far:
            back = list(take_back(far))
        self._over({"numbers": [arrival.number for arrival, _ in back]})
        for arrival, accepted in back:
            if self._stopping is None:
                self.place(arrival.service, accepted)
            else:
                accepted.close()

    def _let_go(self, note: Mapping[str, Any]) -> None:
        self.let_go(self, note["account_id"])

    def _over(self, note: Mapping[str, Any]) -> None:
        """Connections have ended."""
        for number in note["numbers"]:
            network = self.peers.pop(number, None)
            if network is not None:
                self.networks[network] -= 1
                if not self.networks[network]:
                    del self.networks[network]

    def ask(self, command: str, **arguments: object) -> Deferred[object]:
        """Ask the process; fails with MailError UNAVAILABLE while there is none."""
        if not self.ready:
            deferred: Deferred[object] = Deferred()
            deferred.errback(MailError(Kind.UNAVAILABLE, f"{self.name} is being started; try again"))
            return deferred
        return self.link.ask(command, **arguments)


def _environment() -> Mapping[str, str]:
    """Let a worker find modules where we do, and not in the folder where somebody started us."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


async def _tell_newer(link: Link, config: Config) -> None:
    try:
        await link.ask("reload", given=give(config))
    except MailError as error:
        if error.kind is not Kind.INVALID:  # a certificate that cannot be used; the one that it was given stays
            raise


def _sockets(
    kind: int, theirs: contextlib.ExitStack, ours: contextlib.ExitStack
) -> tuple[socket.socket, socket.socket]:
    far, near = socket.socketpair(socket.AF_UNIX, kind)
    theirs.callback(far.close)
    ours.callback(near.close)
    for end in (far, near):
        end.setblocking(False)  # noqa: FBT003 - the socket module's signature
    return far, near


def _packed(pair: Pair) -> list[Any]:
    stamps = [attrs.astuple(stamp) for stamp in pair.stamps]
    return [_text(pair.certificate), _text(pair.private_key), stamps]


def unpacked(packed: Sequence[Any]) -> Pair:
    """Make the pair of what the parent wrote of it."""
    certificate, private_key, stamps = packed
    return Pair(base64.b64decode(certificate), base64.b64decode(private_key), tuple(Stamp(*each) for each in stamps))


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii")
