"""GETQUOTA, GETQUOTAROOT, SETQUOTA, and the limits that a client can know before it sends a message."""

import pytest
from twisted.logger import globalLogPublisher
from zope.interface import alsoProvides

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account, IQuotaAdministrator, QuotaChange


@pytest.fixture
def client(suite):
    return suite.connect().login()


def test_an_account_is_one_root(suite, mail, client):
    suite.account.limit = 10 * 1024
    suite.account.put("INBOX", b"x" * 1025)
    assert client.ok(b"GETQUOTAROOT inbox") == [b'* QUOTAROOT INBOX ""', b'* QUOTA "" (STORAGE 2 10)']
    assert client.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 2 10)']


def test_messages_are_limited_too(suite, client):
    suite.account.limit, suite.account.messages_max = 2047, 5
    suite.account.put("INBOX", b"x" * 1024)
    assert client.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 1 1 MESSAGE 1 5)']


def test_without_a_limit_there_is_nothing_to_tell(client):
    assert client.ok(b"GETQUOTAROOT INBOX") == [b'* QUOTAROOT INBOX ""', b'* QUOTA "" ()']


def test_what_is_not_there(client):
    assert client.run(b"GETQUOTA other")[1].startswith(b"NO [NONEXISTENT]")


def test_a_mailbox_that_is_still_to_be_made_has_the_root_of_all(suite, client):
    suite.account.add_box("a/b")
    for name in (b"nowhere", b"a"):
        assert client.ok(b"GETQUOTAROOT " + name) == [b'* QUOTAROOT %b ""' % name, b'* QUOTA "" ()']


def test_status_tells_what_an_expunge_would_free_and_how_large_a_message_may_be(suite, client):
    suite.account.put("INBOX", b"x" * 1000, ["\\Deleted"])
    suite.account.put("INBOX", b"y" * 100)
    largest = suite.factory.settings.literal_max_octets
    (line,) = client.ok(b"STATUS INBOX (DELETED DELETED-STORAGE APPENDLIMIT)")
    assert line == b"* STATUS INBOX (DELETED 1 DELETED-STORAGE 1000 APPENDLIMIT %d)" % largest
    (line,) = client.ok(b"CAPABILITY")
    assert b"APPENDLIMIT=%d" % largest in line.split()


def test_it_is_announced_after_the_login(suite):
    client = suite.connect()
    assert not any(b"QUOTA" in line for line in client.ok(b"CAPABILITY"))
    (line,) = client.login().ok(b"CAPABILITY")
    assert {b"QUOTA", b"QUOTA=RES-STORAGE", b"QUOTA=RES-MESSAGE"} <= set(line.split())


# SETQUOTA


class Office:
    """What makes an administrator of an account: its own root and those of two others."""

    def __init__(self, account):
        self.account = account
        self.limits = {"": 0, "Users/bob@example.test": 0, "Users/\u00fc@example.test": 0}
        self.refusal = None
        self.messages_max = 0
        account.root_of, account.quota_of, account.set_quota = self.root_of, self.quota_of, self.set_quota
        alsoProvides(account, IQuotaAdministrator)

    async def root_of(self, mailbox):
        raise NotImplementedError

    async def quota_of(self, root):
        if root not in self.limits:
            raise MailError(Kind.NOT_FOUND, "no such quota root")
        return {"STORAGE": (1025, self.limits[root]), "MESSAGES": (3, self.messages_max)}

    async def set_quota(self, root, limit_octets):
        if self.refusal is not None:
            raise self.refusal
        before, self.limits[root] = self.limits[root], limit_octets
        self.account.limit = self.limits[""]
        account = Account(account_id=2, email="bob@example.test", quota_octets=limit_octets)
        return QuotaChange(account, before)


BOB = b"Users/bob@example.test"


@pytest.fixture
def office(suite):
    return Office(suite.account)


@pytest.fixture
def admin(suite, office):
    return suite.connect().login()


@pytest.fixture
def events():
    found = []
    globalLogPublisher.addObserver(found.append)
    yield lambda: [event for event in found if event.get("event") == "imap.quota.changed"]
    globalLogPublisher.removeObserver(found.append)


def test_quotaset_is_announced_to_who_may_use_it(suite, client):
    assert b"QUOTASET" not in client.ok(b"CAPABILITY")[0].split()
    Office(suite.account)
    admin = suite.connect()
    assert not any(b"QUOTASET" in line for line in admin.ok(b"CAPABILITY"))
    status = admin.run(b"LOGIN alice@example.test secret")[1]
    assert b" QUOTASET" in status
    assert b"QUOTASET" in admin.ok(b"CAPABILITY")[0].split()


