import os

import pytest
from twisted.internet.defer import Deferred

from mailsuite.durable import Disk, InlineLane
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body
from mailsuite.mta.body import PIECE_OCTETS, WINDOW_OCTETS, SpoolBody
from mailsuite.testing.faults import FaultyDisk


class SlowLane(InlineLane):
    """Does its jobs when it is told to."""

    def __init__(self):
        super().__init__()
        self.jobs = []

    def run(self, job, *arguments):
        deferred = Deferred()
        self.jobs.append((deferred, job, arguments))
        return deferred

    def post(self, job, *arguments):
        self.jobs.append((Deferred(), job, arguments))

    def work(self):
        while self.jobs:
            deferred, job, arguments = self.jobs.pop(0)
            try:
                result = job(*arguments)
            except OSError as error:
                deferred.errback(error)
            else:
                deferred.callback(result)


class Held:
    octets = 0
    ended = 0

    def __call__(self, octets):
        self.octets += octets
        assert self.octets >= 0

    def end(self):
        self.ended += 1


def make_body(tmp_path, *, disk=None, lane=None, limit=100):
    held = Held()
    path = str(tmp_path / "body")
    return (
        SpoolBody(
            path,
            disk=disk or Disk(),
            lane=lane or InlineLane(),
            inline_max_octets=limit,
            hold=held,
            ended=held.end,
        ),
        held,
        path,
    )


def finish(body):
    results = []
    Deferred.fromCoroutine(body.finish()).addBoth(results.append)
    return results


def test_a_small_body_stays_in_memory(tmp_path):
    body, held, path = make_body(tmp_path)
    body.write(b"a" * 60)
    body.write(b"b" * 40)
    assert finish(body) == [b"a" * 60 + b"b" * 40]
    assert held.octets == 100
    body.release()
    assert held.octets == 0
    assert not os.path.exists(path)


def test_a_large_body_is_a_synced_file(tmp_path):
    disk = FaultyDisk()
    body, held, path = make_body(tmp_path, disk=disk)
    pieces = [bytes([number]) * 50_000 for number in range(20)]
    for piece in pieces:
        assert body.write(piece) is None
    assert finish(body) == [Body(path, 1_000_000)]
    assert Disk().read_file(path) == b"".join(pieces)
    assert held.octets == 0
    assert [call.operation for call in disk.trace if call.operation != "write"] == ["open", "fsync", "close"]


def test_one_octet_above_the_limit_is_a_file(tmp_path):
    body, _, path = make_body(tmp_path)
    body.write(b"a" * 101)
    assert finish(body) == [Body(path, 101)]


def test_the_peer_is_paused_when_the_disk_does_not_keep_up(tmp_path):
    lane = SlowLane()
    body, _, path = make_body(tmp_path, lane=lane)
    written = 0
    paused = None
    while paused is None:
        paused = body.write(b"x" * PIECE_OCTETS)
        written += PIECE_OCTETS
    assert WINDOW_OCTETS < written <= WINDOW_OCTETS + PIECE_OCTETS
    went_on = []
    paused.addCallback(went_on.append)
    assert not went_on
    lane.work()
    assert went_on == [None]
    results = finish(body)
    lane.work()
    assert results == [Body(path, written)]
    assert os.stat(path).st_size == written


def test_finish_waits_for_what_is_being_written(tmp_path):
    lane = SlowLane()
    body, _, path = make_body(tmp_path, lane=lane)
    body.write(b"x" * PIECE_OCTETS)
    body.write(b"y")
    results = finish(body)
    assert not results
    lane.work()
    assert results == [Body(path, PIECE_OCTETS + 1)]
    assert Disk().read_file(path)[-1:] == b"y"


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "close"])
def test_a_failing_disk_is_told_at_the_end_at_the_latest(tmp_path, operation):
    disk = FaultyDisk(fail_at=1, operations={operation})
    body, held, path = make_body(tmp_path, disk=disk)
    refused = []
    for _ in range(3):
        try:
            body.write(b"x" * PIECE_OCTETS)
        except MailError as error:
            refused.append(error.kind)
    (failure,) = finish(body)
    assert failure.value.kind is Kind.UNAVAILABLE
    assert set(refused) <= {Kind.UNAVAILABLE}
    body.abort()
    assert held.octets == 0
    assert not os.path.exists(path)


def test_abort_in_the_middle_removes_the_file(tmp_path):
    lane = SlowLane()
    body, held, path = make_body(tmp_path, lane=lane)
    body.write(b"x" * PIECE_OCTETS)
    body.write(b"y")
    body.abort()
    lane.work()
    assert not os.path.exists(path)
    assert held.octets == 0


def test_its_end_is_told_once(tmp_path):
    body, held, _ = make_body(tmp_path)
    body.write(b"x")
    assert held.ended == 0
    assert finish(body) == [b"x"]
    body.abort()
    assert held.ended == 1
    body, held, _ = make_body(tmp_path)
    body.abort()
    body.abort()
    assert held.ended == 1
