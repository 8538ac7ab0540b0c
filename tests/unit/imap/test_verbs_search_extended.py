"""SEARCH beyond RFC 3501: what is told of the messages found, and keys that came later."""

import pytest

from mailsuite.errors import Kind, MailError


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
    assert {b"ESEARCH", b"WITHIN", b"SEARCHRES"} <= set(client.ok(b"CAPABILITY")[0].split())


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


def test_age_is_counted_from_the_second_in_which_the_search_is_made(suite, aged):
    suite.clock.advance(0.75)
    assert aged.ok(b"SEARCH YOUNGER 3600") == [b"* SEARCH 2 3 4 5"]
    assert aged.ok(b"SEARCH OLDER 3600") == [b"* SEARCH 1 2"]


def test_the_search_after_some_time_counts_from_then(suite, aged):
    suite.clock.advance(1)
    assert aged.ok(b"SEARCH OLDER 3600") == [b"* SEARCH 1 2 3"]


# SEARCHRES: in these tests messages 1, 2 and 4 are seen, with the UIDs 2, 3 and 5


def saved(client):
    (line,) = client.ok(b"UID SEARCH $")
    return [int(uid) for uid in line.split()[2:]]


def test_what_was_found_is_named_in_every_set(suite, client):
    assert client.ok(b"SEARCH RETURN (SAVE) SEEN") == []  # nothing is told when nothing is asked for
    assert client.ok(b"FETCH $ UID") == [b"* 1 FETCH (UID 2)", b"* 2 FETCH (UID 3)", b"* 4 FETCH (UID 5)"]
    assert client.ok(b"UID FETCH $ UID") == client.ok(b"FETCH $ UID")
    assert client.ok(b"SEARCH $ SUBJECT 5") == [b"* SEARCH 4"]
    assert client.ok(b"SEARCH UID $") == [b"* SEARCH 1 2 4"]
    assert client.ok(b"SEARCH NOT $") == [b"* SEARCH 3 5"]
    assert client.ok(b"SEARCH OR $ (UNSEEN 5)") == [b"* SEARCH 1 2 4 5"]
    client.ok(b"STORE $ +FLAGS.SILENT (\\Flagged)")
    assert client.ok(b"SEARCH FLAGGED") == [b"* SEARCH 1 2 4"]
    suite.account.add_box("other")
    assert client.run(b"COPY $ other")[1].startswith(b"OK [COPYUID 7 2:3,5 1:3]")
    client.ok(b"UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert client.ok(b"UID EXPUNGE $")[:-1] == [b"* 1 EXPUNGE", b"* 1 EXPUNGE", b"* 2 EXPUNGE"]
    assert saved(client) == []
    assert client.ok(b"UID SEARCH ALL") == [b"* SEARCH 4 6"]


def test_what_was_found_is_named_beside_numbers(suite, client):
    """RFC 9051 section 9, "sequence-set"."""
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    assert client.ok(b"FETCH 3,$ UID") == [b"* %d FETCH (UID %d)" % (number, number + 1) for number in (1, 2, 3, 4)]
    assert client.ok(b"UID FETCH 6,$ UID") == [b"* %d FETCH (UID %d)" % (number, number + 1) for number in (1, 2, 4, 5)]
    assert client.ok(b"SEARCH 2:3,$") == client.ok(b"SEARCH UID 3:4,$") == [b"* SEARCH 1 2 3 4"]
    assert client.ok(b"SEARCH NOT *,$") == [b"* SEARCH 3"]
    assert client.run(b"FETCH 6,$ UID")[1].startswith(b"BAD there are only 5 messages")
    for command in (b"FETCH $,3 UID", b"SEARCH $,3", b"FETCH 1$ UID", b"REPLACE 1,$ INBOX {1+}\r\nx"):
        assert client.run(command)[1].startswith(b"BAD"), command
    client.ok(b"UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
    assert len(client.ok(b"UID EXPUNGE 6,$")) == 5
    assert client.ok(b"UID SEARCH ALL") == [b"* SEARCH 4"]


def test_with_other_options_they_are_told_as_well(client):
    (line,) = client.ok(b"UID SEARCH RETURN (SAVE COUNT) SEEN")
    assert line == b'* ESEARCH (TAG "%b") UID COUNT 3' % tag(client)
    assert saved(client) == [2, 3, 5]


@pytest.mark.parametrize(
    ("returns", "uids"),
    [
        (b"SAVE", [2, 3, 5]),
        (b"SAVE ALL", [2, 3, 5]),
        (b"SAVE MIN", [2]),
        (b"SAVE MAX", [5]),
        (b"SAVE MIN MAX", [2, 5]),
        (b"SAVE MIN COUNT", [2, 3, 5]),
        (b"MAX ALL SAVE", [2, 3, 5]),
    ],
)
def test_of_the_ends_only_the_ends_are_saved(client, returns, uids):
    """RFC 5182 section 2.4."""
    client.ok(b"SEARCH RETURN (%b) SEEN" % returns)
    assert saved(client) == uids


@pytest.mark.parametrize("returns", [b"SAVE MIN", b"SAVE MAX MIN", b"SAVE"])
def test_the_ends_of_nothing_are_nothing(client, returns):
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    client.ok(b"SEARCH RETURN (%b) DRAFT" % returns)
    assert saved(client) == []


def test_before_any_search_it_is_empty_and_that_is_no_error(client):
    """RFC 5182 section 2.1: a valid list of messages that names none."""
    assert client.ok(b"FETCH $ UID") == []
    assert client.ok(b"STORE $ FLAGS (\\Seen)") == []
    assert client.ok(b"SEARCH $") == [b"* SEARCH"]
    assert client.ok(b"UID EXPUNGE $") == []


def test_a_search_may_use_what_it_replaces(client):
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    client.ok(b"SEARCH RETURN (SAVE) $ 2:*")
    assert saved(client) == [3, 5]


def test_expunged_messages_leave_it_and_new_numbers_change_nothing(suite, client, mail):
    other = suite.connect().login().select()
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    other.ok(b"STORE 1:2 +FLAGS.SILENT (\\Deleted)")
    other.ok(b"EXPUNGE")
    suite.account.deliver("INBOX", mail("new"), ["\\Seen"])
    assert client.ok(b"NOOP")[:2] == [b"* 1 EXPUNGE", b"* 1 EXPUNGE"]
    assert saved(client) == [5]
    assert client.ok(b"FETCH $ UID") == [b"* 2 FETCH (UID 5)"]


@pytest.mark.parametrize("command", [b"SEARCH SEEN", b"SEARCH RETURN (ALL) UNSEEN", b"SEARCH CHARSET x SEEN"])
def test_a_search_that_does_not_save_changes_nothing(client, command):
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    client.run(command)
    assert saved(client) == [2, 3, 5]


def test_a_search_that_cannot_be_read_changes_nothing(client):
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    assert client.run(b"SEARCH RETURN (SAVE) NOPE")[1].startswith(b"BAD")
    assert saved(client) == [2, 3, 5]


def test_a_search_that_is_refused_empties_it(client):
    """RFC 5182 section 2.1: of the tagged NO."""
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    assert client.run(b"SEARCH RETURN (SAVE) CHARSET x SEEN")[1].startswith(b"NO [BADCHARSET")
    assert saved(client) == []


def test_a_search_that_the_store_fails_empties_it(suite, client):
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    suite.account.failure = MailError(Kind.UNAVAILABLE, "not now")
    assert client.run(b"SEARCH RETURN (SAVE) SUBJECT x")[1].startswith(b"NO [UNAVAILABLE]")
    assert saved(client) == []


def test_a_search_that_takes_too_long_empties_it(suite, client):
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    original = suite.account.pass_gate

    async def slow(call):
        await original(call)
        suite.clock.rightNow += 11

    suite.account.pass_gate = slow
    assert client.run(b"SEARCH RETURN (SAVE) BODY apple SUBJECT number")[1].startswith(b"NO [LIMIT]")
    assert saved(client) == []


@pytest.mark.parametrize("command", [b"SELECT INBOX", b"EXAMINE INBOX"])
def test_to_select_empties_it(client, command):
    client.ok(b"SEARCH RETURN (SAVE) SEEN")
    client.ok(command)
    assert saved(client) == []


def test_messages_that_the_client_has_not_been_told_of_are_not_in_it(suite, client, mail):
    client.ok(b"SEARCH RETURN (SAVE) ALL")
    suite.account.deliver("INBOX", mail("new"))
    assert client.ok(b"FETCH $ UID")[4:6] == [b"* 5 FETCH (UID 6)", b"* 6 EXISTS"]
    assert saved(client) == [2, 3, 4, 5, 6]
