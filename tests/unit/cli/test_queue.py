"""``mailsuite queue`` on a folder on which no server runs."""

import contextlib
import datetime as dt
import json
import os
import time

import attrs
import pytest

from mailsuite.address import Address
from mailsuite.durable import Disk, migrate
from mailsuite.envelope import Sender
from mailsuite.errors import Kind, MailError
from mailsuite.mta import SpoolMessage, Target, queue_statements, statements
from mailsuite.mta.operations import worker_folder
from mailsuite.mta.queue_store import Record
from mailsuite.mta.writer import open_database

CONTENT = b"Return-Path: <>\r\nSubject: x\r\n\r\nbody\r\n"


def message(number, *addresses, sender="s@example.test", received=None):
    return SpoolMessage(
        message_id=number,
        received=int(time.time()) - 1000 + number if received is None else received,
        sender=Sender(path=Address.parse(sender) if sender else None),
        targets=tuple(Target(address=Address.parse(address)) for address in addresses),
        content=CONTENT,
        trace_octets=17,
    )


@contextlib.contextmanager
def spool(run, worker=0):
    folder = worker_folder(str(run.path.parent / "data" / "spool"), worker)
    os.makedirs(folder, exist_ok=True)
    database = open_database(os.path.join(folder, "spool.db"), Disk())
    try:
        migrate(database, "mailsuite.mta")
        with database.writing() as connection:
            statements.spool_uuid(connection)
            yield connection
    finally:
        database.close()


@pytest.fixture
def filled(run):
    with spool(run) as connection:
        statements.insert_messages(
            connection,
            [
                message(1, "a@far.test", "b@other.test"),
                message(3, "c@far.test", sender=""),
                message(5, "d@third.test"),
            ],
        )
        record = Record(
            message_id=1,
            n=0,
            status="4.2.0 mailbox busy",
            next=1_900_000_000,
            host="mx.far.test",
            tried=1_700_000_000,
        )
        queue_statements.record(connection, [record])
    return run


def listed(run, *arguments):
    entries = json.loads(run("queue", "list", "--json", *arguments).stdout)
    return [recipient["address"] for entry in entries for recipient in entry["recipients"]]


def ids(run):
    return [entry["queue_id"] for entry in json.loads(run("queue", "list", "--json").stdout)]


def test_the_list_has_all_that_is_known(filled):
    first, *_ = json.loads(filled("queue", "list", "--json").stdout)
    assert first["sender"] == "s@example.test"
    assert first["size_octets"] == len(CONTENT) - 17
    assert first["recipients"][0] == {
        "address": "a@far.test",
        "state": "waiting",
        "next_attempt": "2030-03-17T17:46:40+00:00",
        "tries": 1,
        "status": "4.2.0 mailbox busy",
        "host": "mx.far.test",
        "last_attempt": "2023-11-14T22:13:20+00:00",
    }
    rows = filled("queue", "list").stdout.splitlines()
    assert len(rows) == 4
    assert rows[2].split("\t")[3:5] == ["<>", "c@far.test"]


def test_the_list_is_filtered(filled):
    assert listed(filled, "--domain", "FAR.test") == ["a@far.test", "c@far.test"]
    assert listed(filled, "--sender", "<>") == ["c@far.test"]
    assert listed(filled, "--sender", "S@example.test", "--domain", "other.test") == ["b@other.test"]
    assert listed(filled, "--state", "held") == []
    assert "not a domain" in filled("queue", "list", "--domain", "far..test", status=1).stderr
    filled("queue", "list", "--state", "finished", status=2)


def test_the_list_is_cut_and_says_so(filled):
    result = filled("queue", "list", "--json", "--limit", "2")
    assert len(json.loads(result.stdout)) == 2
    assert result.stderr == "2 of 3 messages; --limit 0 shows all\n"
    assert filled("queue", "list", "--limit", "3").stderr == ""
    assert len(json.loads(filled("queue", "list", "--json", "--limit", "0").stdout)) == 3


def test_a_long_list_is_whole_and_in_order_across_spools(run):
    for worker in (0, 1):
        with spool(run, worker) as connection:
            batch = [message(n * 2 + 1, f"u{n}@far.test", received=1_700_000_000 + n) for n in range(700)]
            statements.insert_messages(connection, batch)
    addresses = listed(run, "--limit", "0")
    assert addresses == [f"u{n}@far.test" for n in range(700) for _ in range(2)]
    assert len(run("queue", "list", "--limit", "0").stdout.splitlines()) == 1400
    assert run("queue", "list").stderr == "100 of 1400 messages; --limit 0 shows all\n"


def test_one_message_is_shown_in_local_time(filled):
    name = ids(filled)[0]
    shown = filled("queue", "show", name).stdout
    local = dt.datetime.fromtimestamp(1_900_000_000, dt.UTC).astimezone().isoformat(" ", timespec="seconds")
    assert local in shown
    assert "never" in shown, "the other recipient was not tried yet"
    assert "4.2.0 mailbox busy" in shown
    assert "mx.far.test" in shown
    filled("queue", "retry", name)
    assert "now" in filled("queue", "show", name).stdout
    facts = json.loads(filled("queue", "show", name, "--json").stdout)
    assert facts["recipients"][0]["next_attempt"] is None


