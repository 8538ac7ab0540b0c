"""IMAP with very many mailboxes, side by side with Debian's Dovecot, in turns: milliseconds a command."""

import argparse
import os
import pwd
import statistics
import tempfile
import time
from pathlib import Path

import dovecot
from imap_dovecot import Server, started

SUBSCRIBED = 500
COMMANDS = {
    "LIST": b'LIST "" *',
    "LIST with STATUS": b'LIST "" * RETURN (STATUS (MESSAGES UNSEEN UIDNEXT))',
    "LSUB": b'LSUB "" *',
    "CREATE": b"CREATE Box%N",
    "RENAME": b"RENAME Box%N Renamed%N",
    "DELETE": b"DELETE Renamed%N",
}


def make(server: Server, mailboxes: int) -> None:
    """Make mailboxes as another program does."""
    user = pwd.getpwnam(dovecot.OWNER)
    home = server.maildir("many")
    home.mkdir(parents=True)
    os.chown(home, user.pw_uid, user.pw_gid)
    for number in range(mailboxes):
        for folder in ("", "/cur", "/new", "/tmp"):
            path = f"{home}/.Group{number // 100}.Box{number}{folder}"
            Path(path).mkdir()
            os.chown(path, user.pw_uid, user.pw_gid)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=9_800)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary, started(Path(temporary), 0) as both:
        for server in both:
            make(server, arguments.mailboxes)
            client = server.client("many")
            client.command(b'LIST "" *')
            for number in range(SUBSCRIBED):
                client.command(
                    b"SUBSCRIBE Group%d%bBox%d" % (number // 100, b"/" if server is both[0] else b".", number)
                )
            client.command(COMMANDS["LIST with STATUS"])
        for number in range(arguments.rounds):
            for name, command in COMMANDS.items():
                for server in both if number % 2 else both[::-1]:
                    cpu, began = server.cpu(), time.perf_counter()
                    server.client("many").command(command.replace(b"%N", b"%d" % number))
                    taken = time.perf_counter() - began
                    found.setdefault((name, server.name), []).append((taken, server.cpu() - cpu))
    print(f"{arguments.mailboxes} mailboxes, {SUBSCRIBED} subscribed, {arguments.rounds} rounds")
    print(f"{'command':<20}{'mailsuite ms':>14}{'CPU':>8}{'Dovecot ms':>14}{'CPU':>8}{'ratio':>8}")
    for name in COMMANDS:
        (ours, our_cpu), (theirs, their_cpu) = (
            [statistics.median(column) * 1000 for column in zip(*found[name, each], strict=True)]
            for each in ("mailsuite", "dovecot")
        )
        print(f"{name:<20}{ours:>14.1f}{our_cpu:>8.0f}{theirs:>14.1f}{their_cpu:>8.0f}{theirs / ours:>8.2f}")


if __name__ == "__main__":
    main()
