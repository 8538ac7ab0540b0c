"""The parent of worker processes, on a machine that makes none."""

import base64
import datetime as dt
import socket

import pytest
from twisted.internet.defer import Deferred

from mailsuite.config import parse_config
from mailsuite.config.tls import CHECK_SECONDS, write_self_signed
from mailsuite.durable import Disk
from mailsuite.service.crew import FIRST_PAUSE_SECONDS, PING_SECONDS
from mailsuite.service.supervisor import Supervisor

from .test_crew import Machine

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def parent(tmp_path, machine):
    table = {"server": {"hostname": "mx.example", "workers": 2, "data_dir": str(tmp_path)}}
    return Supervisor(parse_config(table, str(tmp_path / "mailsuite.toml"), {}), machine)


def write_certificate(parent):
    write_self_signed(parent.config.tls, "mx.example", Disk(), NOW)
    with open(parent.config.tls.certificate, "rb") as stream:
        return stream.read()


def begin(machine):
    process = machine.processes[-1]
    (question,) = process.asked()
    process.answer(question)
    return process, base64.b64decode(question["pair"][0])


def test_a_worker_that_is_started_again_gets_the_certificate_that_is_in_force_then(parent, machine):
    first = write_certificate(parent)
    Deferred.fromCoroutine(parent.workers[0].start(parent.orders))
    process, given = begin(machine)
    assert given == first
    second = write_certificate(parent)  # nobody calls for a reload: the workers look at the file
    machine.advance(CHECK_SECONDS)
    process.end()
    machine.advance(FIRST_PAUSE_SECONDS)
    process, given = begin(machine)
    assert given == second
    parent.workers[0].stop()
    process.end()


def test_services_with_tls_begin_although_a_worker_ends_when_the_certificate_comes(parent, machine):
    Deferred.fromCoroutine(parent.workers[0].start(parent.orders))
    process = machine.processes[-1]
    process.answer(*process.asked())
    write_certificate(parent)
    machine.advance(CHECK_SECONDS)
    outcome = []
    Deferred.fromCoroutine(parent.listeners.admit()).addBoth(outcome.append)
    assert outcome == []
    process.fall_silent()
    assert outcome == [None]
    process.end()
    parent.workers[0].stop()


def test_a_worker_that_does_not_answer_gets_no_connections_while_another_does(parent, machine):
    for worker in parent.workers:
        Deferred.fromCoroutine(worker.start(parent.orders))
        process = machine.processes[-1]
        process.answer(*process.asked())
    silent, alive = machine.processes
    for _ in range(2):
        machine.advance(PING_SECONDS)
        for question in alive.heard():
            alive.answer(question)
    for _ in range(6):
        parent.listeners.place("imap", socket.socket())
    silent.channel.setblocking(False)
    with pytest.raises(BlockingIOError):
        silent.channel.recv(100)
    assert len([alive.channel.recv(100) for _ in range(6)]) == 6
    for worker, process in zip(parent.workers, machine.processes, strict=True):
        worker.stop()
        process.end()
