"""Lines of one turn are written together, and none is held back longer."""

import threading

import pytest
from twisted.internet.task import Clock
from twisted.python import threadable

from mailsuite.observe.turn import TurnStream


class Stream:
    def __init__(self):
        self.written = []

    def write(self, text):
        self.written.append(text)

    def flush(self):
        self.written.append("flush")


class Reactor(Clock):
    running = True


@pytest.fixture
def reactor(monkeypatch):
    monkeypatch.setattr(threadable, "ioThread", threading.get_ident())
    return Reactor()


def say(turn, *lines):
    for line in lines:
        turn.write(line)
        turn.flush()


def test_lines_of_one_turn_are_one_write(reactor):
    stream = Stream()
    turn = TurnStream(stream, reactor)
    say(turn, "a\n", "b\n")
    assert stream.written == []
    reactor.advance(0)
    assert stream.written == ["a\nb\n", "flush"]
    say(turn, "c\n")
    reactor.advance(0)
    assert stream.written[2:] == ["c\n", "flush"]
    assert reactor.getDelayedCalls() == []


def test_while_the_reactor_does_not_run_a_line_is_written_at_once(reactor):
    stream = Stream()
    reactor.running = False
    say(TurnStream(stream, reactor), "a\n")
    assert stream.written == ["a\n", "flush"]


def test_what_waited_is_written_before_what_comes_after_the_end(reactor):
    stream = Stream()
    turn = TurnStream(stream, reactor)
    say(turn, "a\n")
    reactor.running = False
    say(turn, "b\n")
    assert "".join(line for line in stream.written if line != "flush") == "a\nb\n"


def test_a_line_from_another_thread_does_not_wait(reactor):
    stream = Stream()
    turn = TurnStream(stream, reactor)
    thread = threading.Thread(target=say, args=(turn, "a\n"))
    thread.start()
    thread.join()
    assert stream.written == ["a\n", "flush"]
