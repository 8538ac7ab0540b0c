"""What is written to a client: exact octets, and nothing of anybody's that could end a line."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.errors import Kind, MailError
from mailsuite.imap import responses
from mailsuite.imap.commands import StatusItem
from mailsuite.imap.finding_commands import SearchReturn
from mailsuite.interfaces import TooManyKeywordsError


def test_every_kind_of_failure_has_an_answer():
    assert set(responses.FAILURES) == set(Kind)
    assert {failure.status for failure in responses.FAILURES.values()} == {b"NO"}
    assert responses.FAILURES[Kind.OVER_QUOTA].code == b"OVERQUOTA"
    assert responses.failure_of(MailError(Kind.OVER_QUOTA)) == responses.Failure(b"NO", b"OVERQUOTA")
    assert responses.failure_of(TooManyKeywordsError()) == responses.Failure(b"NO", b"LIMIT")


@pytest.mark.parametrize(
    ("octets", "quoted"),
    [
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'a"b\\', b'"a\\"b\\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xe9", b"{1}\r\n\xe9"),
        (b"\0", b"{1}\r\n\0"),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_a_string_is_quoted_if_it_can_be(octets, quoted):
    assert responses.string(octets) == quoted
    assert responses.nstring(octets) == quoted


def test_none_is_nil():
    assert responses.nstring(None) == b"NIL"


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        ("INBOX", b"INBOX"),
        ("a]b", b"a]b"),
        ("a b", b'"a b"'),
        ("a*", b'"a*"'),
        ("nil", b'"nil"'),
        ("", b'""'),
        ("R&D", b"R&-D"),
        ("Entw\u00fcrfe", b"Entw&APw-rfe"),
        ('a"b', b'"a\\"b"'),
    ],
)
def test_a_mailbox_is_an_astring_in_modified_utf7(name, octets):
    assert responses.mailbox(name) == octets


@pytest.mark.parametrize(
    ("line", "octets"),
    [
        (responses.tagged(b"a1", b"OK", "done"), b"a1 OK done\r\n"),
        (responses.tagged(b"a1", b"NO", "full", b"OVERQUOTA"), b"a1 NO [OVERQUOTA] full\r\n"),
        (responses.untagged(b"OK", "hi", responses.capability_code([b"IMAP4rev1", b"ID"])),
         b"* OK [CAPABILITY IMAP4rev1 ID] hi\r\n"),
        (responses.bye("enough"), b"* BYE enough\r\n"),
        (responses.bye("enough", b"LIMIT"), b"* BYE [LIMIT] enough\r\n"),
        (responses.continuation(), b"+ go on\r\n"),
        (responses.continuation("idling"), b"+ idling\r\n"),
        (responses.challenge(b""), b"+ \r\n"),
        (responses.challenge(b"cj0="), b"+ cj0=\r\n"),
        (responses.capability_line([b"IMAP4rev1", b"IDLE"]), b"* CAPABILITY IMAP4rev1 IDLE\r\n"),
        (responses.enabled_line([]), b"* ENABLED\r\n"),
        (responses.enabled_line([b"CONDSTORE"]), b"* ENABLED CONDSTORE\r\n"),
        (responses.exists_line(23), b"* 23 EXISTS\r\n"),
        (responses.recent_line(0), b"* 0 RECENT\r\n"),
        (responses.expunge_line(44), b"* 44 EXPUNGE\r\n"),
        (responses.flags_line({"\\Seen", "\\Answered", "junk"}), b"* FLAGS (\\Answered \\Seen junk)\r\n"),
        (responses.permanent_flags_code({"\\Seen", "\\*"}), b"PERMANENTFLAGS (\\* \\Seen)"),
        (responses.fetch_flags_line(3, {"\\Seen"}), b"* 3 FETCH (FLAGS (\\Seen))\r\n"),
        (responses.fetch_flags_line(3, set(), 7), b"* 3 FETCH (UID 7 FLAGS ())\r\n"),
        (responses.fetch_flags_line(3, {"\\Seen"}, 7, 2**63 - 1),
         b"* 3 FETCH (UID 7 FLAGS (\\Seen) MODSEQ (9223372036854775807))\r\n"),
        (responses.fetch_modseq_line(3, 7, 12), b"* 3 FETCH (UID 7 MODSEQ (12))\r\n"),
        (responses.highest_modseq_line(12), b"* OK [HIGHESTMODSEQ 12] highest MODSEQ\r\n"),
        (responses.modified_code([7, 9, 10]), b"MODIFIED 7,9:10"),
        (responses.mailbox_id_code(0x6A, 18), b"MAILBOXID (F6a-12)"),
        (responses.status_line(b"x", {StatusItem.MAILBOXID: responses.mailbox_id(2**32 - 1, 2**40)}),
         b"* STATUS x (MAILBOXID (Fffffffff-10000000000))\r\n"),
        (responses.vanished_line([(405, 405), (407, 410)]), b"* VANISHED 405,407:410\r\n"),
        (responses.vanished_line([(1, 2)], earlier=True), b"* VANISHED (EARLIER) 1:2\r\n"),
        (responses.search_line([], 5), b"* SEARCH\r\n"),
        (responses.search_line([2, 5], 917162500), b"* SEARCH 2 5 (MODSEQ 917162500)\r\n"),
        (responses.search_line([]), b"* SEARCH\r\n"),
        (responses.search_line([2, 3, 6]), b"* SEARCH 2 3 6\r\n"),
        (responses.sort_line([]), b"* SORT\r\n"),
        (responses.sort_line([5, 3, 4]), b"* SORT 5 3 4\r\n"),
        (responses.esearch_line(b"A280", [SearchReturn.ALL], [5, 3, 4, 2, 1], uid=False),
         b'* ESEARCH (TAG "A280") ALL 5,3:4,2,1\r\n'),
        (responses.esearch_line(b"A282", [SearchReturn.MIN, SearchReturn.COUNT], [2, 10, 11], uid=False),
         b'* ESEARCH (TAG "A282") MIN 2 COUNT 3\r\n'),
        (responses.esearch_line(b"A283", [SearchReturn.ALL, SearchReturn.MAX], [2, 10, 11], uid=True),
         b'* ESEARCH (TAG "A283") UID MAX 11 ALL 2,10:11\r\n'),
        (responses.esearch_line(b"A284", list(SearchReturn), [], uid=True), b'* ESEARCH (TAG "A284") UID COUNT 0\r\n'),
        (responses.esearch_line(b"A285", [SearchReturn.ALL], [], uid=False), b'* ESEARCH (TAG "A285")\r\n'),
        (responses.list_line(["\\HasNoChildren", "\\Sent"], b'"a b"'),
         b'* LIST (\\HasNoChildren \\Sent) "/" "a b"\r\n'),
        (responses.list_line(["\\Noselect"], b'""'), b'* LIST (\\Noselect) "/" ""\r\n'),
        (responses.list_line([], b"x", command=b"LSUB"), b'* LSUB () "/" x\r\n'),
        (responses.list_line([], b"x", child_info=["SUBSCRIBED"]),
         b'* LIST () "/" x ("CHILDINFO" ("SUBSCRIBED"))\r\n'),
        (responses.status_line(b"x", {StatusItem.MESSAGES: b"231", StatusItem.UIDNEXT: b"44292"}),
         b"* STATUS x (MESSAGES 231 UIDNEXT 44292)\r\n"),
        (responses.id_line({}), b"* ID NIL\r\n"),
        (responses.id_line({"name": "mailsuite", "os": None}), b'* ID ("name" "mailsuite" "os" NIL)\r\n'),
        (responses.in_progress_code(b"A1", (7, 9)), b'INPROGRESS ("A1" 7 9)'),
        (responses.in_progress_code(b"A1", None), b'INPROGRESS ("A1" NIL NIL)'),
        (responses.bad_url_code(b"/x];UID=1\r\n"), b"BADURL /x%5D;UID=1?"),
        (responses.namespace_line(), b'* NAMESPACE (("" "/")) NIL NIL\r\n'),
        (responses.append_uid_code(38505, [3955]), b"APPENDUID 38505 3955"),
        (responses.copy_uid_code(38505, [304, 319, 320], [3956, 3957, 3958]), b"COPYUID 38505 304,319:320 3956:3958"),
    ],
)  # fmt: skip
def test_a_line_is_exactly_this(line, octets):
    assert line == octets


@settings(deadline=None, max_examples=100)
@given(st.text())
def test_no_text_can_end_a_line_or_hold_a_control(text):
    for line in (responses.tagged(b"a", b"NO", text), responses.bye(text), responses.continuation(text)):
        assert line.endswith(b"\r\n")
        assert all(0x20 <= octet <= 0x7E for octet in line[:-2])


def test_an_injected_line_stays_on_its_own_line():
    assert responses.untagged(b"NO", "x\r\n* BYE \u00e9\x1b[2J") == b"* NO x?* BYE ??[2J\r\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, b'" 1-Jan-1970 00:00:00 +0000"'),
        (837596665, b'"17-Jul-1996 09:44:25 +0000"'),
        (-1, b'"31-Dec-1969 23:59:59 +0000"'),
    ],
)
def test_an_internal_date_is_written_in_utc(seconds, text):
    assert responses.internal_date(seconds) == text


@settings(deadline=None, max_examples=100)
@given(st.integers(-62135596800, 253402300799))
def test_an_internal_date_is_the_date_it_was(seconds):
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
    months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    expected = f'"{moment.day:2}-{months[moment.month - 1]}-{moment.year:04} {moment:%H:%M:%S} +0000"'
    assert responses.internal_date(seconds) == expected.encode()


@pytest.mark.parametrize("seconds", [-(10**15), 10**15])
def test_an_impossible_internal_date_is_still_a_date(seconds):
    assert responses.internal_date(seconds).count(b"-") == 2
