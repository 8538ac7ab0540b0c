"""A sender of many small messages that costs next to nothing itself: to many accounts, which smtp-source cannot."""

import itertools
import selectors
import socket
import time
from collections.abc import Iterator

REPLY_SECONDS = 30


class Session:
    """One connection: a message at a time, a command at a time."""

    def __init__(self, port: int, messages: Iterator[tuple[bytes, bytes]]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.messages = messages
        self.script = self._script()
        self.latencies: list[float] = []

    def _script(self) -> Iterator[bytes]:
        """Give what is said after each reply; the first one is the greeting."""
        yield b"EHLO load.test\r\n"
        for recipient, content in self.messages:
            began = time.perf_counter()
            yield b"MAIL FROM:<sender@elsewhere.test>\r\n"
            yield b"RCPT TO:<%b>\r\n" % recipient
            yield b"DATA\r\n"
            yield content
            self.latencies.append(time.perf_counter() - began)

    def go_on(self) -> bool:
        """Read a reply and say what follows; False when that is nothing."""
        reply = self.socket.recv(4096)
        if reply[:1] not in {b"2", b"3"} or not reply.endswith(b"\r\n"):
            raise SystemExit(f"the server says {reply!r}")
        line = next(self.script, None)
        if line is None:
            return False
        self.socket.sendall(line)
        return True


def send(port: int, addresses: list[str], *, messages: int, connections: int, octets: int) -> list[float]:
    """Send messages to addresses in turn; give the seconds from MAIL to the last 250 of each."""
    content = b"Subject: load\r\n\r\n" + (b"x" * 70 + b"\r\n") * (octets // 72) + b".\r\n"
    recipients = itertools.cycle(address.encode("ascii") for address in addresses)
    shared = ((recipient, content) for recipient in itertools.islice(recipients, messages))
    sessions = [Session(port, shared) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for session in sessions:
            selector.register(session.socket, selectors.EVENT_READ, session)
        while selector.get_map():
            ready = selector.select(REPLY_SECONDS)
            if not ready:
                raise SystemExit("the server does not answer")
            for key, _ in ready:
                if not key.data.go_on():
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
    return [latency for session in sessions for latency in session.latencies]
