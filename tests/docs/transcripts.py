"""Reads the commands and answers out of the pages, and runs them as a reader would."""

import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import attrs

from mailsuite.cli.main import FOREIGN

ROOT = Path(__file__).parents[2]
READY = "mailsuite is ready"
SECONDS = 60
DEMO_OFFSET = 2000
PORTS = (25, 465, 587, 143, 993, 110, 995, 2222)


@attrs.frozen
class Step:
    """One command line, and what the page says it answers."""

    line: int
    command: str
    answer: str

    @property
    def runs_on(self) -> bool:
        """A server: the page goes on with another terminal."""
        return self.answer.rstrip().endswith(READY)


def pages() -> list[str]:
    """Name every page that somebody wrote, from the root of the source."""
    found = [ROOT / "README.rst", *(ROOT / "docs").rglob("*.rst")]
    names = [path.relative_to(ROOT).as_posix() for path in found]
    return sorted(name for name in names if not name.startswith(("docs/_generated/", "docs/_build/")))


def read_steps(page: Path) -> list[Step]:
    """Find the literal blocks whose lines begin with ``$ ``."""
    steps: list[Step] = []
    command, answer, number = "", [], 0

    def end() -> None:
        nonlocal command
        if command:
            steps.append(Step(number, command, "\n".join(answer).rstrip("\n")))
        command = ""

    lines = page.read_text(encoding="utf-8").splitlines()
    for index, line in enumerate(lines, 1):
        if line.startswith("    $ "):
            end()
            command, answer, number = line[6:], [], index
        elif command and command.endswith("\\") and not answer:
            command = command[:-1] + line.strip()
        elif line.startswith("    ") or not line.strip():
            answer.append(line[4:])
        else:
            end()
    end()
    return steps


def fits(answer: str, output: str) -> bool:
    """Compare what was printed with the page, where ``...`` stands for anything; spaces at line ends do not count."""
    text = "\n".join(line.rstrip() for line in output.rstrip().splitlines())
    return (
        re.fullmatch(".*?".join(re.escape(part) for part in answer.strip("\n").split("...")), text, re.DOTALL)
        is not None
    )


def programs(steps: list[Step]) -> set[str]:
    """Name what the commands need beside us."""
    words = {word for step in steps for word in re.findall(r"[\w.-]+", step.command)}
    return words & {"curl", "swaks", "openssl", "sqlite3", "dig", "ssh"}


def talk(host: str, port: int, shown: str) -> str:
    """
    Do what somebody does with telnet: read what the server says, and type the lines behind ``>`` that the page shows.

    Returns:
        What stood on the screen.
    """
    screen = ""
    with socket.create_connection((host, port), SECONDS) as wire, wire.makefile("rwb", buffering=0) as stream:
        for line, after in itertools.pairwise([*shown.split("\n"), "> "]):
            if line.startswith(">"):
                screen += f"{line}\n"
                stream.write(line[1:].removeprefix(" ").encode() + b"\r\n")
            elif after.startswith(">") and line.strip():
                # Somebody types when the last line before it stands there.
                while not fits(line, screen.splitlines()[-1] if screen else ""):
                    said = stream.readline()
                    assert said, f"the server hung up:\n{screen}"
                    screen += said.decode().rstrip("\r\n") + "\n"
        while said := stream.readline():
            screen += said.decode().rstrip("\r\n") + "\n"
    return screen


