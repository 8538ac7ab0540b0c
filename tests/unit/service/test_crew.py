"""One worker as its parent sees it; processes are made of nothing, and tell what they are asked."""

import json
import os
import socket

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mailsuite.config import parse_config
from mailsuite.errors import MailError
from mailsuite.service import crew
from mailsuite.service.crew import FIRST_PAUSE_SECONDS, PING_SECONDS, UNANSWERED_MAX, Orders, Worker
from mailsuite.service.roles import Role


@attrs.define(eq=False)
class Process:
    """A process that does what the test says."""

    protocol: object
    pid: int
    channel: object
    link: object = None
    signals: list = attrs.field(factory=list)

    def signalProcess(self, name):
        self.signals.append(name)

    def heard(self):
        """What it was told and asked since the last time."""
        lines = self.link.transport.value().splitlines()
        self.link.transport.clear()
        return [json.loads(line) for line in lines]

    def asked(self):
        """The same without the question whether it lives."""
        return [message for message in self.heard() if message.get("command") != "ping"]

    def answer(self, question, **answer):
        answer = answer or {"result": None}
        self.link.dataReceived(json.dumps({"answer": question["ask"], **answer}).encode() + b"\n")

    def end(self):
        self.channel.close()
        self.protocol.processEnded(Failure(ProcessTerminated(None, 9, 9)))

    def fall_silent(self):
        self.link.connectionLost(Failure(ConnectionDone()))


class Machine(Clock):
    """Clock, processes and links."""

    def __init__(self):
        super().__init__()
        self.processes = []
        self.refusals = 0

    def spawnProcess(self, protocol, executable, arguments, env, childFDs):
        if self.refusals:
            self.refusals -= 1
            raise OSError(11, os.strerror(11))
        self.arguments, self.environment = arguments, env
        channel = socket.socket(fileno=os.dup(childFDs[crew.CHANNEL_DESCRIPTOR]))
        self.processes.append(Process(protocol, 100 + len(self.processes), channel))
        return self.processes[-1]

    def adoptStreamConnection(self, descriptor, family, factory):
        link = factory.buildProtocol(None)
        link.makeConnection(StringTransport())
        self.processes[-1].link = link


@pytest.fixture
def machine():
    return Machine()


def read(hostname):
    return parse_config({"server": {"hostname": hostname}}, "/nowhere/mailsuite.toml", {})


class Crew:
    """A worker, and what its parent hears."""

    def __init__(self, machine):
        self.machine = machine
        self.config = self.newer = read("")
        self.gone = 0
        self.worker = Worker(
            name="worker-0",
            number=0,
            count=1,
            roles=[Role.IMAP],
            reactor=machine,
            notes={},
            joined=lambda link: self._leave,
            let_go=lambda *_: None,
            changed=lambda: None,
            place=lambda service, accepted: accepted.close(),
        )

    def _leave(self):
        self.gone += 1

    def start(self):
        outcome = []
        Deferred.fromCoroutine(self.worker.start(lambda: Orders(self.config, self.newer, None))).addBoth(outcome.append)
        return outcome

    def begin(self):
        """Answer the first question of the newest process."""
        process = self.machine.processes[-1]
        (question,) = process.asked()
        assert question["command"] == "begin"
        process.answer(question)
        return process


@pytest.fixture
def ship(machine):
    ship = Crew(machine)
    yield ship
    if ship.worker.pid and not ship.worker.stop().called:
        machine.processes[-1].end()


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_a_worker_that_ends_is_started_again(ship, machine):
    assert ship.start() == []
    process = ship.begin()
    assert (ship.worker.ready, ship.worker.pid) == (True, 100)
    process.fall_silent()
    process.end()
    assert (ship.worker.ready, ship.gone) == (False, 1)
    machine.advance(FIRST_PAUSE_SECONDS)
    ship.begin()
    assert (ship.worker.ready, ship.worker.pid, ship.worker.restarts) == (True, 101, 1)


