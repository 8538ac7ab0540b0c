import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from mailsuite.address import Address
from mailsuite.durable import Disk, InlineLane
from mailsuite.envelope import Envelope, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body
from mailsuite.mta import RouteSettings, SpoolMessage
from mailsuite.mta.relay import PIECE_OCTETS, Destination, RelayAgent, SpooledContent, client_settings
from mailsuite.smtp.settings import TLSPolicy
from mailsuite.testing.faults import FaultyDisk

TRACE = b"Return-Path: <s@far.test>\r\n"


def message(content):
    return SpoolMessage(
        message_id=1, received=0, sender=Sender(path=None), targets=(), content=content, trace_octets=len(TRACE)
    )


def read_all(content, outcome):
    pieces = []
    while piece := outcome(content.read()):
        if isinstance(piece, Exception):
            raise piece
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("length", [0, 1, PIECE_OCTETS, PIECE_OCTETS + 1, 3 * PIECE_OCTETS])
@pytest.mark.parametrize("in_file", [False, True])
def test_the_content_is_read_in_pieces_without_return_path(tmp_path, outcome, length, in_file):
    octets = TRACE + b"x" * length
    path = str(tmp_path / "1")
    disk = FaultyDisk()
    disk.write_file(path, [octets], sync=False)
    content = SpooledContent(message(Body(path, len(octets)) if in_file else octets), disk, InlineLane())
    assert content.size == length
    pieces = read_all(content, outcome)
    assert b"".join(pieces) == b"x" * length
    assert all(len(piece) <= PIECE_OCTETS for piece in pieces)
    assert outcome(content.read()) == b""
    content.close()
    content.close()
    assert [call.operation for call in disk.trace].count("open") == [call.operation for call in disk.trace].count(
        "close"
    )


def test_a_file_that_cannot_be_read_is_temporary(tmp_path, outcome):
    path = str(tmp_path / "1")
    for disk, size in ((Disk(), 500), (FaultyDisk(fail_at=1, operations={"read"}), 500)):
        disk.write_file(path, [TRACE], sync=False)
        content = SpooledContent(message(Body(path, size)), disk, InlineLane())
        with pytest.raises(MailError) as caught:
            read_all(content, outcome)
        assert caught.value.kind is Kind.UNAVAILABLE
        content.close()


def test_a_route_says_how_it_is_spoken_to():
    settings = client_settings(RouteSettings(domain="*", host="h.test", username="u", password="p"), "mx.test")
    assert (settings.hostname, settings.username, settings.password) == (b"mx.test", b"u", b"p")
    assert settings.tls is TLSPolicy.OPPORTUNISTIC
    assert settings.tls_creator is None
    assert not settings.allow_cleartext
    assert client_settings(RouteSettings(domain="*", host="h.test", tls="none"), "mx.test").allow_cleartext
    assert client_settings(RouteSettings(domain="*", host="h.test", tls="require"), "mx.test").tls_creator is not None


def test_a_password_is_not_shown():
    assert "secret" not in repr(RouteSettings(domain="*", host="h.test", password="secret"))


def test_the_agent_connects_to_the_routes_host_and_port():
    reactor = MemoryReactorClock()
    agent = RelayAgent(reactor, "mx.example.test")
    envelope = Envelope(sender=Sender(path=None), recipients=(Recipient(path=Address("x", "remote.test")),))
    content = SpooledContent(message(TRACE + b"x"), Disk(), InlineLane())
    route = RouteSettings(domain="*", host="127.0.0.1", port=2525)
    results = []
    running = Deferred.fromCoroutine(agent(Destination(domain="*", route=route), envelope, lambda: content))
    running.addBoth(results.append)
    reactor.advance(1)
    assert reactor.tcpClients[0][:2] == ("127.0.0.1", 2525)
    reactor.advance(3600)
    (outcomes,) = results
    assert [(outcome.state.value, outcome.host) for outcome in outcomes] == [("deferred", "127.0.0.1")]
