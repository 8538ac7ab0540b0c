"""A parent and its workers: who serves whom, what goes on when one of them is killed, what reload and stop do."""

import collections
import contextlib
import imaplib
import json
import os
import re
import select
import signal
import smtplib
import socket
import sqlite3
import threading
import time

import pytest
from demo_server import DemoServer, Login, MadeServer, eventually

ALICE = Login("alice@example.test", "alice-demo")
BOB = Login("bob@example.test", "bob-demo")
WORKERS = {"MAILSUITE_SERVER__WORKERS": "2"}


def status(server):
    return json.loads(server.command("status", "--json").stdout)


def workers(server):
    return {worker["name"]: worker for worker in status(server)["workers"]}


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # it may end between opening and reading
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    environment = {**WORKERS, "MAILSUITE_LIMITS__RATES": "false"}
    made = DemoServer(tmp_path_factory.mktemp("workers") / "srv", "--no-sample-mail", environment=environment).start()
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


@pytest.fixture
def alone(tmp_path):
    """Give a server of the test's own."""
    made = DemoServer(tmp_path / "srv", "--no-sample-mail", environment=WORKERS)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def settle(server):
    """Wait until no connection is left of what was done before; who is connected decides who gets the next one."""
    eventually(lambda: sum(status(server)["connections"].values()), lambda count: count == 0)


def connect(server, service="smtp"):
    client = socket.create_connection(("127.0.0.1", server.port(service)), 30)
    assert client.recv(1000)
    return client


def idle(server, login):
    """Begin to idle in INBOX; give the client."""
    client = imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=30)
    client.login(login.email, login.password)
    client.select("INBOX")
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+")
    return client


def end_idle(client):
    client.send(b"DONE\r\n")
    while not client.readline().startswith(b"x OK"):
        pass
    client.logout()


def spools(server):
    """Map what queue ids begin with to the number of the worker."""
    found = {}
    for number, path in enumerate(["data/spool/spool.db", "data/spool/worker-1/spool.db"]):
        with contextlib.closing(sqlite3.connect(f"file:{server.folder / path}?mode=ro", uri=True)) as connection:
            (name,) = connection.execute("SELECT uuid FROM spool").fetchone()
        found[name.hex()[:6].upper()] = number
    return found


def send(server, target, subject):
    """Send a message; give what its queue id begins with."""
    with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
        client.ehlo("far.test")
        client.mail("far@elsewhere.test")
        client.rcpt(target.email)
        code, text = client.data(f"Subject: {subject}\r\n\r\nhello\r\n".encode())
        assert code == 250, text
        return re.search(rb"queued as (\w+)-", text)[1].decode()


# who serves whom


def test_connections_are_spread_evenly(server):
    settle(server)
    before = workers(server)
    clients = [connect(server, service) for service in ("smtp", "imap", "pop3") for _ in range(14)]
    try:
        after = workers(server)
        added = [after[name]["connections"] - before[name]["connections"] for name in ("worker-0", "worker-1")]
        assert sum(added) == len(clients)
        assert max(added) - min(added) <= 2, added
        assert after["queue"]["connections"] == 0
    finally:
        for client in clients:
            client.close()
    eventually(lambda: sum(status(server)["connections"].values()), lambda count: count == 0)


def test_who_idles_hears_of_what_the_other_worker_delivered(server):
    settle(server)
    places = spools(server)
    client = idle(server, ALICE)
    (reader,) = [number for number in (0, 1) if workers(server)[f"worker-{number}"]["connections"]]
    told = []
    for number in range(20):
        receiver = places[send(server, ALICE, f"message {number}")]
        line = client.readline()
        assert re.match(rb"\* \d+ EXISTS\r\n", line), line
        if receiver != reader:
            told.append(number)
        _skip_recent(client)
    end_idle(client)
    assert told, "all messages came in by the worker that the client is connected to"


def _skip_recent(client):
    client.sock.settimeout(0.2)
    try:
        assert re.match(rb"\* \d+ RECENT\r\n", client.readline())
    except TimeoutError:
        pass
    finally:
        client.sock.settimeout(30)


