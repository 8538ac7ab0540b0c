"""IMAP commands that imaplib does not know, over its connection."""


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