def test_where_no_process_can_be_made_it_is_tried_again_and_nothing_is_left_open(ship, machine):
    ship.start()
    ship.begin().end()
    before = open_descriptors()
    machine.refusals = 3
    machine.advance(FIRST_PAUSE_SECONDS)
    assert len(machine.processes) == 1
    assert open_descriptors() == before
    assert ship.gone == 2
    for _ in range(20):
        machine.advance(FIRST_PAUSE_SECONDS)
    ship.begin()
    assert ship.worker.ready


def test_an_answer_that_is_read_after_its_worker_has_ended_makes_nobody_ready(ship, machine):
    ship.start()
    ship.begin().end()
    machine.advance(FIRST_PAUSE_SECONDS)
    process = machine.processes[-1]
    process.end()
    ship.begin()
    assert not ship.worker.ready
    machine.advance(2 * FIRST_PAUSE_SECONDS)
    assert len(machine.processes) == 3
    ship.begin()
    assert ship.worker.ready


def test_the_first_start_fails_with_a_worker_that_ends_right_after_it(ship, machine):
    outcome = ship.start()
    machine.processes[-1].end()
    ship.begin()
    assert outcome[0].check(MailError)
    assert not machine.getDelayedCalls()


def test_a_worker_that_is_told_to_stop_while_it_starts_is_not_ready_afterwards(ship, machine):
    ship.start()
    ship.begin().end()
    machine.advance(FIRST_PAUSE_SECONDS)
    stopped = []
    ship.worker.stop().addBoth(stopped.append)
    process = machine.processes[-1]
    begin, stop = process.asked()
    assert stop["note"] == "stop"
    process.answer(begin)
    assert not ship.worker.ready
    process.end()
    assert stopped == [None]
    machine.advance(crew.KILL_SECONDS + crew.LONGEST_PAUSE_SECONDS)
    assert process.signals == []


def test_a_worker_begins_with_what_the_others_began_with_and_then_reads_what_they_read(ship, machine):
    ship.newer = read("second.example")
    ship.start()
    process = machine.processes[-1]
    (begin,) = process.asked()
    assert begin["given"]["table"]["server"] == {"hostname": ""}
    process.answer(begin)
    (second,) = process.asked()
    assert second["command"] == "reload"
    assert second["given"]["table"]["server"] == {"hostname": "second.example"}
    ship.newer = read("third.example")  # while it reads the second one
    process.answer(second, error="certificate: no", kind="INVALID")
    (third,) = process.asked()
    assert third["given"]["table"]["server"] == {"hostname": "third.example"}
    assert not ship.worker.ready
    process.answer(third)
    assert ship.worker.ready
    assert process.asked() == []


def test_a_worker_that_hangs_is_killed_and_started_again(ship, machine):
    ship.start()
    process = ship.begin()
    assert ship.worker.answers
    for _ in range(UNANSWERED_MAX - 1):
        machine.advance(PING_SECONDS)
        assert process.signals == []
    assert not ship.worker.answers
    machine.advance(PING_SECONDS)
    assert process.signals == ["KILL"]
    process.end()
    machine.advance(FIRST_PAUSE_SECONDS)
    ship.begin()
    assert ship.worker.answers


def test_a_worker_that_hangs_while_it_begins_is_killed(ship, machine):
    outcome = ship.start()
    process = machine.processes[-1]
    machine.pump([PING_SECONDS] * UNANSWERED_MAX)
    assert process.signals == ["KILL"]
    process.end()
    process.fall_silent()
    assert outcome[0].check(MailError)


def test_a_worker_that_was_only_busy_goes_on(ship, machine):
    ship.start()
    process = ship.begin()
    for _ in range(3):
        machine.pump([PING_SECONDS] * (UNANSWERED_MAX - 1))
        assert not ship.worker.answers
        for question in process.heard():
            process.answer(question)
        assert ship.worker.answers
    machine.advance(1000 * PING_SECONDS)  # all of us slept
    assert process.signals == []
