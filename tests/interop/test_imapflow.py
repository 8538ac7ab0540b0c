"""imapflow, the way most programs on Node read mail."""

import json
import os
import queue
import subprocess
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

MODULE = Path(__file__).parents[2] / ".ci-node/node_modules/imapflow"
PROGRAM = Path(__file__).with_name("imapflow.cjs")
STEP_SECONDS = 60
RECEIVED = "2026-11-17T10:00:00.000Z"


class Flow:
    """One connection of imapflow's, told what to do step by step."""

    def __init__(self, node, options) -> None:
        self.process = subprocess.Popen(
            [node, str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "IMAPFLOW": str(MODULE)},
        )
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._write(options)

    def _read(self) -> None:
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put({"error": f"it ended: {self.process.stderr.read()}"})

    def _write(self, value) -> None:
        self.process.stdin.write(json.dumps(value) + "\n")
        self.process.stdin.flush()

    def step(self, **step):
        """Give the result of a step, or of what failed its text and code."""
        self._write(step)
        return self.answers.get(timeout=STEP_SECONDS)

    def do(self, method, *args, **more):
        """Give the result of a method that succeeds."""
        answer = self.step(call=method, args=args, **more)
        assert "error" not in answer, answer
        return answer["result"]

    def event(self, name):
        """Wait for an event."""
        return self.step(event=name)["result"]

    @property
    def sent(self) -> list[str]:
        """The names of the commands that it sent."""
        words = [message.split(" ") for message in self.step(sent=True)["result"]]
        return [" ".join(line[1 : 3 if line[1] == "UID" else 2]) for line in words if len(line) > 1]

    def end(self) -> None:
        """Let the process end."""
        self.process.stdin.close()
        assert self.process.wait(STEP_SECONDS) == 0
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def flow(demo, program):
    """Connect and log in."""
    node = program("node", "nodejs")
    if not MODULE.is_dir():
        pytest.skip("imapflow is not installed; npm install --prefix .ci-node imapflow@2.1.2")
    flows = []

    def connect(login, *, service="imaps", **options):
        flows.append(
            Flow(
                node,
                {
                    "host": "localhost",
                    "port": demo.port(service),
                    "secure": service == "imaps",
                    "auth": {"user": login.email, "pass": login.password},
                    "tls": {"ca": demo.certificate.read_text()},
                    **options,
                },
            )
        )
        flows[-1].do("connect")
        return flows[-1]

    yield connect
    for each in flows:
        each.end()


def letter(subject: str, body: str = "text") -> str:
    return (
        f"From: Zoe <zoe@elsewhere.test>\r\nTo: bob@example.test\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{body}\r\n"
    )


def put(client: Flow, mailbox: str, subject: str, *flags: str, body: str = "text"):
    return client.do("append", mailbox, None, flags, RECEIVED, content=letter(subject, body))


@pytest.mark.parametrize("service", ["imap", "imaps"])
def test_mail_is_put_found_read_flagged_moved_and_counted(account, flow, service) -> None:
    client = flow(account(), service=service)
    listed = {box["path"]: box for box in client.do("list")}
    assert {box.get("specialUse") for box in listed.values()} >= {
        "\\Inbox", "\\Sent", "\\Drafts", "\\Trash", "\\Junk", "\\Archive"
    }  # fmt: skip
    assert client.do("mailboxCreate", "Büro/2026")["created"] is True
    assert put(client, "Büro/2026", "one", "\\Seen")["uid"] == 1
    assert put(client, "Büro/2026", "two", body="grün " * 2000)["uid"] == 2
    assert client.do("status", "Büro/2026", {"messages": True, "unseen": True, "uidNext": True}) == {
        "path": "Büro/2026", "messages": 2, "unseen": 1, "uidNext": 3
    }  # fmt: skip

    opened = client.do("mailboxOpen", "Büro/2026")
    assert opened["exists"] == 2
    assert client.do("search", {"subject": "two", "seen": False}, {"uid": True}) == [2]
    assert client.do("search", {"body": "grün"}, {"uid": True}) == [2]
    wanted = {"uid": True, "flags": True, "envelope": True, "bodyStructure": True, "internalDate": True, "size": True}
    one, two = client.do("fetchAll", "1:*", {**wanted, "source": True, "headers": ["subject"]})
    assert (one["flags"], two["flags"]) == (["\\Seen"], [])  # it enables IMAP4rev2
    assert one["envelope"]["subject"] == "one"
    assert one["envelope"]["from"] == [{"name": "Zoe", "address": "zoe@elsewhere.test"}]
    assert one["bodyStructure"]["type"] == "text/plain"
    assert one["internalDate"] == RECEIVED
    assert one["headers"] == "Subject: one\r\n\r\n"
    assert two["source"] == letter("two", "grün " * 2000)
    assert two["size"] == len(two["source"].encode())

    assert client.do("messageFlagsAdd", "2", ["\\Flagged", "$Important"], {"uid": True}) is True
    assert client.do("messageFlagsRemove", {"seen": True}, ["\\Seen"]) is True
    flags = [message["flags"] for message in client.do("fetchAll", "1:*", {"flags": True})]
    assert flags == [[], ["$Important", "\\Flagged"]]

    moved = client.do("messageMove", "2", "Archive", {"uid": True})
    assert moved["uidMap"] == {"2": 1}
    assert client.event("expunge")["seq"] == 2
    copied = client.do("messageCopy", "1", "Archive", {"uid": True})
    assert copied["uidMap"] == {"1": 2}
    assert client.do("messageDelete", "1:*", {"uid": True}) is True
    assert client.do("status", "Büro/2026", {"messages": True})["messages"] == 0
    assert client.do("status", "Archive", {"messages": True})["messages"] == 2
    assert client.do("mailboxRename", "Büro/2026", "Büro/2027")["newPath"] == "Büro/2027"
    assert client.do("mailboxDelete", "Büro/2027")["path"] == "Büro/2027"
    assert {"UID MOVE", "UID COPY", "UID EXPUNGE"} <= {*client.sent}
    client.do("logout")


