"""Twisted's MemoryAccount, served by our server: what works for a realm that was written for twisted.mail."""

import email.utils
import io

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.task import Clock
from twisted.mail import imap4
from twisted.mail.interfaces import IAccountIMAP, IMailboxIMAP, IMessageIMAP, IMessageIMAPFile
from zope.interface import implementer

from mailsuite.imap import IMAPFactory, IMAPSettings
from mailsuite.interfaces import IMailAccount


@implementer(IMessageIMAP)
class StockMessage:
    """What an author of 2005 would write: fields and a body."""

    def __init__(self, uid, octets, flags, date):
        self.uid = uid
        head, _, self.body = octets.partition(b"\r\n\r\n")
        self.fields = dict(line.decode().split(": ", 1) for line in head.split(b"\r\n"))
        self.flags = list(flags)
        self.date = date

    def getUID(self):
        return self.uid

    def getFlags(self):
        return self.flags

    def getInternalDate(self):
        return self.date

    def getHeaders(self, negate, *names):
        wanted = {name.lower() for name in names}
        return {name: value for name, value in self.fields.items() if (name.lower() in wanted) is not negate}

    def getBodyFile(self):
        return io.BytesIO(self.body)

    def getSize(self):
        return len(self.body)

    def isMultipart(self):
        return False

    def getSubPart(self, part):
        raise TypeError


@implementer(IMessageIMAPFile)
class FileMessage(StockMessage):
    """The same with its octets at hand."""

    def __init__(self, uid, octets, flags, date):
        super().__init__(uid, octets, flags, date)
        self.octets = octets

    def open(self):
        return io.BytesIO(self.octets)


@implementer(IMailboxIMAP)
class StockMailbox:
    def __init__(self, kind):
        self.kind = kind
        self.messages = []
        self.uidnext = 1
        self.listeners = []
        self.addListener = self.listeners.append
        self.removeListener = self.listeners.remove
        self.flags = []

    def getFlags(self):
        return ["\\Seen", "\\Deleted"]

    def getHierarchicalDelimiter(self):
        return "/"

    def getUIDValidity(self):
        return 42

    def getUIDNext(self):
        return self.uidnext

    def getUID(self, message):
        return self.messages[message - 1].uid

    def getMessageCount(self):
        return len(self.messages)

    def getRecentCount(self):
        return 0

    def getUnseenCount(self):
        return sum("\\Seen" not in message.flags for message in self.messages)

    def isWriteable(self):
        return True

    def destroy(self):
        self.messages = []

    def requestStatus(self, names):
        return imap4.statusRequestHelper(self, names)

    def addMessage(self, message, flags, date=None):
        self.messages.append(self.kind(self.uidnext, message.read(), flags, date or b"Tue, 17 Nov 2026 10:00:00 +0000"))
        self.uidnext += 1
        for listener in list(self.listeners):
            listener.newMessages(len(self.messages), None)

    def expunge(self):
        gone = [number for number, message in enumerate(self.messages, 1) if "\\Deleted" in message.flags]
        self.messages = [message for message in self.messages if "\\Deleted" not in message.flags]
        return gone

    def fetch(self, messages, uid):
        messages.last = (self.uidnext - 1 if uid else len(self.messages)) if messages.ranges else 0
        return [
            (number, message)
            for number, message in enumerate(self.messages, 1)
            if (message.uid if uid else number) in messages
        ]

    def store(self, messages, flags, mode, uid):
        changed = {}
        for number, message in self.fetch(messages, uid):
            old = set(message.flags)
            message.flags = sorted({0: set(flags), 1: old | set(flags), -1: old - set(flags)}[mode])
            changed[number] = message.flags
        return changed


@implementer(IAccountIMAP)
class StockAccount(imap4.MemoryAccount):
    def __init__(self, kind):
        super().__init__("stock")
        self.kind = kind
        self.addMailbox("INBOX")

    def _emptyMailbox(self, name, id):  # noqa: A002 - the name is Twisted's
        return StockMailbox(self.kind)


@implementer(IRealm)
class StockRealm:
    def __init__(self, kind):
        self.account = StockAccount(kind)
        self.logouts = 0

    def requestAvatar(self, avatarId, mind, *interfaces):
        assert interfaces[0] is IMailAccount  # ours is asked for first
        if IAccountIMAP in interfaces:
            return IAccountIMAP, self.account, self.logout
        raise NotImplementedError

    def logout(self):
        self.logouts += 1


