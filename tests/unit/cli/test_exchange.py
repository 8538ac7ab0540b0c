"""Mail comes in from files and goes out to files, as other programs read and write them."""

import json
import mailbox
import os
import shutil

import pytest
from click.testing import CliRunner

from mailsuite.cli.main import main

ANN, BOB = "ann@example.test", "bob@example.test"
WHEN = 1_700_000_000
LETTERS = [
    b"Subject: one\r\nFrom: a@far.test\r\n\r\nFrom the start\r\n>From there\r\n",
    b"Subject: two\r\n\r\n\xff\xfe octets \x00\r\n\r\n\r\nlast\r\n",
    b"Subject: three\r\nStatus-Report: none\r\n\r\n",
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template") / "srv"
    arguments = ["init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    for address in (ANN, BOB):
        add = ["-c", str(folder / "mailsuite.toml"), "user", "add", address, "--password", "correct horse"]
        assert CliRunner().invoke(main, add).exit_code == 0
    return folder


@pytest.fixture
def run(template, tmp_path):
    shutil.copytree(template, tmp_path / "srv")

    def call(*arguments, status=0):
        result = CliRunner().invoke(main, ["-c", str(tmp_path / "srv" / "mailsuite.toml"), *map(str, arguments)])
        assert result.exit_code == status, (result.output, result.exception)
        return result

    return call


def _counts(run, address):
    rows = json.loads(run("mailbox", "list", address, "--json").stdout)
    return {row["name"]: (row["messages"], row["unseen"]) for row in rows if row["messages"]}


def _maildir(path):
    """Write a Maildir with a folder, as another program does."""
    box = mailbox.Maildir(path, create=True)
    for target, content, flags in (
        (box, LETTERS[0], "FS"),
        (box, LETTERS[1], ""),
        (box.add_folder("Lists.python"), LETTERS[2], "R"),
    ):
        message = mailbox.MaildirMessage(content)
        message.set_subdir("cur")
        message.set_flags(flags)
        message.set_date(WHEN)
        key = target.add(message)
        assert flags in target.get_message(key).get_flags()
    return box


def _flags(maildir):
    return sorted((message["subject"], message.get_flags(), int(message.get_date())) for message in maildir)


def test_a_maildir_comes_in_with_folders_flags_and_dates_and_goes_out_the_same(run, tmp_path):
    _maildir(tmp_path / "in")
    assert "3 messages imported" in run("mailbox", "import", ANN, tmp_path / "in").stderr
    assert _counts(run, ANN) == {"INBOX": (2, 1), "Lists/python": (1, 1)}
    assert run("mailbox", "verify", ANN).exit_code == 0
    assert "3 messages" in run("mailbox", "export", ANN, tmp_path / "out").stderr
    out = mailbox.Maildir(tmp_path / "out", create=False)
    assert _flags(out) == [("one", "FS", WHEN), ("two", "", WHEN)]
    assert _flags(out.get_folder("Lists.python")) == [("three", "R", WHEN)]
    contents = {path.read_bytes() for path in (tmp_path / "out").rglob("cur/*")}
    assert contents == set(LETTERS)
    again = run("mailbox", "export", ANN, tmp_path / "out").stderr
    assert "0 messages of ann@example.test exported, 3 were there already" in again


def test_what_was_imported_is_not_imported_again_whatever_its_flags_are_now(run, tmp_path):
    _maildir(tmp_path / "in")
    run("mailbox", "import", ANN, tmp_path / "in")
    stored = next((tmp_path / "srv/data/mail/example.test/ann/cur").iterdir())
    stored.rename(stored.with_name(stored.name.partition(":")[0] + ":2,ST"))
    assert "0 messages imported to ann@example.test, 3 were" in run("mailbox", "import", ANN, tmp_path / "in").stderr
    assert "3 messages imported" in run("mailbox", "import", BOB, tmp_path / "in", "--mailbox", "Old").stderr
    assert _counts(run, BOB) == {"Old": (2, 1), "Old/Lists/python": (1, 1)}


def test_what_was_exported_is_not_exported_again_whatever_its_flags_are_now(run, tmp_path):
    _maildir(tmp_path / "in")
    run("mailbox", "import", ANN, tmp_path / "in")
    run("mailbox", "export", ANN, tmp_path / "out")
    stored = next((tmp_path / "srv/data/mail/example.test/ann/cur").iterdir())
    stored.rename(stored.with_name(stored.name.partition(":")[0] + ":2,ST"))
    again = run("mailbox", "export", ANN, tmp_path / "out").stderr
    assert "0 messages of ann@example.test exported, 3 were there already" in again
    assert len(list((tmp_path / "out").rglob("cur/*"))) == 3


def test_an_interrupted_import_goes_on(run, tmp_path, monkeypatch):
    from mailsuite.durable import Disk

    _maildir(tmp_path / "in")
    rename, count = Disk.rename, []

    def fail(self, old, new):
        if "/cur/import-" in new:
            count.append(new)
            if len(count) == 2:
                raise OSError(28, "No space left on device", new)
        rename(self, old, new)

    monkeypatch.setattr(Disk, "rename", fail)
    (line,) = run("mailbox", "import", ANN, tmp_path / "in", status=1).stderr.splitlines()
    assert "No space left" in line
    assert "2 messages imported to ann@example.test, 1 were" in run("mailbox", "import", ANN, tmp_path / "in").stderr
    assert sum(count for count, _ in _counts(run, ANN).values()) == 3


def test_an_mbox_goes_out_and_comes_in_the_same(run, tmp_path):
    _maildir(tmp_path / "in")
    run("mailbox", "import", ANN, tmp_path / "in")
    run("mailbox", "export", ANN, tmp_path / "out", "--format", "mbox")
    assert sorted(os.listdir(tmp_path / "out")) == ["INBOX.mbox", "Lists.python.mbox"]
    box = mailbox.mbox(tmp_path / "out" / "INBOX.mbox", create=False)
    assert sorted((message["subject"], message.get_flags()) for message in box) == [("one", "ROF"), ("two", "O")]
    box.close()
    run("mailbox", "import", BOB, tmp_path / "out" / "INBOX.mbox")
    run("mailbox", "import", BOB, tmp_path / "out" / "Lists.python.mbox", "--mailbox", "Lists/python")
    run("mailbox", "export", BOB, tmp_path / "bob")
    out = mailbox.Maildir(tmp_path / "bob", create=False)
    assert _flags(out) == [("one", "FS", WHEN), ("two", "", WHEN)]
    assert _flags(out.get_folder("Lists.python")) == [("three", "R", WHEN)]
    assert {path.read_bytes() for path in (tmp_path / "bob").rglob("cur/*")} == set(LETTERS)


def test_an_mbox_that_another_program_wrote_comes_in(run, tmp_path):
    box = mailbox.mbox(tmp_path / "old.mbox")
    message = mailbox.mboxMessage(b"Subject: theirs\n\nbare lines\nFrom here\n")
    message.set_flags("RO")
    message.set_from("someone", True)
    box.add(message)
    box.add(b"Subject: next\n\nx\n")
    box.close()
    run("mailbox", "import", ANN, tmp_path / "old.mbox", "--mailbox", "Archive")
    assert _counts(run, ANN) == {"Archive": (2, 1)}
    run("mailbox", "export", ANN, tmp_path / "out", "--format", "eml", "--mailbox", "Archive")
    contents = {path.read_bytes() for path in (tmp_path / "out" / "Archive").glob("*.eml")}
    assert contents == {b"Subject: theirs\r\n\r\nbare lines\r\nFrom here\r\n", b"Subject: next\r\n\r\nx\r\n"}


def test_files_of_mail_programs_come_in(run, tmp_path):
    (tmp_path / "eml").mkdir()
    for number, content in enumerate(LETTERS):
        (tmp_path / "eml" / f"{number}.EML").write_bytes(content)
    (tmp_path / "eml" / "notes.txt").write_text("no mail")
    run("mailbox", "import", ANN, tmp_path / "eml")
    assert _counts(run, ANN) == {"INBOX": (3, 3)}


def test_an_mbox_that_was_not_finished_is_begun_anew(run, tmp_path):
    _maildir(tmp_path / "in")
    run("mailbox", "import", ANN, tmp_path / "in")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "INBOX.mbox.partial").write_text("From half")
    run("mailbox", "export", ANN, tmp_path / "out", "--format", "mbox")
    assert sorted(os.listdir(tmp_path / "out")) == ["INBOX.mbox", "Lists.python.mbox"]
    assert (tmp_path / "out" / "INBOX.mbox").read_bytes().count(b"\nFrom ") == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text("Subject: no mbox\n\n"), "not an mbox"),
        (lambda path: path.mkdir(), "neither a Maildir nor a folder of .eml files"),
    ],
)
def test_what_is_no_mail_is_refused_in_one_line(run, tmp_path, make, words):
    make(tmp_path / "source")
    (line,) = run("mailbox", "import", ANN, tmp_path / "source", status=1).stderr.splitlines()
    assert words in line
    run("mailbox", "import", "nobody@example.test", tmp_path / "source", status=1)
    run("mailbox", "import", ANN, tmp_path / "nowhere", status=2)


def test_a_name_that_no_mailbox_can_have_is_refused(run, tmp_path):
    _maildir(tmp_path / "in")
    for name in ("a/../b", "a//b", "x\x07y"):
        assert len(run("mailbox", "import", ANN, tmp_path / "in", "--mailbox", name, status=1).stderr.splitlines()) == 1