def test_an_administrator_sets_what_others_may_have(office, admin, events):
    assert admin.ok(b"SETQUOTA %b (STORAGE 512)" % BOB) == [b"* QUOTA %b (STORAGE 2 512)" % BOB]
    assert office.limits["Users/bob@example.test"] == 512 * 1024
    assert admin.ok(b"GETQUOTA " + BOB) == [b"* QUOTA %b (STORAGE 2 512)" % BOB]
    assert admin.ok(b"SETQUOTA %b (storage 100)" % BOB) == [b"* QUOTA %b (STORAGE 2 100)" % BOB]
    told = [(each["account"], each["owner"], each["before_octets"], each["limit_octets"]) for each in events()]
    assert told == [
        ("alice@example.test", "bob@example.test", 0, 512 * 1024),
        ("alice@example.test", "bob@example.test", 512 * 1024, 100 * 1024),
    ]


def test_what_is_not_listed_has_no_limit_but_messages_have_that_of_the_server(office, admin):
    office.messages_max = 9
    office.limits["Users/bob@example.test"] = 4096
    assert admin.ok(b"SETQUOTA %b ()" % BOB) == [b"* QUOTA %b (MESSAGE 3 9)" % BOB]
    assert office.limits["Users/bob@example.test"] == 0


def test_the_root_may_be_ones_own_or_have_any_name(office, admin):
    assert admin.ok(b'SETQUOTA "" (STORAGE 7)') == [b'* QUOTA "" (STORAGE 0 7)']
    assert admin.ok(b'GETQUOTA ""') == [b'* QUOTA "" (STORAGE 0 7)']
    name = b"{%d+}\r\nUsers/\xc3\xbc@example.test" % len(b"Users/\xc3\xbc@example.test")
    lines = admin.ok(b"SETQUOTA %b (STORAGE 8)" % name)
    assert b"\r\n".join(lines) == b"* QUOTA %b (STORAGE 2 8)" % name.replace(b"+", b"")
    assert office.limits["Users/\u00fc@example.test"] == 8192


@pytest.mark.parametrize("root", [b"other", b"Users", b"Users/carol@example.test", b"{1+}\r\n\xff"])
def test_a_root_that_is_not_there_is_named_so(office, admin, root):
    for command in (b"GETQUOTA %b", b"SETQUOTA %b (STORAGE 1)", b"SETQUOTA %b ()"):
        lines, status = admin.run(command % root)
        assert (lines, status[:16]) == ([], b"NO [NONEXISTENT]")


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (b"(MESSAGE 5)", b"MESSAGE"),
        (b"(STORAGE 5 message 5)", b"MESSAGE"),
        (b"(MAILBOX 1 STORAGE 5)", b"MAILBOX"),
        (b"(ANNOTATION-STORAGE 5)", b"ANNOTATION-STORAGE"),
        (b"(" + b"X" * 200 + b" 1)", b"X" * 64),
        (b"(STORAGE 0)", b"STORAGE"),
    ],
)
def test_what_cannot_be_set_is_named_and_nothing_is(office, admin, events, limits, named):
    office.limits["Users/bob@example.test"] = 4096
    lines, status = admin.run(b"SETQUOTA %b %b" % (BOB, limits))
    assert lines == []
    assert status.startswith(b"NO [CANNOT] ")
    assert named in status.split()
    assert office.limits["Users/bob@example.test"] == 4096
    assert events() == []


@pytest.mark.parametrize(
    ("kind", "code"), [(Kind.DENIED, b"NOPERM"), (Kind.INVALID, b"CANNOT"), (Kind.UNAVAILABLE, b"UNAVAILABLE")]
)
def test_a_refusal_changes_and_tells_nothing(office, admin, events, kind, code):
    office.refusal = MailError(kind, "no")
    assert admin.run(b"SETQUOTA %b (STORAGE 1)" % BOB) == ([], b"NO [%b] no" % code)
    assert events() == []


@pytest.mark.parametrize("root", [b'""', BOB, b"Users/nobody@example.test", b"{1+}\r\n\xff"])
@pytest.mark.parametrize("limits", [b"()", b"(STORAGE 1)", b"(STORAGE 0)", b"(MESSAGE 1)"])
def test_others_set_nothing_and_hear_who_does(client, root, limits):
    lines, status = client.run(b"SETQUOTA %b %b" % (root, limits))
    assert (lines, status) == ([], b"NO [NOPERM] quotas are set by the administrators of this server")
    if root != b'""':
        assert client.run(b"GETQUOTA " + root) == ([], b"NO [NONEXISTENT] no such quota root")


def test_nobody_sets_quotas_before_the_login(suite):
    client = suite.connect()
    client.received()
    assert client.run(b"SETQUOTA %b (STORAGE 1)" % BOB)[1].startswith(b"BAD ")
