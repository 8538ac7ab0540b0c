"""Maildirs full of messages, the same for every server that is measured: the files are written once and linked."""

import os
import pwd
from email.utils import formatdate
from pathlib import Path

WORDS = ("plan", "report", "invoice", "garden", "meeting", "weather", "music", "journey")
BEGAN = 1_700_000_000


def message(number: int, octets: int) -> bytes:
    """Write a message; every fourth one begins a thread, and one in fifty speaks of a needle."""
    first = number - number % 4
    lines = [
        f"Return-Path: <sender{number % 97}@example.test>",
        f"Received: from mx.example.test by mail.example.test; {formatdate(BEGAN + number * 60)}",
        f"From: Sender {number % 97} <sender{number % 97}@example.test>",
        f"To: Alice <alice@example.test>, Bob {number % 13} <bob{number % 13}@example.test>",
        f"Cc: list-{WORDS[number % 8]}@example.test",
        f"Subject: {'Re: ' if number % 4 else ''}{WORDS[first % 8]} number {first}",
        f"Date: {formatdate(BEGAN + (number * 7919) % 1_000_000)}",
        f"Message-ID: <{number}@example.test>",
    ]
    if number % 4:
        lines += [f"In-Reply-To: <{number - 1}@example.test>", f"References: <{first}@example.test>"]
    lines += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", ""]
    body = "a needle in the hay\r\n" if number % 50 == 0 else ""
    head = "\r\n".join(lines) + "\r\n"
    return (
        head + body + ("the quick brown fox jumps over the lazy dog, again and again\r\n" * (octets // 62 + 1))
    ).encode("ascii")[: max(octets, len(head))]


def write(folder: Path, messages: int, octets: int, owner: str) -> list[Path]:
    """Write messages into a folder, as files of some user."""
    folder.mkdir(parents=True)
    user = pwd.getpwnam(owner)
    made = []
    for number in range(messages):
        path = folder / f"{BEGAN + number}.M{number}P1.host:2,{'S' if number % 10 else ''}"
        path.write_bytes(message(number, octets))
        path.chmod(0o600)
        os.chown(path, user.pw_uid, user.pw_gid)
        os.utime(path, (BEGAN + number, BEGAN + number))
        made.append(path)
    return made


def link(files: list[Path], maildir: Path, owner: str) -> None:
    """Make a Maildir of these messages."""
    user = pwd.getpwnam(owner)
    for subfolder in ("cur", "new", "tmp"):
        (maildir / subfolder).mkdir(parents=True)
        os.chown(maildir / subfolder, user.pw_uid, user.pw_gid)
    os.chown(maildir, user.pw_uid, user.pw_gid)
    for path in files:
        os.link(path, maildir / "cur" / path.name)