class Terminal:
    """A folder, free ports and a PATH with our commands in it."""

    def __init__(self, folder: Path, offset: int) -> None:
        self.folder = folder
        self.offset = offset
        binaries = folder / "bin"
        binaries.mkdir()
        self._write_command(binaries / "mailsuite", "from mailsuite.cli.main import main; main()")
        for name, module in FOREIGN.items():
            self._write_command(binaries / name, f"from mailsuite.cli.{module} import command; command()")
        self._write_command(binaries / "twistd", "from twisted.scripts.twistd import run; run()")
        (folder / "tmp").mkdir()
        self.environment = {
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(folder / "tmp"),
            "MAILSUITE_QUEUE__MX": "false",  # nothing leaves the machine that runs the tests
            "MAILSUITE_SERVER__PORT_OFFSET": str(offset),
            "MAILSUITE_SERVER__LISTEN_ADDRESS": '["127.0.0.1"]',
        }
        self.environment.pop("MAILSUITE_CONFIG", None)
        self.servers: list[subprocess.Popen[str]] = []

    @staticmethod
    def _write_command(path: Path, code: str) -> None:
        # -P: the name of the script's folder must not come before the installed packages.
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -c {shlex.quote(code)} "$@"\n')
        path.chmod(0o755)

    def adapt(self, text: str) -> str:
        """Put this terminal's folder and ports in place of those on the page."""
        text = text.replace("/tmp/", f"{self.folder}/tmp/").replace("/srv/mail", f"{self.folder}/srv")
        for port in PORTS:
            text = re.sub(rf"(?<=[: ]){DEMO_OFFSET + port}\b", str(self.offset + port), text)
            text = re.sub(rf"(?<=127\.0\.0\.1[:/]){port}\b", str(self.offset + port), text)
            text = re.sub(rf"(?<=\[127\.0\.0\.1\]:){port}\b|(?<=ssh -p ){port}\b", str(self.offset + port), text)
            text = re.sub(rf"(?<=127\.0\.0\.1 port ){port}\b", str(self.offset + port), text)
            text = re.sub(rf"(?<=start: port ){port}\b", str(self.offset + port), text)
        for path in ("etc/mailsuite.tac", "tests/data/"):
            text = text.replace(path, f"{ROOT}/{path}")
        return text.replace(".venv/bin/", "")

    def run(self, step: Step) -> None:
        """
        Run one command; a server goes on.

        Raises:
            AssertionError: the answer is another one than the page shows.
        """
        if export := re.fullmatch(r"export (\w+)=(\S+)", step.command):
            self.environment[export[1]] = self.adapt(export[2])
            output = ""
        elif dialogue := re.fullmatch(r"telnet (\S+) (\d+)", self.adapt(step.command)):
            output = talk(dialogue[1], int(dialogue[2]), step.answer)
        elif step.runs_on:
            output = self._start(self.adapt(step.command))
        else:
            done = subprocess.run(
                ["bash", "-c", self.adapt(step.command)],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            output = done.stdout
        answer = self.adapt(step.answer)
        assert fits(answer, output), f"line {step.line}: {step.command}\nthe page says:\n{answer}\nit was:\n{output}"

    def _start(self, command: str) -> str:
        process = subprocess.Popen(
            ["bash", "-c", f"exec env {command}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.servers.append(process)
        assert process.stdout is not None
        lines: list[str] = []
        watch = threading.Timer(SECONDS, process.kill)
        watch.start()
        for line in process.stdout:
            lines.append(line)
            if line.strip() == READY:
                break
        else:
            raise AssertionError(f"{command} ended:\n" + "".join(lines))
        watch.cancel()
        # Somebody has to read on, or a server that logs to its terminal stops.
        threading.Thread(target=self._read_on, args=(process.stdout,), daemon=True).start()
        return "".join(lines)

    @staticmethod
    def _read_on(stream: IO[str]) -> None:
        with stream:
            stream.read()

    def stop_servers(self) -> None:
        """
        Press Ctrl-C in every terminal where a server runs.

        Raises:
            AssertionError: one did not end well.
        """
        servers, self.servers = self.servers, []
        for process in servers:
            process.send_signal(signal.SIGINT)
        assert [process.wait(SECONDS) for process in servers] == [0] * len(servers)

    def kill_servers(self) -> None:
        """Leave nothing behind after a failed test."""
        for process in self.servers:
            process.kill()
            process.wait()
