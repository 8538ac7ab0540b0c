"""GETQUOTA, GETQUOTAROOT, and the limits that a client can know before it sends a message."""

import pytest


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
    lines, status = client.run(b"GETQUOTAROOT nowhere")
    assert (lines, status[:16]) == ([], b"NO [NONEXISTENT]")


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