def test_flags_set_in_one_worker_are_told_in_the_other(server):
    login = server.add_account()
    send(server, login, "one")
    eventually(lambda: server.count(login), lambda count: count == 1)
    clients = [idle(server, login) for _ in range(2)]
    with imaplib.IMAP4("127.0.0.1", server.port("imap"), timeout=30) as writer:
        writer.login(login.email, login.password)
        writer.select("INBOX")
        writer.store("1", "+FLAGS", r"(\Flagged)")
        for client in clients:
            assert rb"\Flagged" in client.readline()
        writer.store("1", "+FLAGS", r"(\Deleted)")
        for client in clients:
            assert rb"\Deleted" in client.readline()
        writer.expunge()
        for client in clients:
            assert client.readline() == b"* 1 EXPUNGE\r\n"
    for client in clients:
        end_idle(client)


def test_sessions_and_traces_of_all_workers_are_one_list(server):
    settle(server)
    clients = [connect(server, "imap") for _ in range(4)]
    rows = json.loads(server.command("sessions", "--json").stdout)
    assert collections.Counter(row["worker"] for row in rows) == {"worker-0": 2, "worker-1": 2}
    assert len({row["id"] for row in rows}) == 4
    for row in rows[:2]:
        server.command("sessions", "end", "--id", row["id"])
    left = eventually(lambda: json.loads(server.command("sessions", "--json").stdout), lambda rows: len(rows) == 2)
    assert {row["id"] for row in left} == {row["id"] for row in rows[2:]}
    server.command("sessions", "end", "--id", "nobody", expect=1)
    for client in clients:
        client.close()
    prefixes = set()
    eventually(lambda: prefixes.add(send(server, BOB, "traced")), lambda _: len(prefixes) == 2)
    for prefix in prefixes:
        queue_id = next(
            match[0]
            for line in (server.folder / "log/mailsuite.log").read_text().splitlines()[::-1]
            if (match := re.search(rf"{prefix}-[0-9A-F]+", line))
        )
        told = json.loads(server.command("trace", queue_id, "--json").stdout)
        assert told[0]["event"] == "spool.message.accepted"


def test_a_command_reaches_the_sessions_of_every_worker(server):
    login = server.add_account()
    clients = [idle(server, login) for _ in range(4)]
    server.command("user", "passwd", login.email, "--password", "another horse battery")
    for client in clients:
        assert client.readline().startswith(b"* BYE")
        client.sock.close()


def test_an_index_is_built_anew_while_workers_have_it_open(server):
    login = server.add_account()
    for number in range(4):
        send(server, login, f"number {number}")
    eventually(lambda: server.count(login), lambda count: count == 4)
    clients = [idle(server, login) for _ in range(2)]
    assert "4 messages" in server.command("mailbox", "reindex", login.email).stderr
    server.command("mailbox", "verify", login.email)
    send(server, login, "later")
    for client in clients:
        assert client.readline() == b"* 5 EXISTS\r\n"
    for client in clients:
        client.sock.close()


def test_an_account_is_renamed_while_workers_have_it_open(server):
    login = server.add_account()
    send(server, login, "before")
    eventually(lambda: server.count(login), lambda count: count == 1)
    client = idle(server, login)
    renamed = Login(f"new-{login.email}", login.password)
    server.command("user", "rename", login.email, renamed.email)
    send(server, renamed, "after")
    assert re.match(rb"\* 2 (EXISTS|RECENT)", client.readline())
    client.sock.close()
    assert eventually(lambda: server.count(renamed), lambda count: count == 2)


# killed


def test_a_killed_worker_is_replaced_and_the_other_one_notices_nothing(server):
    settle(server)
    before = workers(server)
    clients = [connect(server, "imap") for _ in range(2)]
    os.kill(before["worker-1"]["pid"], signal.SIGKILL)
    answers = []
    for client in clients:
        client.sendall(b"a NOOP\r\n")
        with contextlib.suppress(ConnectionError):
            answers.append(client.recv(100))
        client.close()
    assert sum(b"a OK" in answer for answer in answers) == 1, answers
    began = time.monotonic()
    send(server, ALICE, "while it is away")
    after = eventually(lambda: workers(server), lambda found: found["worker-1"]["uptime_seconds"] is not None)
    assert time.monotonic() - began < 20
    assert after["worker-0"]["pid"] == before["worker-0"]["pid"]
    assert after["worker-1"]["pid"] != before["worker-1"]["pid"]
    assert after["worker-1"]["restarts"] == before["worker-1"]["restarts"] + 1
    assert "service.worker.ended worker-1" in (server.folder / "log/mailsuite.log").read_text()


