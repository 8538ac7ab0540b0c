"""COMPRESS: the stream by itself, and sessions that go on compressed."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.imap.compressed import READ_AHEAD_MAX_OCTETS
from mailsuite.imap.deflate import PIECE_OCTETS, DeflateStream


class Far:
    """What a client does with the octets."""

    def __init__(self):
        self._deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        self._inflate = zlib.decompressobj(-15)

    def write(self, octets):
        return self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def read(self, octets):
        return self._inflate.decompress(octets)


def taken(stream):
    return b"".join(iter(stream.take, b""))


@given(st.lists(st.binary(max_size=300).map(lambda octets: octets * 100), max_size=6), st.integers(1, 50))
def test_what_is_written_arrives_however_it_is_cut(pieces, size):
    stream, far = DeflateStream(), Far()
    for piece in pieces:
        assert far.read(stream.compress(piece)) == piece
        octets = far.write(piece)
        got = b""
        for start in range(0, len(octets), size):
            stream.feed(octets[start : start + size])
            got += taken(stream)
        assert got == piece


@pytest.mark.parametrize("count", [PIECE_OCTETS - 1, PIECE_OCTETS, PIECE_OCTETS + 1, 10 * PIECE_OCTETS + 100])
def test_it_comes_in_pieces(count):
    stream = DeflateStream()
    stream.feed(Far().write(b"x" * count))
    pieces = list(iter(stream.take, b""))
    assert max(map(len, pieces)) <= PIECE_OCTETS
    assert sum(map(len, pieces)) == count


def test_what_is_not_compressed_and_what_ends_cannot_be_read():
    stream = DeflateStream()
    stream.feed(b"\xff\xff\xff\xff")
    with pytest.raises(ValueError, match=r"."):
        taken(stream)
    stream = DeflateStream()
    stream.feed(zlib.compress(b"NOOP", wbits=-15))
    with pytest.raises(ValueError, match="end"):
        taken(stream)


@given(
    st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4), st.binary(max_size=40), st.integers(1, 60)
)
def test_a_stream_can_be_left_behind_what_was_flushed(pieces, plain, size):
    stream, far = DeflateStream(), Far()
    octets = b"".join(map(far.write, pieces)) + plain
    wanted = b"".join(pieces)
    got = b""
    for start in range(0, len(octets), size):
        stream.feed(octets[start : start + size])
        while stream.waiting_octets and not (len(got) == len(wanted) and stream.is_flushed):
            got += stream.step()
    assert got == wanted
    assert stream.end() == plain.removeprefix(b"\x03\x00")


@pytest.mark.parametrize("plain", [b"", b"b NOOP\r\n"])
def test_a_stream_that_has_an_end_can_be_left_as_well(plain):
    stream = DeflateStream()
    stream.feed(zlib.compress(b"a UNAUTHENTICATE\r\n", wbits=-15) + plain)
    assert stream.take() == b"a UNAUTHENTICATE\r\n"
    assert stream.end() == plain


@pytest.fixture
def client(suite):
    client = suite.connect().login()
    assert client.send(b"c COMPRESS DEFLATE\r\n") == b"c OK DEFLATE active\r\n"
    client.far = Far()
    return client


def say(client, octets):
    return client.far.read(client.send(client.far.write(octets)))


def test_a_session_goes_on_compressed(suite, mail, client):
    suite.account.put("INBOX", mail())
    assert b"* 1 EXISTS\r\n" in say(client, b"a SELECT INBOX\r\n")
    assert say(client, b"b NOOP\r\nc NOOP\r\n").count(b"OK NOOP completed") == 2
    content = b"Subject: x\r\n\r\n" + b"y" * 100_000
    assert say(client, b"d APPEND INBOX {%d+}\r\n%b\r\n" % (len(content), content)).startswith(b"* 2 EXISTS")
    assert content in say(client, b"e FETCH 2 BODY.PEEK[]\r\n")


def test_changes_are_told_compressed(suite, mail, client):
    say(client, b"a SELECT INBOX\r\n")
    assert say(client, b"b IDLE\r\n").startswith(b"+ ")
    suite.account.deliver("INBOX", mail())
    client.settle()
    assert b"* 1 EXISTS\r\n" in client.far.read(client.received())


def test_every_octet_may_come_alone(client):
    answer = b""
    for octet in client.far.write(b"a NOOP\r\n"):
        answer += client.send(bytes([octet]))
    assert client.far.read(answer) == b"a OK NOOP completed\r\n"


def test_it_is_for_those_who_are_logged_in_and_only_once(suite, client):
    stranger = suite.connect()
    stranger.received()
    assert stranger.run(b"COMPRESS DEFLATE")[1].startswith(b"BAD")
    other = suite.connect().login()
    assert any(b"COMPRESS=DEFLATE" in line for line in other.ok(b"CAPABILITY"))
    assert other.run(b"COMPRESS LZ4")[1].startswith(b"BAD ")
    assert say(client, b"d COMPRESS DEFLATE\r\n").startswith(b"d BAD DEFLATE is active already")
    assert b"COMPRESS=DEFLATE" not in say(client, b"e CAPABILITY\r\n")


def test_what_comes_before_the_answer_ends_the_session(suite):
    client = suite.connect().login()
    assert client.send(b"c COMPRESS DEFLATE\r\nd NOOP\r\n").startswith(b"* BYE ")
    assert not client.connected


def test_nonsense_ends_the_session(client):
    answer = client.far.read(client.send(b"\xff\xff\xff\xff\xff"))
    assert answer.startswith(b"* BYE ")
    assert not client.connected


def test_few_octets_that_stand_for_many_do_not_fill_the_memory(suite, client):
    gate = suite.gate()
    many = client.far.write(b"c NOOP\r\n" * 30_000)
    client.send(client.far.write(b"b SELECT INBOX\r\n") + many)
    assert client.server.assembler.buffered_octets <= READ_AHEAD_MAX_OCTETS + PIECE_OCTETS
    assert client.transport.producerState == "paused"
    gate.callback(None)
    client.settle()
    assert client.far.read(client.received()).count(b"OK NOOP") > 100
