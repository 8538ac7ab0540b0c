"""IMAP side by side with Debian's Dovecot, in turns: what the rows of `ROWS` say, over the same messages."""

import argparse
import contextlib
import selectors
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import dovecot
import maildirs
import servers
from imap_fetch import Client

SUMMARY = b"FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
FIELDS = b"FETCH 1:* (BODY.PEEK[HEADER.FIELDS (FROM TO CC SUBJECT DATE MESSAGE-ID IN-REPLY-TO REFERENCES)])"
SORT = b"SORT (REVERSE DATE) UTF-8 ALL"
THREAD = b"THREAD REFERENCES UTF-8 ALL"
SMALL_OCTETS = 1500
LARGE_OCTETS = 6500


@attrs.define
class Server:
    """One of the two, and what has been measured of it: seconds and processor seconds of each round, by row."""

    name: str
    port: int
    maildir: Callable[[str], Path]
    cpu: Callable[[], float]
    clients: dict[str, Client] = attrs.field(factory=dict)
    found: dict[str, list[tuple[float, float]]] = attrs.field(factory=dict)

    def client(self, account: str) -> Client:
        """Give the one connection of an account, logged in."""
        if account not in self.clients:
            client = Client(self.port)
            client.command(f"LOGIN {account}@example.test {servers.PASSWORD}".encode())
            self.clients[account] = client
        return self.clients[account]


@attrs.frozen
class Round:
    """Which round it is, and how much there is."""

    number: int
    messages: int
    large: int


Work = Callable[[Server, Round], int]
"""Does something and gives how many operations that was."""


@attrs.frozen
class Row:
    """
    One line of the table.

    Args:
        target: the lowest ratio that is aimed at.
        prepare: done before, not measured.
    """

    name: str
    target: float
    work: Work
    prepare: Work = lambda _server, _round: 0


def select_first(server: Server, turn: Round) -> int:
    """SELECT a Maildir that was never seen."""
    server.client(f"first{turn.number}").command(b"SELECT INBOX")
    return 1


def say(account: str, command: bytes, times: int = 1) -> Work:
    """Do a command in the INBOX of an account; count its messages."""

    def work(server: Server, turn: Round) -> int:
        client = server.client(account.format(turn.number))
        for _ in range(times):
            client.command(command)
        return times * turn.messages

    return work


def repeat(account: str, command: bytes, times: int, per: int = 1) -> Work:
    """Do a command some times; count commands, or what each is about."""

    def work(server: Server, turn: Round) -> int:
        for number in range(1, times + 1):
            server.client(account.format(turn.number)).command(command.replace(b"%N", b"%d" % number))
        return times * per

    return work


def select_warm(server: Server, turn: Round) -> int:
    """SELECT what is known, ten times."""
    del turn
    for _ in range(10):
        server.client("small").command(b"SELECT INBOX")
    return 10


def flags_of_many(server: Server, turn: Round) -> int:
    """FLAGS of the large mailbox."""
    server.client("many").command(b"UID FETCH 1:* (FLAGS)")
    return turn.large


def append(server: Server, turn: Round) -> int:
    """APPEND one message at a time."""
    content = maildirs.message(turn.number, SMALL_OCTETS)
    for _ in range(100):
        server.client("work").command(b"APPEND Added {%d+}\r\n%b" % (len(content), content))
    return 100


def multiappend(server: Server, turn: Round) -> int:
    """APPEND fifty at once, four times."""
    content = maildirs.message(turn.number, SMALL_OCTETS)
    for _ in range(4):
        server.client("work").command(b"APPEND Added" + b" {%d+}\r\n%b" % (len(content), content) * 50)
    return 200


def fresh(name: bytes) -> Work:
    """Make a mailbox for this round."""

    def work(server: Server, turn: Round) -> int:
        server.client("body").command(b"CREATE %b%d" % (name, turn.number))
        return 0

    return work