@pytest.fixture(params=[StockMessage, FileMessage])
def stock(request):
    return StockRealm(request.param)


@pytest.fixture
def client(stock, suite):
    """Our scripted client, against a factory over somebody else's realm."""
    checker = InMemoryUsernamePasswordDatabaseDontUse()
    checker.addUser(b"alice@example.test", b"secret")
    suite.clock = Clock()
    suite.factory = IMAPFactory(
        Portal(stock, [checker]), settings=IMAPSettings(allow_cleartext=True), reactor=suite.clock
    )
    return suite.connect().login()


def append(client, content, flags=b"()"):
    answer = client.send(b"a APPEND INBOX %b {%d+}\r\n%b\r\n" % (flags, len(content), content))
    assert b"a OK [APPENDUID 42 " in answer, answer


def test_a_session_from_append_to_expunge(client, mail):
    append(client, mail("one"), b"(\\Seen)")
    append(client, mail("two"))
    lines = client.ok(b"SELECT INBOX")
    assert b"* 2 EXISTS" in lines
    assert client.ok(b"FETCH 1:2 (UID FLAGS)") == [b"* 1 FETCH (UID 1 FLAGS (\\Seen))", b"* 2 FETCH (UID 2 FLAGS ())"]
    (line,) = client.ok(b"FETCH 2 ENVELOPE")
    assert b'"two"' in line
    assert client.ok(b"SEARCH SUBJECT two") == [b"* SEARCH 2"]
    assert client.ok(b"SEARCH BODY text") == [b"* SEARCH 1 2"]
    assert client.ok(b"STORE 1 +FLAGS (\\Deleted)") == [b"* 1 FETCH (FLAGS (\\Deleted \\Seen))"]
    assert client.ok(b"EXPUNGE") == [b"* 1 EXPUNGE"]
    assert client.ok(b"FETCH 1 UID") == [b"* 1 FETCH (UID 2)"]


def test_bodies_come_whole(client, mail):
    append(client, mail("one"))
    client.select()
    answer = client.send(b"a FETCH 1 BODY.PEEK[]\r\n")
    assert b"Subject: one\r\n" in answer
    assert b"\r\n\r\ntext\r\n" in answer
    assert client.ok(b"FETCH 1 BODY.PEEK[TEXT]") == [b"* 1 FETCH (BODY[TEXT] {6}", b"text", b")"]


def test_internal_dates_are_read_in_either_form(client, mail):
    append(client, mail("one"))
    content = mail("two")
    client.send(b'a APPEND INBOX "17-Jul-1996 02:44:25 -0700" {%d+}\r\n%b\r\n' % (len(content), content))
    client.select()
    assert client.ok(b"FETCH 1:2 INTERNALDATE") == [
        b'* 1 FETCH (INTERNALDATE "17-Nov-2026 10:00:00 +0000")',
        b'* 2 FETCH (INTERNALDATE "17-Jul-1996 09:44:25 +0000")',
    ]


def test_uid_expunge_spares_the_others(client, mail):
    for number in range(3):
        append(client, mail(str(number)), b"(\\Deleted)")
    client.select()
    assert client.ok(b"UID EXPUNGE 2") == [b"* 2 EXPUNGE"]
    assert client.ok(b"FETCH 1:* (UID FLAGS)") == [
        b"* 1 FETCH (UID 1 FLAGS (\\Deleted))",
        b"* 2 FETCH (UID 3 FLAGS (\\Deleted))",
    ]


def test_replace_spares_what_is_deleted_beside(client, mail):
    for number in range(3):
        append(client, mail(str(number)), b"(\\Deleted)" if number == 1 else b"()")
    client.select()
    content = mail("new")
    answer = client.send(b"a REPLACE 1 INBOX {%d+}\r\n%b\r\n" % (len(content), content))
    assert answer.startswith(b"* OK [APPENDUID 42 4]")
    assert b"\r\na OK REPLACE completed\r\n" in answer
    assert client.ok(b"SEARCH SUBJECT new") == [b"* SEARCH 3"]
    assert client.ok(b"FETCH 1:* (UID FLAGS)") == [
        b"* 1 FETCH (UID 2 FLAGS (\\Deleted))",
        b"* 2 FETCH (UID 3 FLAGS ())",
        b"* 3 FETCH (UID 4 FLAGS ())",
    ]


