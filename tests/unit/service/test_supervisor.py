"""The parent of worker processes, on a machine that makes none."""

import base64
import contextlib
import datetime as dt
import json
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


def crewed(parent, machine):
    for worker in parent.workers:
        Deferred.fromCoroutine(worker.start(parent.orders))
        process = machine.processes[-1]
        process.answer(*process.asked())
    return machine.processes[-2:]


def arrived(process):
    """Serve what was handed over to a process."""
    process.channel.setblocking(False)
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            message, (descriptor,), _, _ = socket.recv_fds(process.channel, 100, 1)
            found.append((json.loads(message)[1], socket.socket(fileno=descriptor)))
    return found


def hand_over(parent, count):
    clients = []
    for _ in range(count):
        client, accepted = socket.socketpair()
        parent.listeners.place("imap", accepted)
        clients.append(client)
    return clients


def tell(process, note):
    process.link.dataReceived(json.dumps({"note": note}).encode() + b"\n")


@pytest.mark.parametrize("way", ["killed", "leaving"])
def test_what_a_worker_did_not_take_before_its_end_is_given_to_another(parent, machine, way):
    first, second = crewed(parent, machine)
    clients = hand_over(parent, 6)
    if way == "killed":
        first.end()
    else:
        first.channel.close()
        tell(first, "leaving")
        assert parent.workers[0].ready  # it still serves what it has
        clients += hand_over(parent, 1)
    served = arrived(second)
    assert len(served) == len(clients)
    for service, accepted in served:
        assert service == "imap"
        with accepted:
            accepted.sendall(b"hello")
    for client in clients:
        with client:
            assert client.recv(10) == b"hello"
    assert len(parent.workers[0].peers) == 0
    assert len(parent.workers[1].peers) == len(clients)
    for worker, process in zip(parent.workers, (first, second), strict=True):
        worker.stop()
        if worker.ready or process is second or way == "leaving":
            process.end()


def test_what_nobody_can_take_waits_for_the_next_worker(parent, machine):
    first, second = crewed(parent, machine)
    clients = hand_over(parent, 4)
    first.end()
    second.end()
    assert len(parent._unplaced) == 4
    machine.advance(FIRST_PAUSE_SECONDS)
    processes = machine.processes[-2:]
    for process in processes:
        process.answer(*process.asked())
    served = [accepted for process in processes for _, accepted in arrived(process)]
    assert len(served) == 4
    for worker, process in zip(parent.workers, processes, strict=True):
        worker.stop()
        process.end()
    for each in (*served, *clients):
        each.close()


def test_what_a_worker_did_not_take_is_closed_when_the_server_ends(parent, machine):
    processes = crewed(parent, machine)
    clients = hand_over(parent, 4)
    for worker, process in zip(parent.workers, processes, strict=True):
        worker.stop()
        process.channel.close()
        tell(process, "leaving")
        process.end()
    for client in clients:
        with client:
            assert client.recv(10) == b""