def copy(server: Server, turn: Round) -> int:
    """COPY a thousand."""
    server.client("body").command(b"COPY 1:1000 Copied%d" % turn.number)
    return 1000


def select_copied(server: Server, turn: Round) -> int:
    """Have the copies, and where they go."""
    client = server.client("mover")
    if not turn.number:
        client.command(b"CREATE Moved")
    client.command(b"SELECT INBOX")
    return 0


def move(server: Server, turn: Round) -> int:
    """MOVE some hundreds with one command."""
    del turn
    server.client("mover").command(b"MOVE 1:400 Moved")
    return 400


def move_singly(server: Server, turn: Round) -> int:
    """MOVE one at a time."""
    del turn
    for _ in range(60):
        server.client("mover").command(b"MOVE 1 Moved")
    return 60


def noop_of_many(server: Server, turn: Round) -> int:
    """NOOP of fifty connections, one in flight on each."""
    del turn
    clients = [server.client(f"idle{number}") for number in range(50)]
    left = dict.fromkeys(clients, 40)
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.socket.sendall(b"n NOOP\r\n")
        while selector.get_map():
            for key, _ in selector.select(30):
                client = key.data
                client.socket.recv(4096)
                left[client] -= 1
                if left[client]:
                    client.socket.sendall(b"n NOOP\r\n")
                else:
                    selector.unregister(client.socket)
    return 2000


ROWS = (
    Row("SELECT of a Maildir never seen", 0.5, select_first),
    Row("FETCH summary, first time", 1, say("first{}", SUMMARY)),
    Row("SELECT, known", 0.5, select_warm),
    Row("UID FETCH 1:* (FLAGS)", 1, say("small", b"UID FETCH 1:* (FLAGS)", 3)),
    Row("UID FETCH 1:* (FLAGS), many messages", 1, flags_of_many),
    Row("FETCH summary", 4, say("small", SUMMARY)),
    Row("FETCH 8 header fields", 1, say("small", FIELDS)),
    Row("FETCH BODY.PEEK[], 6.5 KB", 1, repeat("body", b"FETCH 1:2000 BODY.PEEK[]", 1, 2000)),
    Row("APPEND", 1.5, append),
    Row("APPEND of 50", 1.5, multiappend),
    Row("STORE of 2,000", 2, repeat("body", b"STORE 1:2000 +FLAGS.SILENT (\\Flagged)", 1, 2000),
        repeat("body", b"STORE 1:2000 -FLAGS.SILENT (\\Flagged)", 1)),
    Row("STORE, one at a time", 0.7, repeat("body", b"STORE %N +FLAGS (\\Answered)", 200),
        repeat("body", b"STORE 1:2000 -FLAGS.SILENT (\\Answered)", 1)),
    Row("COPY of 1,000", 1, copy, fresh(b"Copied")),
    Row("MOVE of 400", 1, move, select_copied),
    Row("MOVE, one at a time", 2, move_singly),
    Row("NOOP", 1, repeat("small", b"NOOP", 500)),
    Row("NOOP, 50 connections", 1, noop_of_many),
    Row("SEARCH UNSEEN", 2, repeat("small", b"SEARCH UNSEEN", 10)),
    Row("SEARCH SUBJECT", 3, repeat("small", b"SEARCH SUBJECT garden", 3)),
    Row("SEARCH BODY", 10, repeat("small", b"SEARCH BODY needle", 1)),
    Row("SORT (REVERSE DATE), first in a session", 1, repeat("small", SORT, 1), repeat("small", b"SELECT INBOX", 1)),
    Row("SORT (REVERSE DATE), again", 1, repeat("small", SORT, 3)),
    Row("THREAD REFERENCES, first in a session", 1, repeat("small", THREAD, 1), repeat("small", b"SELECT INBOX", 1)),
    Row("THREAD REFERENCES, again", 1, repeat("small", THREAD, 3)),
)  # fmt: skip


