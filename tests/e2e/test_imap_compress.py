"""A compressed IMAP session over TLS, spoken by Python's own zlib."""

import socket
import zlib

from demo_server import CONDITION_SECONDS


class Compressed:
    """Lines over a socket that is compressed both ways."""

    def __init__(self, connection):
        self._connection = connection
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        self._inflate = zlib.decompressobj(-15)
        self.received = 0

    def run(self, tag, command):
        """Say a command; give all that is answered."""
        octets = tag + b" " + command + b"\r\n"
        self._connection.sendall(self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH))
        answer = b""
        while b"\r\n" + tag + b" " not in b"\r\n" + answer or not answer.endswith(b"\r\n"):
            got = self._connection.recv(65536)
            assert got, answer
            self.received += len(got)
            answer += self._inflate.decompress(got)
        return answer


def test_a_session_is_compressed_within_tls(demo, account):
    login = account()
    text = b"Subject: many\r\n\r\n" + b"the same line again and again\r\n" * 5000
    with (
        socket.create_connection(("localhost", demo.port("imaps")), CONDITION_SECONDS) as plain,
        demo.context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        stream = tls.makefile("rb")
        assert stream.readline().startswith(b"* OK ")
        tls.sendall(b"a LOGIN %b %b\r\n" % (login.email.encode(), login.password.encode()))
        assert b"COMPRESS=DEFLATE" in stream.readline()
        tls.sendall(b"b COMPRESS DEFLATE\r\n")
        assert stream.readline().startswith(b"b OK ")
        session = Compressed(tls)
        assert b"APPENDUID" in session.run(b"c", b"APPEND INBOX {%d+}\r\n%b" % (len(text), text))
        assert b"* 1 EXISTS\r\n" in session.run(b"d", b"SELECT INBOX")
        before = session.received
        assert text in session.run(b"e", b"FETCH 1 BODY.PEEK[]")
        assert session.received - before < len(text) / 20
        assert b"* BYE " in session.run(b"f", b"LOGOUT")
