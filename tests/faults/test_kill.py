"""kill -9 in the middle of a burst: nothing acknowledged is lost, nothing is delivered twice."""

import collections
import imaplib
import re
import smtplib
import threading

import pytest
from demo_server import DemoServer, Login

ALICE = Login("alice@example.test", "alice-demo")
ROUNDS = 10
CLIENTS = 4
MESSAGES_PER_CONNECTION = 20
LARGE_EVERY = 7
LARGE_OCTETS = 150_000


class Burst:
    """Some clients that send until the server dies, and remember what was acknowledged."""

    def __init__(self, server, number):
        self.acknowledged = set()
        self.tried = set()
        self._server = server
        self._number = number
        self._lock = threading.Lock()
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(client,)) for client in range(CLIENTS)]

    def run_until_killed(self, wanted):
        self._wanted = wanted
        for thread in self._threads:
            thread.start()
        assert self._enough.wait(60), "the burst did not get under way"
        self._server.kill()
        for thread in self._threads:
            thread.join(60)

    def _send(self, client):
        connection = None
        count = 0
        try:
            while True:
                if count % MESSAGES_PER_CONNECTION == 0:
                    if connection is not None:
                        connection.close()
                    connection = smtplib.SMTP("127.0.0.1", self._server.port("smtp"), timeout=30)
                count += 1
                token = f"{self._number}-{client}-{count}"
                body = "x" * 70 + "\r\n"
                text = body * (LARGE_OCTETS // 72) if count % LARGE_EVERY == 0 else body
                with self._lock:
                    self.tried.add(token)
                connection.sendmail(
                    "far@elsewhere.test", [ALICE.email], f"Subject: token {token}\r\n\r\n{text}".encode()
                )
                with self._lock:
                    self.acknowledged.add(token)
                    if len(self.acknowledged) >= self._wanted:
                        self._enough.set()
        except (OSError, smtplib.SMTPException):
            if connection is not None:
                connection.close()


def _tokens(server):
    with server.imap(ALICE) as client:
        client.select("INBOX", readonly=True)
        try:
            _, rows = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        except imaplib.IMAP4.error:
            return collections.Counter()  # an empty mailbox has no 1
    found = b"".join(row[1] for row in rows if isinstance(row, tuple))
    return collections.Counter(token.decode() for token in re.findall(rb"token (\S+)", found))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_kills_lose_nothing_that_was_acknowledged_and_double_nothing(tmp_path):
    server = DemoServer(tmp_path / "srv", "--no-sample-mail", environment={"MAILSUITE_LIMITS__RATES": "false"})
    acknowledged, tried = set(), set()
    for number in range(ROUNDS):
        server.start()
        burst = Burst(server, number)
        burst.run_until_killed(20 + 15 * number)
        acknowledged |= burst.acknowledged
        tried |= burst.tried
    server.start()
    found = server.eventually(lambda: _tokens(server), lambda counted: acknowledged <= set(counted), 60)
    assert {token: times for token, times in found.items() if times > 1} == {}
    assert set(found) <= tried
    assert server.stop() == 0
