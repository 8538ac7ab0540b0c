"""Hosts of other sites, each with a habit of its own, on an address of loopback."""

import socketserver
import threading
import time
from typing import Self

import attrs

SLOW_SECONDS = 0.3


@attrs.frozen
class Taken:
    """A message that a host answered with 250."""

    sender: bytes
    recipients: tuple[bytes, ...]
    content: bytes


class FarHost:
    """
    A host that takes mail, or does not.

    Args:
        greylist: refuses each recipient for now the first time.
        closes: ends the connection instead of answering the content, so many times.
        slow: takes its time for every reply.
        refuses: recipients that do not exist.
        defers: recipients that are never taken now.
        extensions: what EHLO offers beside ENHANCEDSTATUSCODES.
        content_seconds: how long it thinks before it answers the content.
        starttls: what it says to STARTTLS; it knows no TLS.

    Attributes:
        taken: what it answered with 250, in order.
        said: MAIL and RCPT commands, in order.
        connections: how many there were.
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        greylist: bool = False,
        closes: int = 0,
        slow: bool = False,
        refuses: tuple[bytes, ...] = (),
        defers: tuple[bytes, ...] = (),
        extensions: tuple[bytes, ...] = (b"8BITMIME",),
        content_seconds: float = 0,
        starttls: bytes = b"502 5.5.1 no such command",
    ) -> None:
        self.greylist = greylist
        self.closes = closes
        self.slow = slow
        self.refuses = refuses
        self.defers = defers
        self.extensions = extensions
        self.content_seconds = content_seconds
        self.starttls = starttls
        self.said: list[bytes] = []
        self.connections = 0
        self.seen: set[bytes] = set()
        self.taken: list[Taken] = []
        self.lock = threading.Lock()
        host = self

        class Conversation(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                Talk(host, self.rfile, self.wfile).run()

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        socketserver.ThreadingTCPServer.daemon_threads = True
        self._server = socketserver.ThreadingTCPServer((address, port), Conversation)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Talk:
    """One connection."""

    def __init__(self, host: FarHost, reader, writer) -> None:
        self.host = host
        self.reader = reader
        self.writer = writer
        self.sender = b""
        self.recipients: list[bytes] = []

    def reply(self, line: bytes) -> None:
        if self.host.slow:
            time.sleep(SLOW_SECONDS)
        self.writer.write(line + b"\r\n")

    def run(self) -> None:
        with self.host.lock:
            self.host.connections += 1
        self.reply(b"220 far.test ESMTP")
        while line := self.reader.readline():
            verb = line[:4].upper()
            if verb in {b"MAIL", b"RCPT"}:
                with self.host.lock:
                    self.host.said.append(line.rstrip())
            if verb == b"QUIT":
                self.reply(b"221 bye")
                return
            if verb == b"DATA":
                if not self.data():
                    return
            elif verb == b"MAIL":
                self.sender, self.recipients = line[10:].split(b">")[0].lstrip(b"<"), []
                self.reply(b"250 2.1.0 ok")
            elif verb == b"RCPT":
                self.rcpt(line[8:].split(b">")[0].lstrip(b"<"))
            elif verb == b"EHLO":
                offered = b"".join(b"250-%b\r\n" % extension for extension in self.host.extensions)
                self.reply(b"250-far.test\r\n" + offered + b"250 ENHANCEDSTATUSCODES")
            elif verb == b"STAR":
                self.reply(self.host.starttls)
            else:
                self.reply(b"250 2.0.0 ok")

    def rcpt(self, recipient: bytes) -> None:
        host = self.host
        if recipient in host.refuses:
            self.reply(b"550 5.1.1 no such user here")
            return
        with host.lock:
            known = recipient in host.seen
            host.seen.add(recipient)
        if recipient in host.defers or (host.greylist and not known):
            self.reply(b"451 4.7.1 greylisted, come back later")
            return
        self.recipients.append(recipient)
        self.reply(b"250 2.1.5 ok")

    def data(self) -> bool:
        if not self.recipients:
            self.reply(b"503 5.5.1 no recipients")
            return True
        self.reply(b"354 go on")
        lines = []
        while (line := self.reader.readline()) not in {b".\r\n", b""}:
            lines.append(line)
        with self.host.lock:
            if self.host.closes > 0:
                self.host.closes -= 1
                return False
            self.host.taken.append(Taken(self.sender, tuple(self.recipients), b"".join(lines)))
        time.sleep(self.host.content_seconds)
        self.reply(b"250 2.0.0 taken")
        return True
