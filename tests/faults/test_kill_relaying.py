"""
kill -9 at random moments while mail comes in and goes out: nothing acknowledged is lost.

A mailbox here gets each message once, a host elsewhere at least once, and who asked for reports gets each of them once.
"""

import collections
import contextlib
import itertools
import json
import os
import random
import re
import smtplib
import threading

import pytest
from demo_server import Login, MadeServer
from far_hosts import FarHost

ANN, BOB = Login("ann@example.test", "ann-password"), Login("bob@example.test", "bob-password")
FAR = "127.0.0.51"
ROUNDS = 20
CLIENTS = 3
LONGEST_SECONDS = 0.8
LARGE_EVERY = 9
LARGE_OCTETS = 120_000
REPORT_EVERY = 2
SETTINGS = """
[limits]
rates = false
[queue]
retry_first_seconds = 1.0
retry_factor = 1.0
pause_first_seconds = 0.2
poll_seconds = 0.1
[[route]]
domain = "sink.test"
host = "{host}"
port = {port}
tls = "none"
"""
LINE = "x" * 70 + "\r\n"
TOKEN = re.compile(rb"token (\S+)")


class Round:
    """Some clients that submit until the server dies, and remember what was acknowledged."""

    def __init__(self, server, number):
        self.tried = set()
        self.acknowledged = set()
        self._server = server
        self._number = number
        self._lock = threading.Lock()
        self._begun = threading.Event()
        self._threads = [threading.Thread(target=self._submit, args=(client,)) for client in range(CLIENTS)]

    def run(self, seconds):
        """Kill the server so many seconds after the first message was acknowledged."""
        for thread in self._threads:
            thread.start()
        assert self._begun.wait(60), "nothing was acknowledged"
        threading.Event().wait(seconds)
        self._server.kill()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _submit(self, client_number):
        with (
            contextlib.suppress(OSError, smtplib.SMTPException),
            smtplib.SMTP("localhost", self._server.port("submission"), timeout=30) as client,
        ):
            client.starttls(context=self._server.context)
            client.login(ANN.email, ANN.password)
            for count in itertools.count(1):
                self._submit_one(client, f"{self._number}-{client_number}-{count}", count)

    def _submit_one(self, client, token, count):
        reports = count % REPORT_EVERY == 0
        if reports:
            token += "-reported"
        text = LINE * (LARGE_OCTETS // len(LINE)) if count % LARGE_EVERY == 0 else LINE
        with self._lock:
            self.tried.add(token)
        client.sendmail(
            ANN.email,
            [BOB.email, "far@sink.test"],
            f"From: {ANN.email}\r\nTo: {BOB.email}\r\nSubject: token {token}\r\n\r\n{text}",
            rcpt_options=["NOTIFY=SUCCESS,FAILURE"] if reports else [],
        )
        with self._lock:
            self.acknowledged.add(token)
        self._begun.set()


def contents(server, login):
    with server.imap(login) as client:
        _, (count,) = client.select("INBOX", readonly=True)
        if count == b"0":
            return []
        _, rows = client.fetch("1:*", "(BODY.PEEK[])")
    return [row[1] for row in rows if isinstance(row, tuple)]


def tokens(contents):
    return collections.Counter(found[1].decode() for octets in contents if (found := TOKEN.search(octets)))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_was_acknowledged_reaches_here_once_and_elsewhere_at_least_once(tmp_path):
    seed = os.environ.get("KILL_SEED") or str(random.SystemRandom().randrange(2**32))
    moments = random.Random(seed)
    hint = f"again with KILL_SEED={seed}"
    server = MadeServer(tmp_path / "srv")
    port = server.offset + 25
    with (server.folder / "mailsuite.toml").open("a") as stream:
        stream.write(SETTINGS.format(host=FAR, port=port))
    for login in (ANN, BOB):
        server.command("user", "add", login.email, "--password", login.password)
    tried, acknowledged = set(), set()
    with FarHost(FAR, port, content_seconds=0.02) as far:
        for number in range(ROUNDS):
            server.start()
            one = Round(server, number)
            one.run(moments.uniform(0, LONGEST_SECONDS))
            tried |= one.tried
            acknowledged |= one.acknowledged
        server.start()

        def waiting():
            return json.loads(server.command("queue", "list", "--json").stdout)

        server.eventually(waiting, lambda rows: rows == [], 120)
        bobs = server.eventually(lambda: tokens(contents(server, BOB)), lambda found: acknowledged <= set(found), 60)
        assert {token: times for token, times in bobs.items() if times > 1} == {}, hint
        assert set(bobs) <= tried, hint
        fars = tokens(message.content for message in far.taken)
        assert set(bobs) == set(fars), hint
        asked = {token for token in bobs if token.endswith("reported")}
        assert asked, hint
        reports = contents(server, ANN)
        for action in ("delivered", "relayed"):
            told = tokens(octets for octets in reports if f"Action: {action}".encode() in octets)
            assert told == dict.fromkeys(asked, 1), (action, hint)
        assert len(reports) == 2 * len(asked), hint
        assert server.stop() == 0
