"""``mailsuite demo`` in a child process, and what tests ask of it."""

import contextlib
import imaplib
import os
import secrets
import signal
import smtplib
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

import attrs
from free_ports import free_offset

T = TypeVar("T")
READY_SECONDS = 60
CONDITION_SECONDS = 30
PORTS = {
    "smtp": 25,
    "submission": 587,
    "submissions": 465,
    "imap": 143,
    "imaps": 993,
    "pop3": 110,
    "pop3s": 995,
    "manhole": 2222,
}
COMMAND = [sys.executable, "-m", "mailsuite.cli.main"]


@attrs.frozen
class Login:
    """An account and its password."""

    email: str
    password: str


def eventually(look: Callable[[], T], good: Callable[[T], bool], seconds: float = CONDITION_SECONDS) -> T:
    """Look until it is good."""
    deadline = time.monotonic() + seconds
    while True:
        value = look()
        if good(value):
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} seconds"
        time.sleep(0.02)


NOT_TO_THE_WORLD = {"MAILSUITE_QUEUE__MX": "false"}
"""Nothing is looked up in the DNS of the machine that runs the tests."""


class DemoServer:
    """One server on one folder; it can be stopped, killed and started again."""

    further_ports: Collection[int] = ()
    """Where it listens beside the well-known ports."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.offset = free_offset(self.further_ports)
        self.options = options
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", **NOT_TO_THE_WORLD, **(environment or {})}
        self.interpreter = COMMAND
        self.process: subprocess.Popen[str] | None = None
        self.output: list[str] = []

    def start(self) -> "DemoServer":
        """Start it and wait until it is ready."""
        self.output = []
        self.process = subprocess.Popen(
            self.arguments(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
        )
        ready = threading.Event()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        assert ready.wait(READY_SECONDS), "not ready:\n" + "".join(self.output)
        assert "mailsuite is ready\n" in self.output, "ended:\n" + "".join(self.output)
        return self

    def arguments(self) -> list[str]:
        """Give the command that runs it."""
        return [*self.interpreter, "demo", "--dir", str(self.folder), "--port-offset", str(self.offset), *self.options]

    def _read(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                self.output.append(line)
                if line.strip() == "mailsuite is ready":
                    ready.set()
        ready.set()

    def stop(self) -> int:
        """SIGTERM; give the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(CONDITION_SECONDS + 30)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def port(self, service: str) -> int:
        """Tell where a service listens."""
        return PORTS[service] + self.offset

    @property
    def certificate(self) -> Path:
        """The self-signed certificate."""
        return next((self.folder / "data" / "keys" / "tls").glob("*.crt"), None) or next(
            path
            for path in (self.folder / "data" / "keys" / "tls").glob("*.pem")
            if b"CERTIFICATE" in path.read_bytes()
        )

    @property
    def context(self) -> ssl.SSLContext:
        """Trust the certificate."""
        return ssl.create_default_context(cafile=str(self.certificate))

    def command(self, *arguments: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run the command line on this server's configuration."""
        done = subprocess.run(
            [*self.interpreter, "-c", str(self.folder / "mailsuite.toml"), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            env=self.environment,
            check=False,
        )
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def add_account(self) -> Login:
        """Make an account of its own for a test, while the server runs."""
        login = Login(f"user-{secrets.token_hex(6)}@example.test", secrets.token_hex(12))
        self.command("user", "add", login.email, "--password", login.password)
        return login

    def maildir(self, login: Login) -> Path:
        """Tell where an account's mail lies."""
        name, _, domain = login.email.partition("@")
        return self.folder / "data" / "mail" / domain / name

    @contextlib.contextmanager
    def imap(self, login: Login) -> Iterator[imaplib.IMAP4_SSL]:
        """Log in by IMAP over TLS."""
        client = imaplib.IMAP4_SSL("localhost", self.port("imaps"), ssl_context=self.context, timeout=CONDITION_SECONDS)
        try:
            client.login(login.email, login.password)
            yield client
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    def count(self, login: Login, mailbox: str = "INBOX") -> int:
        """Count an account's messages."""
        with self.imap(login) as client:
            kind, data = client.select(mailbox, readonly=True)
            assert kind == "OK", data
            return int(data[0])

    def send(self, target: Login, text: str, sender: str = "far@elsewhere.test") -> None:
        """Send a message from outside."""
        with smtplib.SMTP("localhost", self.port("smtp"), timeout=CONDITION_SECONDS) as client:
            client.sendmail(sender, [target.email], text.encode("utf-8"))

    eventually = staticmethod(eventually)


class MadeServer(DemoServer):
    """One that ``init`` made and ``serve`` runs, with settings of the test's own."""

    def __init__(self, folder: Path, settings: str = "", *options: str, environment: dict[str, str] | None = None):
        super().__init__(folder, *options, environment=environment)
        done = subprocess.run(
            [*COMMAND, "init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test"]
            + ["--port-offset", str(self.offset), "--listen", "127.0.0.1", "--self-signed"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with (folder / "mailsuite.toml").open("a") as stream:
            stream.write(settings)

    def arguments(self) -> list[str]:
        """Give the command that runs it."""
        return [*self.interpreter, "-c", str(self.folder / "mailsuite.toml"), "serve", *self.options]
