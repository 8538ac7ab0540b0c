"""A spool of an older version is brought to this one, with what lies in it."""

import contextlib
import os
import sqlite3
from importlib import resources

import attrs
import pytest

from mailsuite.durable import Disk, migrate
from mailsuite.mta.content import encode_envelope
from mailsuite.mta.queue_store import HERE, Notice
from mailsuite.mta.writer import open_database

from .conftest import pending_of


def old_spool(folder):
    os.makedirs(folder)
    connection = sqlite3.connect(os.path.join(folder, "spool.db"), isolation_level=None)
    connection.executescript(resources.files("mailsuite.mta").joinpath("schema/001_spool.sql").read_text("utf-8"))
    connection.execute("PRAGMA user_version=1")
    return connection


@pytest.fixture
def old(world):
    new = world.spool()
    messages = [
        attrs.evolve(world.message(new, "far@remote.test", "bob", "carol", sender="alice@example.test"), received=50),
        attrs.evolve(world.message(new, '"a@b"@remote.test', sender=""), received=60),
        attrs.evolve(world.message(new, "far@other.test"), received=70),
    ]
    world.kill(new)
    folder = world.folder + "-old"
    with contextlib.closing(old_spool(folder)) as connection:
        connection.execute("INSERT INTO spool (id, uuid) VALUES (1, ?)", (b"0" * 16,))
        for message in messages:
            envelope = b"{" if message.received == 70 else encode_envelope(message)
            connection.execute(
                "INSERT INTO message (id, received, envelope, body) VALUES (?, ?, ?, ?)",
                (message.message_id, message.received, envelope, message.content),
            )
            for n, target in enumerate(message.targets):
                if target.account_id != 2:
                    connection.execute(
                        "INSERT INTO recipient (message, n, address, state, next, tries, status) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (message.message_id, n, str(target.address), 1 if n == 2 else 0, 1_700_000_500, 3, "4.2.0 x"),
                    )
    return folder


def test_rows_of_the_first_version_get_what_is_new(world, old, outcome):
    spool = world.spool(folder=old)
    rows = outcome(spool.run(pending_of))
    assert [(row.address, row.domain, row.born, row.notice) for row in rows] == [
        ("far@remote.test", "remote.test", 50, Notice.NONE),
        ("carol@example.test", HERE, 50, Notice.NONE),
        ('"a@b"@remote.test', "remote.test", 60, Notice.NOBODY),
        ("far@other.test", "other.test", 70, Notice.NOBODY),
    ]
    assert {(row.next, row.tries, row.status, row.host, row.tried) for row in rows} == {
        (1_700_000_500, 3, "4.2.0 x", "", 0)
    }
    senders = outcome(spool.run(lambda c: c.execute("SELECT sender FROM recipient ORDER BY message, n").fetchall()))
    assert [sender for (sender,) in senders] == ["alice@example.test", "alice@example.test", "", ""]


def test_its_mail_is_delivered(world, old, far, start, outcome):
    spool = world.spool(folder=old)
    start(spool, lifetime_seconds=1e10, bounce_lifetime_seconds=1e10)
    for _ in range(3):
        world.reactor.advance(600)
        spool.sweep()
    assert sorted(far.recipients()) == [['"a@b"@remote.test'], ["far@remote.test"]]
    assert len(world.store.of("bob@example.test")) == 1
    assert [row.address for row in outcome(spool.run(pending_of))] == ["carol@example.test", "far@other.test"]


def test_an_upgraded_database_is_like_a_new_one(world, old, tmp_path):
    shapes = []
    for path in (os.path.join(old, "spool.db"), str(tmp_path / "new.db")):
        database = open_database(path, Disk())
        migrate(database, "mailsuite.mta")
        shapes.append(database.connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall())
        assert database.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT min(domain) FROM recipient WHERE state = 0 AND domain > 'x'", "recipient_due"),
        ("SELECT min(next) FROM recipient WHERE state = 0 AND domain = 'x'", "recipient_due"),
        (
            "SELECT n FROM recipient WHERE state = 0 AND domain = 'x' AND next <= 7 ORDER BY next, message, n",
            "recipient_due",
        ),
        ("SELECT n FROM recipient WHERE state = 0 AND notice = 0 AND born <= 7", "recipient_age"),
        ("SELECT DISTINCT message FROM recipient WHERE state = 2", "recipient_finished"),
    ],
)
def test_what_is_asked_often_has_an_index(world, statement, index, outcome):
    plan = outcome(
        world.spool().run(lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
    )
    (step,) = plan
    assert index in step[3]
    assert "TEMP B-TREE" not in step[3]
