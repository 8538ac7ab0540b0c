"""What is switched off for whom: rows, their order, and the moments at which ID and the login come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from zope.interface import alsoProvides

from mailsuite.imap import IMAPSettings, QuirkSettings
from mailsuite.imap.capabilities import is_off
from mailsuite.imap.quirks import (
    NEEDED_BY,
    PROTECTED,
    SHIPPED,
    SWITCHABLE,
    VERSION_MAX,
    describe,
    judge,
    matches,
    version_key,
)
from mailsuite.interfaces import IQuotaAdministrator, IRightsAccount

ALICE = "alice@example.test"
THUNDERBIRD = {"name": "Thunderbird for Android", "version": "12.0b1"}
ID_THUNDERBIRD = b'ID ("name" "Thunderbird for Android" "version" "12.0b1")'


def words(lines_or_status):
    """The capabilities of an answer to CAPABILITY, or of a response code."""
    text = lines_or_status if isinstance(lines_or_status, bytes) else b" ".join(lines_or_status)
    return set(text.partition(b"CAPABILITY ")[2].partition(b"]")[0].split())


def asked(client):
    return words(client.ok(b"CAPABILITY"))


# rows


@pytest.mark.parametrize(
    ("row", "client", "account", "fits"),
    [
        ({"name": "Mail"}, {"name": "mAIL"}, "", True),
        ({"name": "Mail"}, {"name": "Mail 2"}, "", False),
        ({"name": "Mail*"}, {"name": "mail 2"}, "", True),
        ({"name": "Mail*"}, {"name": "Mail"}, "", True),
        ({"name": "Mail*"}, {"name": "A Mail"}, "", False),
        ({"name": "Mail"}, {}, ALICE, False),
        ({"vendor": "We"}, {"vendor": "we", "name": "x"}, "", True),
        ({"name": "Mail", "os": "iOS"}, {"name": "Mail", "os": "macOS"}, "", False),
        ({"os": "iOS", "os_version": "16.5.1*"}, {"os": "iOS", "os-version": "16.5.1 (20F75)"}, "", True),
        ({"os_version": "16.5.1*"}, {"os_version": "16.5.1"}, "", False),
        ({"version": "3.*"}, {"version": "3.1"}, "", True),
        ({"version": "3.*"}, {"version": "30.1"}, "", False),
        ({"version_from": "3.0"}, {"version": "3.0"}, "", True),
        ({"version_from": "3.0"}, {"version": "2.9.9"}, "", False),
        ({"version_from": "3.0"}, {}, "", False),
        ({"version_from": "3.0"}, {"version": "?"}, "", False),
        ({"version_below": "3.2"}, {"version": "3.1.9"}, "", True),
        ({"version_below": "3.2"}, {"version": "3.2"}, "", False),
        ({"version_from": "3", "version_below": "3.10"}, {"version": "3.9"}, "", True),
        ({"account": ALICE}, {}, "ALICE@example.test", True),
        ({"account": ALICE}, {}, "bob@example.test", False),
        ({"account": ALICE}, {"name": "x"}, "", False),
        ({"domain": "example.test"}, {}, ALICE, True),
        ({"domain": "test"}, {}, ALICE, False),
        ({"domain": "example.test"}, {}, "", False),
        ({"name": "Mail", "account": ALICE}, {"name": "Mail"}, "", False),
        ({"name": "Mail", "account": ALICE}, {"name": "Mail"}, ALICE, True),
    ],
)
def test_a_row_matches_when_everything_in_it_does(row, client, account, fits):
    assert matches(QuirkSettings(**row), client, account) is fits


def test_versions_have_an_order():
    order = [
        "",
        "beta",
        "9",
        "9.1",
        "12.0a1",
        "12.0b1",
        "12.0b3",
        "12.0b4",
        "12.0b10",
        "12.0",
        "12.0.1",
        "12.1",
        "15.20.9",
    ]
    keys = [version_key(version) for version in order]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


@given(st.text(), st.text())
def test_any_two_versions_can_be_compared(one, other):
    assert (version_key(one) < version_key(other)) == (version_key(other) > version_key(one))


def test_no_version_is_long():
    assert len(version_key("1." * 10_000)) <= VERSION_MAX


# order


def test_nothing_is_off_unless_somebody_says_so():
    assert judge(IMAPSettings()).off == frozenset()
    assert judge(IMAPSettings(), {"name": "Thunderbird", "version": "140.0"}, ALICE).off == frozenset()


def test_what_is_off_for_all_and_for_each_row_adds_up():
    settings = IMAPSettings(
        capabilities_off=("binary",),
        quirks=(
            QuirkSettings(name="Mail", off=("IDLE",)),
            QuirkSettings(domain="example.test", off=("MOVE",)),
            QuirkSettings(name="Other", off=("ID",)),
        ),
    )
    assert judge(settings).off == {b"BINARY"}
    assert judge(settings, {"name": "Mail"}).off == {b"BINARY", b"IDLE"}
    verdict = judge(settings, {"name": "Mail"}, ALICE)
    assert verdict.off == {b"BINARY", b"IDLE", b"MOVE"}
    assert verdict.rows == settings.quirks[:2]


def test_shipped_rows_act_unless_they_are_switched_off():
    assert judge(IMAPSettings(), THUNDERBIRD).off == {b"UTF8=ACCEPT"}
    verdict = judge(IMAPSettings(shipped_quirks=False), THUNDERBIRD)
    assert (verdict.off, verdict.rows) == (frozenset(), ())


@pytest.mark.parametrize("kept", ["UTF8=ACCEPT", "utf8"])
def test_what_the_operator_keeps_on_no_shipped_row_switches_off(kept):
    keeping = QuirkSettings(account=ALICE, on=(kept,))
    settings = IMAPSettings(quirks=(keeping,))
    assert judge(settings, THUNDERBIRD, "bob@example.test").off == {b"UTF8=ACCEPT"}
    verdict = judge(settings, THUNDERBIRD, ALICE)
    assert (verdict.off, verdict.rows) == (frozenset(), ())
    own = IMAPSettings(quirks=(keeping, QuirkSettings(account=ALICE, off=("UTF8=ACCEPT",))))
    assert judge(own, THUNDERBIRD, ALICE).off == {b"UTF8=ACCEPT"}


@pytest.mark.parametrize("name", NEEDED_BY)
def test_what_makes_no_sense_alone_goes_with_it(name):
    off = judge(IMAPSettings(capabilities_off=(name.decode(),))).off
    assert off == {name} | NEEDED_BY[name]


def test_nobody_switches_off_what_protects_passwords():
    settings = IMAPSettings(capabilities_off=tuple(name.decode() for name in PROTECTED))
    assert judge(settings).off == frozenset()


# what is shipped


@pytest.mark.parametrize("row", SHIPPED, ids=describe)
def test_each_shipped_row_is_about_programs_and_says_why_and_where_that_stands(row):
    assert row.name
    assert not row.account
    assert not row.domain
    assert not row.on
    assert row.reason
    assert row.source.startswith("https://")
    not_offered_yet = {"UIDONLY"}
    assert set(row.off) - not_offered_yet <= {name.decode() for name in SWITCHABLE}


@pytest.mark.parametrize(
    ("client", "off"),
    [
        (THUNDERBIRD, {b"UTF8=ACCEPT"}),
        ({**THUNDERBIRD, "version": "12.0b4"}, set()),
        ({**THUNDERBIRD, "version": "12.0"}, set()),
        ({**THUNDERBIRD, "version": "11.1"}, set()),
        ({"name": "K-9 Mail", "version": "12.0a1"}, {b"UTF8=ACCEPT"}),
        ({"name": "K-9 Mail", "version": "12.0"}, set()),
        ({"name": "iPhone Mail", "os": "iOS", "os-version": "16.5.1 (20F75)"}, {b"CONDSTORE", b"QRESYNC"}),
        ({"name": "iPhone Mail", "os": "iOS", "os-version": "18.6.2 (22G100)"}, set()),
        ({"name": "Microsoft Office 365", "version": "15.20.9160.4"}, {b"UIDONLY"} & SWITCHABLE),
    ],
)
def test_programs_that_are_known_for_a_fault(client, off):
    assert judge(IMAPSettings(), client).off == off


def test_everything_that_is_announced_can_be_switched_off_or_is_protected(make_suite):
    suite = make_suite(context_factory=object())
    alsoProvides(suite.account, IQuotaAdministrator, IRightsAccount)
    client = suite.connect()
    announced = words(client.received())
    assert b"STARTTLS" in announced
    announced |= words(client.run(b"LOGIN alice@example.test secret")[1])
    assert {b"ACL", b"QUOTASET"} <= announced
    known = SWITCHABLE | PROTECTED
    assert [word for word in announced if not is_off(word.upper(), known)] == []


# sessions


def test_what_is_off_for_all_is_not_in_the_greeting(make_suite):
    client = make_suite(capabilities_off=("LITERAL+", "SASL-IR", "COMPRESS", "QUOTA")).connect()
    greeting = words(client.received())
    assert greeting.isdisjoint({b"LITERAL+", b"SASL-IR"})
    assert b"IDLE" in greeting
    after = words(client.run(b"LOGIN alice@example.test secret")[1])
    assert not {word for word in after if word.startswith((b"QUOTA", b"COMPRESS"))}


def test_an_administrator_may_go_without_setting_quotas(make_suite):
    suite = make_suite(capabilities_off=("QUOTASET",))
    alsoProvides(suite.account, IQuotaAdministrator)
    after = words(suite.connect().run(b"LOGIN alice@example.test secret")[1])
    assert {word for word in after if word.startswith(b"QUOTA")} == {
        b"QUOTA",
        b"QUOTA=RES-STORAGE",
        b"QUOTA=RES-MESSAGE",
    }


def test_id_before_the_login_counts_at_the_login(suite):
    client = suite.connect()
    client.received()
    lines = client.ok(ID_THUNDERBIRD)
    assert [line.split()[1] for line in lines] == [b"ID", b"CAPABILITY"]
    assert b"UTF8=ACCEPT" not in words(client.run(b"LOGIN alice@example.test secret")[1])
    assert client.ok(b"ENABLE UTF8=ACCEPT CONDSTORE") == [b"* ENABLED CONDSTORE"]


def test_id_after_the_login_tells_what_is_left(suite):
    client = suite.connect()
    client.received()
    assert b"UTF8=ACCEPT" in words(client.run(b"LOGIN alice@example.test secret")[1])
    first, second = client.ok(ID_THUNDERBIRD)
    assert first.startswith(b"* ID ")
    assert second.startswith(b"* CAPABILITY IMAP4rev1 ")
    assert b"UTF8=ACCEPT" not in words(second)
    assert words(second) == asked(client)
    assert client.ok(b"ENABLE UTF8=ACCEPT") == [b"* ENABLED"]
    assert [line.split()[1] for line in client.ok(ID_THUNDERBIRD)] == [b"ID"]


def test_what_is_enabled_before_id_stays_enabled(suite):
    client = suite.connect().login()
    assert client.ok(b"ENABLE UTF8=ACCEPT") == [b"* ENABLED UTF8=ACCEPT"]
    client.ok('CREATE "Entwürfe"'.encode())
    client.ok(ID_THUNDERBIRD)
    assert b"UTF8=ACCEPT" not in asked(client)
    assert '"Entwürfe"'.encode() in b" ".join(client.ok(b'LIST "" *'))
    assert client.ok(b"ENABLE UTF8=ACCEPT") == [b"* ENABLED UTF8=ACCEPT"]  # it is: RFC 5161 section 3.2


def test_the_last_id_counts(suite):
    client = suite.connect().login()
    client.ok(ID_THUNDERBIRD)
    _, told = client.ok(b"ID NIL")
    assert b"UTF8=ACCEPT" in words(told)
    assert b"UTF8=ACCEPT" in asked(client)


def test_rows_of_the_account_come_with_the_login(make_suite):
    quirks = (
        QuirkSettings(account=ALICE, off=("MOVE", "IDLE")),
        QuirkSettings(account="bob@example.test", off=("SORT",)),
    )
    client = make_suite(quirks=quirks).connect()
    assert b"IDLE" in words(client.received())
    after = words(client.run(b"LOGIN alice@example.test secret")[1])
    assert after.isdisjoint({b"MOVE", b"IDLE"})
    assert b"SORT" in after
    assert asked(client) == after


def test_commands_of_what_is_off_are_understood_all_the_same(make_suite):
    client = make_suite(capabilities_off=("MOVE", "UNSELECT", "CONDSTORE", "ESEARCH")).connect().login()
    assert client.ok(b"ENABLE CONDSTORE QRESYNC IMAP4rev2") == [b"* ENABLED IMAP4REV2"]
    assert b"HIGHESTMODSEQ" in b" ".join(client.ok(b"SELECT INBOX (CONDSTORE)"))
    assert client.ok(b"SEARCH RETURN (COUNT) ALL")[0].startswith(b"* ESEARCH ")
    client.ok(b"UNSELECT")


def test_a_rev2_that_is_off_cannot_be_enabled(make_suite):
    client = make_suite(quirks=(QuirkSettings(name="x*", off=("IMAP4rev2",)),)).connect().login()
    client.ok(b'ID ("NAME" "X-Mail")')
    assert b"IMAP4rev2" not in asked(client)
    assert client.ok(b"ENABLE IMAP4rev2") == [b"* ENABLED"]


def test_what_came_before_tls_is_nobodys_word(make_suite):
    suite = make_suite(context_factory=object())
    client = suite.connect()
    client.received()
    client.server.transport.startTLS = lambda context: None
    client.ok(ID_THUNDERBIRD)
    assert client.send(b"a STARTTLS\r\n").startswith(b"a OK")
    assert b"UTF8=ACCEPT" in words(client.run(b"LOGIN alice@example.test secret")[1])


def test_other_settings_are_for_new_connections(suite):
    old = suite.connect().login()
    suite.factory.reconfigure(IMAPSettings(allow_cleartext=True, capabilities_off=("MOVE",)))
    new = suite.connect().login()
    assert b"MOVE" in asked(old)
    assert b"MOVE" not in asked(new)


def test_the_log_tells_each_row_once_a_session(make_suite):
    quirks = (QuirkSettings(account=ALICE, off=("IDLE",), reason="why not", source="https://example.test/1"),)
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        client = make_suite(quirks=quirks).connect()
        client.ok(ID_THUNDERBIRD)
        client.login()
        client.ok(ID_THUNDERBIRD)
    finally:
        globalLogPublisher.removeObserver(events.append)
    told = [event for event in events if event.get("event") == "imap.quirk.matched"]
    assert [(event["whom"], event["off"]) for event in told] == [
        ("name Thunderbird for Android, version from 12.0a1, version below 12.0b4", ["UTF8=ACCEPT"]),
        (f"account {ALICE}", ["IDLE"]),
    ]
    assert (told[1]["reason"], told[1]["source"]) == ("why not", "https://example.test/1")
    assert {event["session"] for event in told} == {client.server.session.session_id}
