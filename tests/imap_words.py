"""IMAP connections as imaplib makes them, and commands that it does not know."""

import contextlib
import imaplib
import json


@contextlib.contextmanager
def connections(server):
    """Give what logs in; whatever becomes of the test, the connections are closed."""
    with contextlib.ExitStack() as opened:

        def log_in(login):
            client = imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=30)
            opened.callback(client.shutdown)
            client.login(login.email, login.password)
            return client

        yield log_in


def connections_of_workers(server):
    """Count the connections that each worker has."""
    status = json.loads(server.command("status", "--json").stdout)
    return {worker["name"]: worker["connections"] for worker in status["workers"]}


def ask(client, command):
    """Send a command; give its untagged lines, where TAG stands for its tag, and how it ended."""
    tag = client._new_tag()
    client.send(tag + b" " + command + b"\r\n")
    lines = []
    while True:
        line = client.readline().removesuffix(b"\r\n")
        if line.startswith(tag + b" "):
            return [each.replace(tag, b"TAG") for each in lines], line.removeprefix(tag + b" ")
        lines.append(line)


def ok(client, command):
    """Send a command that succeeds; give its untagged lines."""
    lines, end = ask(client, command)
    assert end.startswith(b"OK"), (command, end)
    return lines


def announced(client):
    """List what the server says that it can do."""
    (line,) = ok(client, b"CAPABILITY")
    return set(line.split())
