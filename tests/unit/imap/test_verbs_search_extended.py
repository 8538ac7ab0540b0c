"""SEARCH beyond RFC 3501: what is told of the messages found, and keys that came later."""

import pytest


@pytest.fixture
def client(suite, mail):
    for number in range(1, 7):
        suite.account.put("INBOX", mail(f"number {number}"), ["\\Seen"] if number in {2, 3, 5} else [])
    client = suite.connect().login().select()
    client.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    client.ok(b"EXPUNGE")  # from here on each UID is one more than its number
    return client


def tag(client):
    return b"t%d" % client._tags


def test_the_extensions_are_announced(client):
    assert {b"ESEARCH", b"WITHIN"} <= set(client.ok(b"CAPABILITY")[0].split())


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (b"SEARCH RETURN () SEEN", b"ALL 1:2,4"),
        (b"SEARCH RETURN (ALL) SEEN", b"ALL 1:2,4"),
        (b"UID SEARCH RETURN () SEEN", b"UID ALL 2:3,5"),
        (b"SEARCH RETURN (MIN) SEEN", b"MIN 1"),
        (b"UID SEARCH RETURN (MAX MIN) SEEN", b"UID MIN 2 MAX 5"),
        (b"SEARCH RETURN (COUNT) SEEN", b"COUNT 3"),
        (b"SEARCH RETURN (MIN MAX ALL COUNT) CHARSET UTF-8 SEEN", b"MIN 1 MAX 4 ALL 1:2,4 COUNT 3"),
        (b"UID SEARCH RETURN (COUNT ALL) SUBJECT nothing-like-this", b"UID COUNT 0"),
    ],
)
def test_what_was_asked_for_is_told_under_the_tag(client, asked, told):
    lines = client.ok(asked)
    assert lines == [b'* ESEARCH (TAG "%b") %b' % (tag(client), told)]


@pytest.mark.parametrize("returns", [b"MIN", b"MAX", b"ALL", b"MIN MAX ALL"])
def test_of_nothing_there_is_no_least_no_greatest_and_no_set(client, returns):
    """RFC 4731 section 3.1."""
    lines = client.ok(b"SEARCH RETURN (%b) DRAFT" % returns)
    assert lines == [b'* ESEARCH (TAG "%b")' % tag(client)]


def test_without_return_the_answer_is_the_old_one(client):
    assert client.ok(b"SEARCH SEEN") == [b"* SEARCH 1 2 4"]


def test_an_extended_search_tells_no_expunge_either(suite, client):
    other = suite.connect().login().select()
    other.ok(b"STORE 1 +FLAGS.SILENT (\\Deleted)")
    other.ok(b"EXPUNGE")
    lines, end = client.run(b"SEARCH RETURN (COUNT) ALL")
    assert not [line for line in lines if line.endswith(b"EXPUNGE")]
    assert end.startswith(b"OK [EXPUNGEISSUED]")
    assert b"* 1 EXPUNGE" in client.ok(b"UID SEARCH RETURN (COUNT) ALL")


# WITHIN


@pytest.fixture
def aged(suite, mail):
    suite.clock.advance(10_000)
    for age in (9000, 3600, 3599, 0, -5):
        suite.account.put("INBOX", mail(str(age)), date=10_000 - age)
    return suite.connect().login().select()


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (b"OLDER 3600", b" 1 2"),
        (b"YOUNGER 3600", b" 2 3 4 5"),
        (b"OLDER 1", b" 1 2 3"),
        (b"YOUNGER 1", b" 4 5"),
        (b"NOT YOUNGER 3600", b" 1"),
        (b"OLDER 3600 YOUNGER 8999", b" 2"),
        (b"older 4294967295", b""),
        (b"YOUNGER 4294967295", b" 1 2 3 4 5"),
    ],
)
def test_age_is_counted_in_seconds_back_from_the_search(aged, keys, found):
    """RFC 5032 section 3: both ends belong to it."""
    assert aged.ok(b"SEARCH " + keys) == [b"* SEARCH" + found]


def test_the_search_after_some_time_counts_from_then(suite, aged):
    suite.clock.advance(1)
    assert aged.ok(b"SEARCH OLDER 3600") == [b"* SEARCH 1 2 3"]