def test_connections_that_a_killed_worker_did_not_take_are_served_by_the_other_one(server):
    settle(server)
    pid = workers(server)["worker-1"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    clients = [socket.create_connection(("127.0.0.1", server.port("smtp")), 30) for _ in range(6)]
    greeted = eventually(lambda: select.select(clients, [], [], 0)[0], lambda found: len(found) >= 3)
    assert len(greeted) < 6  # the others were handed to the one that stands still
    os.kill(pid, signal.SIGKILL)
    for client in clients:
        with client:
            assert client.recv(1000).startswith(b"220 ")
    eventually(lambda: workers(server)["worker-1"], lambda found: found["uptime_seconds"] is not None)


def test_a_worker_that_is_told_to_end_lets_its_sessions_finish_and_is_replaced(server):
    settle(server)
    before = workers(server)
    clients = [connect(server, "imap") for _ in range(2)]
    os.kill(before["worker-0"]["pid"], signal.SIGTERM)
    eventually(lambda: is_alive(before["worker-0"]["pid"]), lambda alive: not alive)
    said = []
    for client in clients:
        client.sendall(b"a NOOP\r\n")
        with contextlib.suppress(ConnectionError):
            said.append(client.recv(1000))
        client.close()
    assert any(b"* BYE" in text for text in said), said
    assert any(b"a OK" in text for text in said), said
    eventually(lambda: workers(server), lambda found: found["worker-0"]["uptime_seconds"] is not None)


class Senders:
    """Clients that send all the time, each message by a connection of its own, and note what was acknowledged."""

    def __init__(self, server, count=3):
        self.acknowledged, self.tried = set(), set()
        self._server = server
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _send(self, client):
        count = 0
        while not self._ending.is_set():
            count += 1
            token = f"{client}-{count}"
            with self._lock:
                self.tried.add(token)
            try:
                with smtplib.SMTP("127.0.0.1", self._server.port("smtp"), timeout=10) as connection:
                    text = f"Subject: token {token}\r\n\r\n{'x' * (100_000 if count % 9 == 0 else 100)}\r\n"
                    connection.sendmail("far@elsewhere.test", [ALICE.email], text.encode())
            except (OSError, smtplib.SMTPException):
                self._ending.wait(0.02)
            else:
                with self._lock:
                    self.acknowledged.add(token)

    def wait_for(self, more):
        wanted = len(self.acknowledged) + more
        eventually(lambda: len(self.acknowledged), lambda count: count >= wanted, 60)

    def end(self):
        self._ending.set()
        for thread in self._threads:
            thread.join(60)


def tokens(server):
    with server.imap(ALICE) as client:
        client.select("INBOX", readonly=True)
        _, rows = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    found = b"".join(row[1] for row in rows if isinstance(row, tuple))
    return collections.Counter(token.decode() for token in re.findall(rb"token (\S+)", found))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kills_of_each_process_under_load_lose_nothing_that_was_acknowledged(alone):
    alone.environment["MAILSUITE_LIMITS__RATES"] = "false"
    alone.start()
    senders = Senders(alone)
    try:
        for name in ("worker-0", "worker-1", "queue", "worker-0"):
            senders.wait_for(30)
            os.kill(workers(alone)[name]["pid"], signal.SIGKILL)
            senders.wait_for(10)
            eventually(lambda name=name: workers(alone)[name]["uptime_seconds"], lambda seconds: seconds is not None)
        for _ in range(2):
            senders.wait_for(30)
            children = [worker["pid"] for worker in workers(alone).values()]
            alone.kill()
            eventually(lambda pids=children: [pid for pid in pids if is_alive(pid)], lambda left: not left, 10)
            alone.start()
    finally:
        senders.end()
    found = eventually(lambda: tokens(alone), lambda counted: senders.acknowledged <= set(counted), 60)
    assert {token: times for token, times in found.items() if times > 1} == {}
    assert set(found) <= senders.tried
    alone.command("mailbox", "verify", ALICE.email)


def test_a_new_parent_waits_for_workers_that_are_about_to_end(alone):
    alone.start()
    children = [worker["pid"] for worker in workers(alone).values()]
    alone.kill()
    alone.start()
    assert [pid for pid in children if is_alive(pid)] == []
    send(alone, ALICE, "after")
    assert eventually(lambda: alone.count(ALICE), lambda count: count == 1)


# other values


def test_reload_acts_in_every_worker_and_names_what_waits(tmp_path):
    server = MadeServer(tmp_path / "srv", environment=WORKERS).start()
    config = server.folder / "mailsuite.toml"

    def sizes():
        found = set()
        for _ in range(4):
            with smtplib.SMTP("127.0.0.1", server.port("smtp"), timeout=30) as client:
                client.ehlo()
                found.add(client.esmtp_features["size"])
        return found

    try:
        assert sizes() == {"26214400"}
        good = config.read_text()
        config.write_text(good + "[smtp]\nmessage_max_octets = 1000000\n[spool]\nbacklog_max = 77\n")
        done = server.command("reload")
        assert "in force now: smtp.message_max_octets" in done.stderr
        assert "in force after a new start: spool.backlog_max" in done.stderr
        assert sizes() == {"1000000"}
        pid = workers(server)["worker-1"]["pid"]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: workers(server)["worker-1"]["uptime_seconds"], lambda seconds: seconds is not None)
        assert sizes() == {"1000000"}
        config.write_text(good + "[smtp]\nmessage_max_octets = 2000000\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(sizes, lambda found: found == {"2000000"})
        config.write_text(good + "[smtp]\nmessage_max_octets = wrong\n")
        refused = server.command("reload", expect=1)
        assert "the old configuration stays in force" in refused.stderr
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "".join(server.output), lambda text: "config.file.refused" in text)
        assert sizes() == {"2000000"}
        config.write_text(good)
        answer = json.loads(server.command("reload", "--json").stdout)
        assert answer["changed"] == ["smtp.message_max_octets"]
    finally:
        assert server.stop() == 0