def test_messages_and_conversations_are_known_in_whatever_mailbox_they_are(account, flow) -> None:
    client = flow(account())
    ids = (
        ("INBOX", "Message-ID: <q@elsewhere.test>"),
        ("Sent", "In-Reply-To: <q@elsewhere.test>"),
        ("INBOX", "X-A: b"),
    )
    for mailbox, field in ids:
        client.do("append", mailbox, None, [], RECEIVED, content=f"{field}\r\n{letter('Lunch?')}")
    wanted = {"uid": True, "threadId": True}
    client.do("mailboxOpen", "INBOX")
    question, other = client.do("fetchAll", "1:*", wanted)
    assert client.do("search", {"threadId": question["threadId"]}, {"uid": True}) == [1]
    assert client.do("messageCopy", "2", "Sent", {"uid": True})["uidMap"] == {"2": 2}
    client.do("mailboxOpen", "Sent")
    answer, copy = client.do("fetchAll", "1:*", wanted)
    assert answer["threadId"] == question["threadId"] != other["threadId"]
    assert (copy["emailId"], copy["threadId"]) == (other["emailId"], other["threadId"])
    assert len({question["emailId"], answer["emailId"], other["emailId"]}) == 3


def test_an_idling_client_hears_what_comes_changes_and_goes(demo, account, flow) -> None:
    target = account()
    client = flow(target)
    client.do("mailboxOpen", "INBOX")
    client.step(start="idle")
    demo.send(target, "Subject: new\r\n\r\nbody\r\n")
    assert client.event("exists") == {"path": "INBOX", "count": 1, "prevCount": 0}
    with demo.imap(target) as other:
        other.select()
        other.store("1", "+FLAGS", "(\\Flagged)")
        changed = client.event("flags")
        assert (changed["seq"], changed["uid"]) == (1, 1)
        assert "\\Flagged" in changed["flags"]
        other.store("1", "+FLAGS.SILENT", "(\\Deleted)")
        other.expunge()
    assert client.event("expunge")["seq"] == 1
    assert "IDLE" in client.sent


def test_what_passes_is_compressed_and_as_it_was(account, flow) -> None:
    target = account()
    body = "0123456789 " * 20_000
    for options in ({}, {"disableCompression": True}):
        client = flow(target, **options)
        assert ("COMPRESS" in client.sent) is (not options)
        put(client, "INBOX", "large", body=body)
        client.do("mailboxOpen", "INBOX")
        for message in client.do("fetchAll", "1:*", {"source": True}):
            assert message["source"] == letter("large", body)


def test_changes_since_a_modseq_are_all_there_is_to_fetch(account, flow) -> None:
    target = account()
    client = flow(target)
    for number in range(5):
        put(client, "INBOX", str(number))
    since = client.do("mailboxOpen", "INBOX")["highestModseq"]
    assert since == client.do("status", "INBOX", {"highestModseq": True})["highestModseq"]
    other = flow(target)
    other.do("mailboxOpen", "INBOX")
    other.do("messageFlagsAdd", "3", ["\\Seen"])
    changed = client.do("fetchAll", "1:*", {"uid": True, "flags": True}, {"changedSince": since})
    assert [(message["uid"], "\\Seen" in message["flags"]) for message in changed] == [(3, True)]
    assert changed[0]["modseq"] > since
    # A condition that does not hold any more changes nothing.
    client.do("messageFlagsAdd", "3", ["\\Flagged"], {"unchangedSince": since})
    assert "\\Flagged" not in client.do("fetchOne", "3", {"flags": True})["flags"]


def test_a_client_that_resynchronises_hears_by_uid_what_went(account, flow) -> None:
    target = account()
    client = flow(target, qresync=True)
    for number in range(3):
        put(client, "INBOX", str(number))
    client.do("mailboxOpen", "INBOX")
    client.step(start="idle")
    other = flow(target)
    other.do("mailboxOpen", "INBOX")
    assert other.do("messageDelete", "2", {"uid": True}) is True
    gone = client.event("expunge")
    assert (gone["uid"], gone["vanished"], gone["earlier"]) == (2, True, False)


def test_the_quota_is_told(demo, account, flow) -> None:
    target = account()
    demo.command("user", "quota", target.email, "1M")
    client = flow(target)
    put(client, "INBOX", "x", body="x" * 100_000)
    quota = client.do("getQuota", "INBOX")
    assert quota["storage"]["limit"] == 2**20
    assert 100_000 <= quota["storage"]["usage"] < 103_000
    refused = client.step(call="append", args=["INBOX"], content=letter("y", "y" * 2**20))
    assert refused["code"] == "OVERQUOTA", refused


def test_a_wrong_password_is_an_error_with_its_code(demo, account, flow, program) -> None:
    login = account()
    client = Flow(
        program("node", "nodejs"),
        {
            "host": "localhost",
            "port": demo.port("imaps"),
            "secure": True,
            "auth": {"user": login.email, "pass": "wrong"},
            "tls": {"ca": demo.certificate.read_text()},
        },
    )
    refused = client.step(call="connect")
    client.end()
    assert refused["code"] == "AUTHENTICATIONFAILED", refused
