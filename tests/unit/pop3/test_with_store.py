"""POP3 together with our directory and our stores."""

import shutil

import pytest
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailsuite.directory import DirectoryChecker, DirectoryDatabase, MailRealm, PasswordHashing, open_directory
from mailsuite.directory.accounts import Accounts
from mailsuite.directory.domains import Domains
from mailsuite.durable import Disk, InlineLane
from mailsuite.interfaces import AppendMessage, IMailAccount
from mailsuite.pop3 import POP3Factory
from mailsuite.store import MemoryStore, StorageSettings, open_store

MESSAGES = (
    b"Subject: one\r\n\r\nfirst\r\n",
    b"Subject: two\r\n\r\n.dot\r\nno end",
    b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 20_000,
)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    path = tmp_path_factory.mktemp("directory") / "empty.db"
    database = DirectoryDatabase(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


class InlineReactor(Clock):
    """Does at once what threads hand over."""

    def callFromThread(self, call, *arguments):
        call(*arguments)


@pytest.fixture(params=["memory", "maildir"])
def store(request, tmp_path):
    settings = StorageSettings(maildir_root=str(tmp_path / "mail"))
    if request.param == "memory":
        made = MemoryStore(settings, clock=Clock().seconds)
    else:
        made = open_store(settings, disk=Disk(), reactor=InlineReactor(), lane=InlineLane)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def served(tmp_path, empty_database, store):
    path = tmp_path / "mailsuite.db"
    shutil.copy(empty_database, path)
    database = DirectoryDatabase(f"sqlite:///{path}")
    hashing = PasswordHashing(memory_kib=64, time_cost=1)
    Domains(database).add("example.test")
    Accounts(database, hashing).add("alice@example.test", password="correct horse")
    directory = open_directory(database.url, InlineLane())
    clock = Clock()
    checker = DirectoryChecker(directory, InlineLane(), clock, hashing=hashing)
    realm = MailRealm({IMailAccount: lambda account, mind: store.account(account)}, directory)
    account = store.account(result(directory.find("alice@example.test")))
    result(account.append("INBOX", [AppendMessage(content=message) for message in MESSAGES]))
    yield POP3Factory(Portal(realm, [checker]), reactor=clock), account
    directory.close()
    database.close()


def result(work):
    values = []
    deferred = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    deferred.addBoth(values.append)
    assert values, "still waiting"
    if isinstance(values[0], Failure):
        values[0].raiseException()
    return values[0]


@pytest.fixture
def log_in(served, connect):
    factory, _ = served

    def make():
        talk = connect(factory=factory)
        talk.read()
        talk.say(b"USER alice@example.test")
        assert talk.say(b"PASS correct horse").startswith(b"+OK ")
        return talk

    return make


def test_messages_are_read_and_removed(served, log_in):
    _, account = served
    talk = log_in()
    assert talk.say(b"STAT") == b"+OK 3 %d\r\n" % sum(map(len, MESSAGES))
    assert talk.say(b"RETR 1", b"RETR 2") == (
        b"+OK 23 octets\r\nSubject: one\r\n\r\nfirst\r\n.\r\n"
        b"+OK 28 octets\r\nSubject: two\r\n\r\n..dot\r\nno end\r\n.\r\n"
    )
    assert talk.say(b"RETR 3") == b"+OK %d octets\r\n%b.\r\n" % (len(MESSAGES[2]), MESSAGES[2])
    before = talk.say(b"UIDL").split(b"\r\n")
    talk.say(b"DELE 2", b"QUIT")
    status = result(account.status("INBOX"))
    assert (status.messages, status.deleted) == (2, 0)
    after = log_in().say(b"UIDL").split(b"\r\n")
    assert [line.split()[-1] for line in (after[1], after[2])] == [before[1].split()[1], before[3].split()[1]]


def test_a_session_leaves_recent_to_imap(served, log_in):
    _, account = served
    log_in().say(b"RETR 1", b"QUIT")
    mailbox = result(account.open_mailbox("INBOX", read_only=False))
    assert len(result(mailbox.snapshot()).recent) == 3
    mailbox.close()


def test_two_sessions_that_remove_the_same_message_both_end_well(served, log_in):
    _, account = served
    first, second = log_in(), log_in()
    first.say(b"DELE 1", b"QUIT")
    assert second.say(b"RETR 1") == b"-ERR the message has been removed\r\n"
    assert second.say(b"DELE 1", b"QUIT").endswith(b"+OK goodbye\r\n")
    assert result(account.status("INBOX")).messages == 2


def test_a_connection_that_breaks_removes_nothing(served, log_in):
    _, account = served
    talk = log_in()
    talk.say(b"DELE 1", b"DELE 2", b"DELE 3")
    talk.lose()
    assert result(account.status("INBOX")).messages == 3