# more and fewer of them


def test_what_workers_left_is_delivered_when_there_are_fewer(tmp_path):
    route = '[queue]\nretry_first_seconds = 3600.0\n[[route]]\ndomain = "far.test"\nhost = "127.0.0.1"\nport = {}\n'
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        server = MadeServer(
            tmp_path / "srv", route.format(port), environment={"MAILSUITE_SERVER__WORKERS": "3"}
        ).start()
        login = server.add_account()

        def submit():
            with smtplib.SMTP("127.0.0.1", server.port("submission"), timeout=30) as client:
                client.starttls(context=server.context)
                client.login(login.email, login.password)
                client.sendmail(login.email, ["someone@far.test"], b"Subject: out\r\n\r\nx\r\n")

        for _ in range(6):
            submit()
        listed = eventually(
            lambda: json.loads(server.command("queue", "list", "--json").stdout),
            lambda rows: len(rows) == 6 and any(row["recipients"][0]["tries"] for row in rows),
        )
        assert len({row["queue_id"].partition("-")[0] for row in listed}) == 3
        assert all(row["recipients"][0]["status"] for row in listed), (
            "one was tried, the others wait for the same reason"
        )
        assert server.stop() == 0
        folders = sorted(path.name for path in (server.folder / "data/spool").glob("worker-*"))
        assert folders == ["worker-1", "worker-2"]
        server.environment["MAILSUITE_SERVER__WORKERS"] = "0"
        server.start()
        assert len(json.loads(server.command("queue", "list", "--json").stdout)) == 6
        kept, *others = [row["queue_id"] for row in listed]
        for queue_id in others:
            server.command("queue", "remove", queue_id)
        server.command("queue", "show", kept)
    assert server.stop() == 0
    server.environment["MAILSUITE_SERVER__WORKERS"] = "1"
    server.start()
    assert [row["queue_id"] for row in json.loads(server.command("queue", "list", "--json").stdout)] == [kept]
    server.command("queue", "remove", kept)
    # The process that received a message forgets it soon after it is finished; then nothing is left of its spool.
    eventually(lambda: _messages(server), lambda count: count == 0)
    assert server.stop() == 0
    server.start()
    assert list((server.folder / "data/spool").glob("worker-*")) == []
    assert server.stop() == 0


def _messages(server):
    count = 0
    for path in (server.folder / "data/spool").rglob("spool.db"):
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            count += connection.execute("SELECT COUNT(*) FROM message").fetchone()[0]
    return count


def test_a_worker_that_cannot_start_keeps_the_server_from_starting(tmp_path):
    server = MadeServer(tmp_path / "srv", environment=WORKERS)
    (server.folder / "data/spool/spool.db").write_bytes(b"no database" * 1000)
    with pytest.raises(AssertionError, match="cannot start"):
        server.start()
    text = "".join(server.output)
    assert "spool" in text
    assert "Traceback" not in text
    assert server.process.wait(30) == 1


def test_workers_are_started_by_their_parent_only():
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "mailsuite.service.worker"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1
    assert "mailsuite serve" in done.stderr
