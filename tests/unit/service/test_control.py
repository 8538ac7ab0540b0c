import json

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mailsuite.errors import Kind, MailError
from mailsuite.service.control import REQUEST_MAX_OCTETS, REQUEST_SECONDS, ControlFactory


async def _echo(request):
    return request["text"]


async def _refuse(_request):
    raise MailError(Kind.NOT_FOUND, "no such thing")


async def _fail(_request):
    raise RuntimeError("secret detail")


@pytest.fixture
def connection():
    clock = Clock()
    factory = ControlFactory({"echo": _echo, "refuse": _refuse, "fail": _fail}, clock)
    protocol = factory.buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    protocol.clock_of_test = clock
    return protocol, transport


def _ask(connection, line):
    protocol, transport = connection
    protocol.dataReceived(line + b"\n")
    assert transport.disconnecting
    return json.loads(transport.value())


def test_a_command_is_answered(connection):
    assert _ask(connection, b'{"command": "echo", "text": "hi"}') == {"result": "hi"}


def test_a_refusal_is_told_in_its_words(connection):
    assert _ask(connection, b'{"command": "refuse"}') == {"error": "no such thing", "kind": "NOT_FOUND"}


def test_a_fault_of_ours_is_told_without_detail(connection):
    answer = _ask(connection, b'{"command": "fail"}')
    assert answer["kind"] == "UNAVAILABLE"
    assert "secret" not in answer["error"]


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"[]", b"{}", b'{"command": 1}', b'{"command": "other"}', b"[" * 20000, b"\xff"]
)
def test_what_is_no_command_is_refused(connection, line):
    assert _ask(connection, line)["kind"] == "NOT_FOUND"


def test_octet_by_octet_is_the_same(connection):
    protocol, transport = connection
    for octet in b'{"command": "echo", "text": "hi"}\n':
        protocol.dataReceived(bytes([octet]))
    assert json.loads(transport.value()) == {"result": "hi"}


def test_one_connection_asks_once(connection):
    protocol, transport = connection
    protocol.dataReceived(b'{"command": "echo", "text": "1"}\n{"command": "echo", "text": "2"}\n')
    assert transport.value().count(b"\n") == 1


def test_who_asks_nothing_or_too_much_is_cut_off(connection):
    protocol, transport = connection
    protocol.clock_of_test.advance(REQUEST_SECONDS)
    assert transport.disconnected or transport.aborting
    other = ControlFactory({}, Clock()).buildProtocol(None)
    other_transport = StringTransport()
    other.makeConnection(other_transport)
    other.dataReceived(b"x" * (REQUEST_MAX_OCTETS + 1))
    assert other_transport.disconnecting


def test_waiting_leaves_no_timer_behind(connection):
    protocol, _ = connection
    protocol.connectionLost(None)
    assert protocol.clock_of_test.getDelayedCalls() == []
