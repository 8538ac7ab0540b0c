"""Relaying: messages taken and sent on to smtp-sink per second, side by side with Postfix, in turns."""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import postfix
import servers

DEADLINE_SECONDS = 120
FAR = "far@sink.test"
COUNTED = re.compile(rb"mesg=([0-9]+)")


class Sink:
    """smtp-sink, which takes everything and counts."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.said = folder / f"sink-{port}"
        self.process: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Sink"]:
        """Run it for the length of a block."""
        command = [servers.program("smtp-sink", "postfix"), "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "1000"]
        with self.said.open("wb") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said)
            try:
                servers.wait_for_port(self.port, process)
                yield self
            finally:
                process.terminate()
                process.wait(10)

    def count(self) -> int:
        """How many messages it has taken."""
        with self.said.open("rb") as said:
            said.seek(max(0, self.said.stat().st_size - 4096))
            found = COUNTED.findall(said.read())
        return int(found[-1]) if found else 0


def relay(port: int, sink: Sink, arguments: argparse.Namespace) -> float:
    """Send, and wait until the sink has all; give messages a second."""
    before = sink.count()
    command = [servers.program("smtp-source", "postfix"), "-d", "-s", str(arguments.connections)]
    command += ["-m", str(arguments.messages), "-l", str(arguments.octets)]
    command += ["-f", "sender@elsewhere.test", "-t", servers.ADDRESS, f"127.0.0.1:{port}"]
    began = time.perf_counter()
    subprocess.run(command, check=True)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (count := sink.count() - before) < arguments.messages:
        if time.monotonic() > deadline:
            raise SystemExit(f"{count} of {arguments.messages} arrived")
        time.sleep(0.01)
    return arguments.messages / (time.perf_counter() - began)


def prepare(folder: Path, sink: Sink) -> None:
    """Let mail for the account go to the sink."""
    configuration = folder / "mailsuite.toml"
    with configuration.open("a", encoding="utf-8") as stream:
        stream.write(f'\n[[route]]\ndomain = "sink.test"\nhost = "127.0.0.1"\nport = {sink.port}\ntls = "none"\n')
    command = [*servers.MAILSUITE, "-c", str(configuration), "alias", "add", servers.ADDRESS, FAR]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--octets", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=0, help="server.workers of mailsuite")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["MAILSUITE_SERVER__WORKERS"] = str(arguments.workers)
    results: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        offset = servers.free_offset()
        ours, theirs = (stack.enter_context(Sink(folder, offset + number).running()) for number in (1, 2))
        process, own_offset = stack.enter_context(
            servers.mailsuite(folder / "mailsuite", 0, lambda made: prepare(made, ours))
        )
        route = (
            f"virtual_mailbox_domains =\nvirtual_alias_domains = example.test\nrelayhost = [127.0.0.1]:{theirs.port}\n"
        )
        route += f"virtual_alias_maps = inline:{{ {servers.ADDRESS}={FAR} }}\n"
        master, port = stack.enter_context(postfix.postfix(folder / "postfix", 0, route))
        started = [("mailsuite", own_offset + 25, ours, process.pid), ("postfix", port, theirs, master)]
        for round_ in range(arguments.rounds + 1):
            for name, number, sink, pid in started:
                cpu = servers.cpu_of_all(pid)
                rate = relay(number, sink, arguments)
                if round_:  # the first one warms up
                    cost = (servers.cpu_of_all(pid) - cpu) / arguments.messages * 1e6
                    results.setdefault(name, []).append((rate, cost))
    print(f"{arguments.messages} messages of {arguments.octets} octets relayed, {arguments.workers} workers")
    medians = {
        name: [statistics.median(column) for column in zip(*rounds, strict=True)] for name, rounds in results.items()
    }
    print(f"{'server':<12}{'relayed/s':>12}{'CPU us/msg':>12}{'ratio':>8}")
    for name, (rate, cost) in medians.items():
        print(f"{name:<12}{rate:>12.0f}{cost:>12.0f}{medians['mailsuite'][0] / rate:>8.2f}")


if __name__ == "__main__":
    main()