def measure(row: Row, server: Server, turn: Round) -> None:
    """Do a row once."""
    row.prepare(server, turn)
    cpu = server.cpu()
    began = time.perf_counter()
    count = row.work(server, turn)
    seconds = time.perf_counter() - began
    server.found.setdefault(row.name, []).append((seconds / count, (server.cpu() - cpu) / count))


def fill(both: list[Server], source: Path, arguments: argparse.Namespace) -> None:
    """Give both the same mail, and let both index all but what is to be seen for the first time."""
    small = maildirs.write(source / "small", arguments.messages, SMALL_OCTETS, dovecot.OWNER)
    body = maildirs.write(source / "body", 2000, LARGE_OCTETS, dovecot.OWNER)
    many = maildirs.write(source / "many", arguments.large, 200, dovecot.OWNER)
    for server in both:
        for account in ("small", *(f"first{number}" for number in range(arguments.rounds))):
            maildirs.link(small, server.maildir(account), dovecot.OWNER)
        for account in ("body", "mover"):
            maildirs.link(body, server.maildir(account), dovecot.OWNER)
        maildirs.link(many, server.maildir("many"), dovecot.OWNER)
        for account in ("small", "body", "mover", "many"):
            server.client(account).command(b"SELECT INBOX")
        for command in (SUMMARY, FIELDS, SORT, THREAD):
            server.client("small").command(command)
        server.client("work").command(b"CREATE Added")
        for number in range(50):
            server.client(f"idle{number}").command(b"SELECT INBOX")


ACCOUNTS = ["small", "body", "mover", "many", "work", *(f"idle{number}" for number in range(50))]


@contextlib.contextmanager
def started(folder: Path, rounds: int) -> Iterator[list[Server]]:
    """Run both."""
    names = [*ACCOUNTS, *(f"first{number}" for number in range(rounds))]
    with contextlib.ExitStack() as stack:
        ours = folder / "mailsuite"
        addresses = [f"{name}@example.test" for name in names]
        process, offset = stack.enter_context(servers.mailsuite(ours, addresses))
        peer = folder / "dovecot"
        peer.mkdir()
        master, port = stack.enter_context(dovecot.dovecot(peer))
        mail = ours / "data" / "mail" / "example.test"
        yield [
            Server("mailsuite", offset + 143, lambda name: mail / name, lambda: servers.cpu_of_all(process.pid)),
            Server("dovecot", port, lambda name: peer / "mail" / name, lambda: servers.cpu_of_all(master)),
        ]


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000, help="messages of the large mailbox")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--rows", default="", help="only rows whose name contains this, or one of several with a comma between"
    )
    arguments = parser.parse_args()
    parts = arguments.rows.lower().split(",")
    rows = [row for row in ROWS if any(part in row.name.lower() for part in parts)]
    with tempfile.TemporaryDirectory() as temporary, started(Path(temporary), arguments.rounds) as both:
        fill(both, Path(temporary, "source"), arguments)
        for number in range(arguments.rounds):
            turn = Round(number, arguments.messages, arguments.large)
            for row in rows:
                for server in both if number % 2 else both[::-1]:
                    measure(row, server, turn)
        print(f"{arguments.messages} and {arguments.large} messages, {arguments.rounds} rounds; us of processor time")
        print(f"{'work':<42}{'mailsuite/s':>13}{'CPU':>8}{'Dovecot/s':>13}{'CPU':>8}{'ratio':>8}{'target':>8}")
        for row in rows:
            (ours, our_cpu), (theirs, their_cpu) = (
                [statistics.median(column) for column in zip(*server.found[row.name], strict=True)] for server in both
            )
            print(
                f"{row.name:<42}{1 / ours:>13,.0f}{our_cpu * 1e6:>8.1f}{1 / theirs:>13,.0f}{their_cpu * 1e6:>8.1f}"
                f"{theirs / ours:>8.2f}{row.target:>8}"
            )


if __name__ == "__main__":
    main()
