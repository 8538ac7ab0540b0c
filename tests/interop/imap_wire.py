"""IMAP as octets: what a server answers, not what a library makes of it."""

import re
import socket
from collections.abc import Iterable, Sequence

from demo_server import CONDITION_SECONDS

_LITERAL = re.compile(rb"\{([0-9]+)\}\r\n\Z")


class Wire:
    """One connection in the clear."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), CONDITION_SECONDS)
        self._stream = self._socket.makefile("rb")
        self._number = 0
        self._stream.readline()
        self.command(b'LOGIN "%b" "%b"' % (user.encode(), password.encode()))

    def close(self) -> None:
        """Leave."""
        self.command(b"LOGOUT")
        self._stream.close()
        self._socket.close()

    def _line(self) -> bytes:
        """Read a line with the literals in it, without its end."""
        read = b""
        while True:
            line = self._stream.readline()
            assert line.endswith(b"\r\n"), (read[-200:], line[-200:])
            read += line
            found = _LITERAL.search(line)
            if found is None:
                return read[:-2]
            read += self._stream.read(int(found[1]))

    def command(self, words: bytes, ends: bytes = b"OK") -> list[bytes]:
        """Say it and give the untagged answers; they must end with OK, or as it is said."""
        self._number += 1
        tag = b"c%d" % self._number
        self._socket.sendall(tag + b" " + words + b"\r\n")
        answers = []
        while True:
            line = self._line()
            if line.startswith(tag):
                assert line.startswith(tag + b" " + ends), (words[:300], line[:300])
                return answers
            answers.append(line)

    def append(self, messages: Iterable[bytes]) -> None:
        """Append messages, each by itself."""
        for octets in messages:
            self.command(b"APPEND INBOX {%d+}\r\n%b" % (len(octets), octets))

    def fetch(self, number: int, items: Sequence[bytes]) -> bytes:
        """Fetch items of a message; give the only answer."""
        answers = [
            line for line in self.command(b"FETCH %d (%b)" % (number, b" ".join(items))) if b" FETCH (" in line[:40]
        ]
        assert len(answers) == 1, answers
        return answers[0]