def test_mailboxes(client, mail):
    client.ok(b"CREATE WORK")
    client.ok(b"SUBSCRIBE WORK")
    assert client.ok(b'LIST "" *') == [
        b'* LIST (\\HasNoChildren) "/" INBOX',
        b'* LIST (\\HasNoChildren) "/" WORK',
    ]
    assert client.ok(b'LSUB "" *') == [b'* LSUB () "/" WORK']
    append(client, mail("one"))
    client.select()
    assert client.run(b"COPY 1 WORK")[1].startswith(b"OK [COPYUID 42 1 1]")
    assert client.ok(b"STATUS WORK (MESSAGES UNSEEN UIDNEXT)") == [b"* STATUS WORK (MESSAGES 1 UNSEEN 1 UIDNEXT 2)"]
    lines = client.ok(b"MOVE 1 WORK")
    assert b"* 1 EXPUNGE" in lines
    assert client.run(b"UID COPY 1 NOWHERE")[1].startswith(b"NO [TRYCREATE]")
    assert client.run(b"SELECT NOWHERE")[1].startswith(b"NO [NONEXISTENT]")
    assert client.run(b"CREATE WORK")[1].startswith(b"NO [ALREADYEXISTS]")
    client.ok(b"RENAME WORK PLAY")
    client.ok(b"DELETE PLAY")
    assert client.run(b"DELETE PLAY")[1].startswith(b"NO")
    client.ok(b"CREATE doomed")
    client.select(b"doomed")
    client.ok(b"DELETE doomed")
    assert client.run(b"CHECK")[1].startswith(b"BAD CHECK is not allowed"), "none is selected now"


def test_keywords_have_a_limit_of_ours(client, mail):
    append(client, mail("one"))
    append(client, mail("two"))
    client.select()
    words = [b"k%d" % number for number in range(1000)]
    assert b"\\*" in client.ok(b"STORE 1 +FLAGS (%b)" % b" ".join(words[1:]))[1]
    assert b"\\*" not in client.ok(b"STORE 2 +FLAGS (k0)")[1]
    assert client.run(b"STORE 2 +FLAGS (k0 more)")[1].startswith(b"NO [LIMIT]")
    client.ok(b"STORE 2 +FLAGS (k1 k2)")
    client.ok(b"STORE 2 -FLAGS (k0 more)")


def test_a_large_append_goes_through_a_temporary_file(client):
    content = b"Subject: large\r\n\r\n" + b"x" * 200_000
    append(client, content)
    client.select()
    answer = client.send(b"a FETCH 1 BODY.PEEK[]\r\n")
    assert content in answer


def test_a_listener_is_told_while_idle(client, stock, mail):
    client.select()
    client.send(b"i IDLE\r\n")
    stock.account.mailboxes["INBOX"].addMessage(io.BytesIO(mail("new")), [])
    assert b"* 1 EXISTS" in client.received()
    client.send(b"DONE\r\n")
    client.ok(b"UNSELECT")
    assert stock.account.mailboxes["INBOX"].listeners == []


def test_logout_gives_the_avatar_back(client, stock):
    client.send(b"a LOGOUT\r\n")
    assert stock.logouts == 1


def test_dates_of_the_stock_server_are_understood():
    from mailsuite.imap.bridge_mailbox import read_date

    assert read_date(email.utils.formatdate(0)) == 0
    assert read_date(b" 1-Jan-1970 00:00:10 +0000") == 10
    assert read_date("nonsense") is None


def test_nothing_that_must_be_remembered_is_offered(client, mail):
    append(client, mail("one"))
    (line,) = client.ok(b"CAPABILITY")
    for word in (b"CONDSTORE", b"QRESYNC", b"OBJECTID", b"SAVEDATE"):
        assert word not in line
    assert client.ok(b"ENABLE QRESYNC CONDSTORE") == [b"* ENABLED"]
    lines = client.ok(b"SELECT INBOX (CONDSTORE)")
    assert b"* OK [NOMODSEQ] MODSEQs are not kept" in lines
    assert not any(b"HIGHESTMODSEQ" in line or b"MAILBOXID" in line for line in lines)
    assert client.run(b"FETCH 1 MODSEQ")[1].startswith(b"BAD")
    assert client.run(b"UID FETCH 1 UID (CHANGEDSINCE 1 VANISHED)")[1].startswith(b"BAD")
    assert client.run(b"STORE 1 (UNCHANGEDSINCE 1) FLAGS ()")[1].startswith(b"BAD")