def test_destinations_are_counted(filled):
    rows = json.loads(filled("queue", "list", "--by-destination", "--json").stdout)
    assert [(row["domain"], row["waiting"], row["held"]) for row in rows] == [
        ("far.test", 2, 0),
        ("other.test", 1, 0),
        ("third.test", 1, 0),
    ]
    assert rows[0]["status"] == "4.2.0 mailbox busy"
    assert rows[0]["left_alone_until"] is None


def test_one_message_is_held_released_and_removed(filled):
    name = ids(filled)[0]
    assert filled("queue", "hold", name).stderr == f"{name} is held\n"
    assert listed(filled, "--state", "held") == ["a@far.test", "b@other.test"]
    assert "release it first" in filled("queue", "retry", name, status=1).stderr
    assert filled("queue", "release", name).stderr == f"{name} is released\n"
    assert filled("queue", "remove", name).stderr == f"{name} is removed\n"
    assert "no such message" in filled("queue", "show", name, status=1).stderr


def test_many_are_changed_at_once(filled):
    assert filled("queue", "hold", "--domain", "far.test").stderr == "2 recipients: held\n"
    assert filled("queue", "retry", "--all").stderr == "0 recipients: due now\n"
    assert filled("queue", "release", "--sender", "<>").stderr == "1 recipients: released\n"
    assert filled("queue", "release", "--all").stderr == "1 recipients: released\n"
    assert filled("queue", "remove", "--sender", "s@example.test", "--domain", "far.test").stderr == (
        "1 recipients: removed\n"
    )
    assert filled("queue", "flush").stderr == "3 recipients are tried now\n"
    assert filled("queue", "remove", "--all").stderr == "3 recipients: removed\n"
    assert listed(filled) == []


@pytest.mark.parametrize(
    "arguments", [(), ("X-1", "--all"), ("X-1", "--domain", "a.test"), ("--domain", "a.test", "--all")]
)
@pytest.mark.parametrize("command", ["retry", "hold", "release", "remove"])
def test_what_is_meant_must_be_said(filled, command, arguments):
    assert "name a message" in filled("queue", command, *arguments, status=2).stderr


def test_commands_that_find_no_queue_yet(run):
    assert json.loads(run("queue", "list", "--by-destination", "--json").stdout) == []
    assert "no queue yet" in run("queue", "hold", "--all", status=1).stderr


def test_a_running_server_is_told(filled, monkeypatch):
    asked = []

    def ask(session, command, **arguments):
        asked.append((command, arguments))
        return [{"destination": "far.test", "until": "2030-01-01T00:00:00+00:00", "reason": "no answer"}]

    monkeypatch.setattr("mailsuite.cli.queue.ask_server", ask)
    name = ids(filled)[0]
    asked.clear()
    filled("queue", "retry", name)
    filled("queue", "retry", "--domain", "FAR.test")
    filled("queue", "flush")
    filled("queue", "release", name)
    assert asked == [
        ("queue.poke", {}),
        ("queue.poke", {"open": ["far.test"]}),
        ("queue.poke", {"open": []}),
        ("queue.poke", {}),
    ]
    rows = json.loads(filled("queue", "list", "--by-destination", "--json").stdout)
    assert [row["left_alone_until"] for row in rows] == ["2030-01-01T00:00:00+00:00", None, None]


def test_what_was_changed_stays_so_though_the_server_cannot_be_told(filled, monkeypatch):
    def ask(_session, _command, **_arguments):
        raise MailError(Kind.UNAVAILABLE, "the workers are being started; try again")

    monkeypatch.setattr("mailsuite.cli.queue.ask_server", ask)
    assert "1 recipients: due now" in filled("queue", "retry", "--domain", "far.test").stderr


def test_what_was_not_tried_says_why_it_waits(filled, monkeypatch):
    pause = {"destination": "far.test", "until": "2030-01-01T00:00:00+00:00", "reason": "no answer"}
    monkeypatch.setattr("mailsuite.cli.queue.ask_server", lambda session, command: [pause])
    first, second, third = json.loads(filled("queue", "list", "--json").stdout)
    assert [recipient["status"] for recipient in first["recipients"]] == ["4.2.0 mailbox busy", ""]
    assert second["recipients"][0]["status"] == "far.test is left alone until 2030-01-01T00:00:00+00:00: no answer"
    assert third["recipients"][0]["status"] == ""
    assert "left alone until" in filled("queue", "list").stdout
    assert "left alone until" in filled("queue", "show", second["queue_id"]).stdout


def test_an_entry_may_have_odd_letters(run):
    with spool(run) as connection:
        odd = message(1, "jürgen@far.test")
        statements.insert_messages(connection, [attrs.evolve(odd, sender=Sender(path=Address("ü", "far.test")))])
    assert json.loads(run("queue", "list", "--json").stdout)[0]["sender"] == "ü@far.test"
