"""IMAP on our own stores: what the interfaces promise to each other, in one session."""

import re
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from mailsuite.durable import FolderNotices
from mailsuite.interfaces import LocalDelivery
from mailsuite.store.maildir import home_of

MULTIPART = (
    b"From: a@example.test\r\nSubject: parts\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n"
    b"--B\r\nContent-Type: text/plain\r\n\r\nfirst\r\n--B\r\n\r\nsecond\r\n--B--\r\n"
)


@pytest.fixture
def make_connect(make_server):
    """Start servers, and give what connects scripted clients to them."""
    return lambda kind: make_server(kind)[1]


@pytest.fixture(params=["memory", "maildir"])
def connect(request, make_connect):
    return make_connect(request.param)


def append(client, content, flags=b"()", mailbox=b"INBOX"):
    answer = client.send(b"a APPEND %b %b {%d+}\r\n%b\r\n" % (mailbox, flags, len(content), content))
    assert b"a OK [APPENDUID " in answer, answer


def test_a_name_stays_as_long_as_there_are_mailboxes_below_it(connect):
    client = connect()
    client.ok(b"CREATE a/b")
    client.ok(b"DELETE a")
    assert client.run(b"DELETE a")[1].startswith(b"NO [HASCHILDREN] ")
    client.ok(b"DELETE a/b")
    assert client.run(b"DELETE a")[1].startswith(b"NO [NONEXISTENT] ")


def test_the_limits_of_annotations_hold_for_those_that_are_copied_from_inbox(connect, mail):
    client = connect()
    append(client, mail("one"))
    client.ok(b"SETMETADATA INBOX (%b)" % b" ".join(b'/private/vendor/x/%d "x"' % number for number in range(100)))
    every = b"GETMETADATA %b (DEPTH infinity) /private"
    assert client.ok(b"RENAME INBOX old-0") == []
    assert client.ok(every % b"old-0") == [b"* METADATA old-0 (" + client.ok(every % b"INBOX")[0].partition(b"(")[2]]
    for number in range(1, 9):
        assert client.ok(b"RENAME INBOX old-%d" % number) == []
    (line,) = client.ok(b"RENAME INBOX old-9")  # a thousand in all
    assert line == b"* NO [OVERQUOTA] the annotations of INBOX are not copied: there are too many annotations"
    assert client.ok(every % b"old-9") == []
    assert client.ok(b"STATUS old-9 (MESSAGES)") == [b"* STATUS old-9 (MESSAGES 0)"]


SECTIONS = (b"BODY[]", b"BODY[TEXT]", b"BODY[HEADER]", b"BODY[1]", b"BINARY[1]", b"BODY[HEADER.FIELDS (To)]")


def test_ranges_and_sizes_have_63_bits(connect, mail):
    """RFC 9051 section 9, "partial" and "search-key"."""
    client = connect()
    append(client, MULTIPART)
    large = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 50_000
    append(client, large)
    client.select()
    most = 2**63 - 1
    for number, content in ((1, MULTIPART), (2, large)):
        answer = client.send(b"a FETCH %d BODY.PEEK[]<0.%d>\r\n" % (number, most))
        assert answer.startswith(b"* %d FETCH (BODY[]<0> {%d}\r\n%b)\r\n" % (number, len(content), content))
        answer = client.send(b"a FETCH %d BODY.PEEK[]<9.%d>\r\n" % (number, most))
        assert answer.startswith(b"* %d FETCH (BODY[]<9> {%d}\r\n" % (number, len(content) - 9))
        for section in SECTIONS:
            label = b"%b<5000000000>" % section
            lines = client.ok(b"FETCH %d %b" % (number, label.replace(b"[", b".PEEK[").replace(b">", b".5>")))
            assert [lines[0].replace(b"~", b""), *lines[1:]] == [b"* %d FETCH (%b {0}" % (number, label), b")"]
    assert client.ok(b"FETCH 1 BINARY.PEEK[1]<0.5000000000>") == [b"* 1 FETCH (BINARY[1]<0> {5}", b"first)"]
    assert client.ok(b"SEARCH LARGER 5000000000") == [b"* SEARCH"]
    assert client.ok(b"SEARCH LARGER %d" % most) == [b"* SEARCH"]
    assert client.ok(b"SEARCH SMALLER %d" % most) == [b"* SEARCH 1 2"]
    assert client.run(b"SEARCH SMALLER %d" % (most + 1))[1].startswith(b"BAD")
    assert client.run(b"FETCH 1 BODY.PEEK[]<0.%d>" % (most + 1))[1].startswith(b"BAD")
    url = b"/INBOX/;UID=2/;PARTIAL=16.%d" % most
    client.ok(b"APPEND INBOX CATENATE (URL %b)" % url)
    assert client.ok(b"FETCH 3 RFC822.SIZE") == [b"* 3 FETCH (RFC822.SIZE %d)" % (len(large) - 16)]


def test_a_day_in_a_mailbox(connect, mail):
    client = connect()
    append(client, mail("one"), b"(\\Seen work)")
    append(client, MULTIPART)
    append(client, b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 50_000)
    lines = client.ok(b"SELECT INBOX")
    assert b"* 3 EXISTS" in lines
    assert b"* 3 RECENT" in lines
    (line,) = client.ok(b"FETCH 2 (UID FLAGS RFC822.SIZE BODYSTRUCTURE)")
    assert line.startswith(b"* 2 FETCH (UID 2 FLAGS (\\Recent) RFC822.SIZE %d BODYSTRUCTURE ((" % len(MULTIPART))
    assert client.ok(b"FETCH 2 BODY.PEEK[2]") == [b"* 2 FETCH (BODY[2] {6}", b"second)"]
    assert client.ok(b"FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]") == [
        b"* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT)] {16}", b"Subject: one", b"", b")",
    ]  # fmt: skip
    assert client.send(b"b FETCH 3 BODY.PEEK[]\r\n").count(b"0123456789\r\n") == 50_000
    for keys, numbers in {
        b"SUBJECT one": b" 1",
        b"BODY second": b" 2",
        b"LARGER 100000": b" 3",
        b"KEYWORD work": b" 1",
        b"UNSEEN": b" 2 3",
        b"HEADER X-None x": b"",
    }.items():
        assert client.ok(b"SEARCH " + keys) == [b"* SEARCH" + numbers]
    assert client.ok(b"STORE 1:2 +FLAGS (\\Deleted)")[0] == b"* 1 FETCH (FLAGS (\\Deleted \\Recent \\Seen work))"
    client.ok(b"CREATE Lists/dev")
    assert b"COPYUID" in client.run(b"COPY 1:2 Lists/dev")[1]
    assert b"* 1 EXPUNGE" in client.ok(b"EXPUNGE")
    client.ok(b"MOVE 1 Lists/dev")
    assert client.ok(b"STATUS Lists/dev (MESSAGES UNSEEN)") == [b"* STATUS Lists/dev (MESSAGES 3 UNSEEN 2)"]
    assert [line.split(b'"/" ')[1] for line in client.ok(b'LIST "" "%"')][:2] == [b"INBOX", b"Archive"]
    assert client.run(b"APPEND nowhere {1+}\r\nx")[1].startswith(b"NO [TRYCREATE]")
    client.ok(b"SELECT Lists/dev")
    client.ok(b"FETCH 1:* BODY[TEXT]")
    client.ok(b"RENAME Lists Archives")
    client.ok(b"NOOP")
    assert client.ok(b"STATUS Archives/dev (UNSEEN)") == [b"* STATUS Archives/dev (UNSEEN 0)"]


def test_very_many_mailboxes_are_listed_and_counted_in_turns(connect):
    client, other = connect(), connect()
    for number in range(130):
        client.ok(b"CREATE Box/%03d" % number)
        client.ok(b"SUBSCRIBE Box/%03d" % number)
    append(client, b"x", mailbox=b"Box/007")
    for command in (b'LIST "" Box/*', b'LIST "" Box/* RETURN (STATUS (MESSAGES))', b'LSUB "" Box/*'):
        client.server.dataReceived(b"l " + command + b"\r\n")
        answer = client.received()
        assert b"Box/099" in answer
        assert b"Box/101" not in answer
        other.server.dataReceived(b"n NOOP\r\n")
        assert other.received().startswith(b"n OK")  # it has its turn
        client.settle()
        answer += client.received()
        assert answer.count(b"\r\n* L") == 129
        assert answer.endswith(b" completed\r\n")
        if b"STATUS" in command:
            assert answer.count(b"* STATUS") == 130
            assert b'"/" Box/007\r\n* STATUS Box/007 (MESSAGES 1)\r\n' in answer


def test_one_client_idles_while_the_other_works(connect, mail):
    idler, worker = connect(), connect().select()
    idler.select()
    idler.send(b"i IDLE\r\n")
    append(worker, mail("new"))
    assert b"* 1 EXISTS\r\n" in idler.received()
    worker.ok(b"STORE 1 +FLAGS (\\Deleted)")
    assert b"* 1 FETCH (FLAGS (\\Deleted" in idler.received()
    worker.ok(b"EXPUNGE")
    assert b"* 1 EXPUNGE\r\n" in idler.received()
    idler.send(b"DONE\r\n")


def test_a_mailbox_deleted_by_another_ends_the_session(connect):
    client, other = connect(), connect()
    client.ok(b"CREATE doomed")
    client.select(b"doomed")
    other.ok(b"DELETE doomed")
    assert b"* BYE" in client.send(b"a NOOP\r\n")
    assert not client.connected


COMMANDS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(
            [
                b"NOOP", b"FETCH 1:* (UID FLAGS)", b"UID FETCH 1:* BODY[TEXT]", b"STORE 1 +FLAGS (\\Deleted)",
                b"UID STORE 1:* -FLAGS (\\Deleted kw)", b"STORE 2:3 FLAGS.SILENT (\\Deleted)", b"EXPUNGE",
                b"UID EXPUNGE 2:5", b"COPY 1 INBOX", b"UID MOVE 3 Trash", b"MOVE 1 INBOX", b"SEARCH DELETED",
                b"APPEND INBOX {3+}\r\n\r\na", b"FETCH 1:* (FLAGS) (CHANGEDSINCE 3)", b"SELECT INBOX (CONDSTORE)",
                b"STORE 1:* (UNCHANGEDSINCE 4) -FLAGS (\\Deleted)", b"FETCH 1:* (FLAGS MODSEQ)", b"SEARCH MODSEQ 3",
                b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE 2)",
            ]
        ),
    ),
    max_size=15,
)  # fmt: skip


def largest_number(command):
    """Give the largest sequence number that a command names, at least."""
    numbers = re.match(rb"(?:FETCH|STORE|COPY|MOVE) ([0-9:*]+)", command)
    return max(int(number.replace(b"*", b"1")) for number in numbers[1].split(b":")) if numbers else 0


@given(st.sampled_from(["memory", "maildir"]), COMMANDS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_two_clients_and_the_store_agree(make_connect, mail, kind, commands):
    connect = make_connect(kind)
    clients = [connect().select() for _ in range(2)]
    for number in range(2):
        append(clients[0], mail(str(number)))
    counts = [int(re.search(rb"(\d+) EXISTS", b" ".join(client.ok(b"SELECT INBOX")))[1]) for client in clients]
    for who, command in [*commands, (0, b"NOOP"), (1, b"NOOP")]:
        beyond = largest_number(command) > counts[who]
        lines, status = clients[who].run(command)
        if command.startswith(b"SELECT"):
            counts[who] = 0
        assert status.startswith(b"BAD there" if beyond else (b"OK", b"NO")), (status, counts)
        for line in lines:
            found = re.fullmatch(rb"\* (\d+) (EXPUNGE|EXISTS|FETCH.*)", line, re.DOTALL)
            if found is None:
                continue
            number = int(found[1])
            if found[2] == b"EXISTS":
                assert number >= counts[who]
                counts[who] = number
            else:
                assert 1 <= number <= counts[who]
                counts[who] -= found[2] == b"EXPUNGE"
    seen = [clients[who].ok(b"UID SEARCH ALL") for who in range(2)]
    assert seen[0] == seen[1]
    assert counts == [len(line[0].split()) - 2 for line in seen]
    for client in clients:
        client.ok(b"LOGOUT")


def modseq_of(lines):
    return int(re.search(rb"HIGHESTMODSEQ (\d+)", b" ".join(lines))[1])


def test_what_changed_since_a_former_session_is_found_again(connect, mail):
    sleeper, other = connect(), connect()
    for number in range(4):
        append(other, mail(str(number)))
    began = modseq_of(sleeper.ok(b"SELECT INBOX (CONDSTORE)"))
    sleeper.ok(b"UNSELECT")
    other.select()
    other.ok(b"STORE 2 +FLAGS ($Work)")
    append(other, mail("new"))
    other.ok(b"NOOP")
    now = modseq_of(sleeper.ok(b"SELECT INBOX"))
    assert now == began + 2
    assert [line for line in sleeper.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % began) if b"FETCH" in line] == [
        b"* 2 FETCH (UID 2 FLAGS ($Work) MODSEQ (%d))" % (began + 1),
        b"* 5 FETCH (UID 5 FLAGS () MODSEQ (%d))" % now,
    ]
    assert sleeper.ok(b"FETCH 1:4 (RFC822.SIZE) (CHANGEDSINCE %d)" % began) == [
        b"* 2 FETCH (RFC822.SIZE %d MODSEQ (%d))" % (len(mail("1")), began + 1)
    ]
    assert sleeper.ok(b"UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % now) == []
    assert sleeper.ok(b"SEARCH MODSEQ %d" % (began + 1)) == [b"* SEARCH 2 5 (MODSEQ %d)" % now]
    assert sleeper.ok(b"STATUS INBOX (HIGHESTMODSEQ)") == [b"* STATUS INBOX (HIGHESTMODSEQ %d)" % now]
    lines, status = sleeper.run(b"UID STORE 1:2 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Seen)" % began)
    assert lines == [
        b"* 1 FETCH (UID 1 MODSEQ (%d))" % (now + 1),
        b"* 2 FETCH (UID 2 FLAGS ($Work) MODSEQ (%d))" % (began + 1),
    ]
    assert status.startswith(b"OK [MODIFIED 2]")
    assert other.ok(b"NOOP") == [b"* 1 FETCH (FLAGS (\\Seen))"]


def test_ids_stay_through_rename_copy_and_move(connect, mail):
    client = connect()

    def ids(name):
        (line,) = client.ok(b"STATUS %b (MAILBOXID)" % name)
        return re.search(rb"MAILBOXID \((F[0-9a-f-]+)\)", line)[1]

    append(client, mail("one"))
    append(client, mail("one"))
    _, status = client.run(b"CREATE foo")
    foo = ids(b"foo")
    assert b"[MAILBOXID (%b)]" % foo in status
    client.ok(b"CREATE foo/below")
    below = ids(b"foo/below")
    client.ok(b"RENAME foo bar")
    assert (ids(b"bar"), ids(b"bar/below")) == (foo, below)
    client.ok(b"CREATE foo")
    assert len({ids(b"foo"), ids(b"bar"), ids(b"bar/below"), ids(b"INBOX")}) == 4
    client.ok(b"DELETE bar/below")
    client.ok(b"CREATE bar/below")
    assert ids(b"bar/below") != below
    client.select()
    emails = [line.split()[-1] for line in client.ok(b"FETCH 1:2 EMAILID")]
    assert len(set(emails)) == 2
    client.ok(b"COPY 1 bar")
    client.ok(b"MOVE 2 bar")
    inbox = ids(b"INBOX")
    client.ok(b"RENAME INBOX old")  # which makes a mailbox (RFC 8474 section 8.2)
    assert ids(b"INBOX") == inbox != ids(b"old")
    client.ok(b"SELECT bar")
    assert [line.split()[-1] for line in client.ok(b"FETCH 1:2 EMAILID")] == emails
    assert client.ok(b"SEARCH EMAILID " + emails[1].strip(b"()")) == [b"* SEARCH 2"]
    client.ok(b"SELECT old")
    assert client.ok(b"SEARCH EMAILID " + emails[0].strip(b"()")) == [b"* SEARCH 1"]


def test_a_keyword_is_shown_as_it_was_first_written(connect, mail):
    client = connect().select()
    client.send(b"a APPEND INBOX (Work) {%d+}\r\n%b\r\n" % (len(mail()), mail()))
    client.ok(b"NOOP")
    lines = client.ok(b"STORE 1 +FLAGS (WORK work)")
    assert lines == [b"* 1 FETCH (FLAGS (Work \\Recent))"]


def test_delete_leaves_the_selected_mailbox_only_when_it_is_the_one(connect):
    client = connect().select()
    assert client.run(b"DELETE INBOX")[-1].startswith(b"NO")
    client.ok(b"CHECK")
    client.ok(b"CREATE one")
    client.select(b"one")
    client.ok(b"RENAME one two")
    client.ok(b"CREATE one")
    client.ok(b"DELETE one")
    client.ok(b"CHECK")
    client.ok(b"DELETE two")
    assert client.run(b"CHECK")[-1].startswith(b"BAD")


def test_content_that_is_no_text_is_shown_octet_for_octet_as_binary(connect, suite):
    """What came with BODY=BINARYMIME (RFC 3030 section 3) was delivered, not appended."""
    body = bytes(range(256)) * 300 + b"\r\n.\r\n\r\0\n"
    content = b"Subject: x\r\nContent-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n" + body
    client = connect()
    store, outcomes = suite.factory.portal.realm.store, []
    delivery = LocalDelivery(
        account_id=1,
        email="alice@example.test",
        content=content,
        delivery_id="spool-1-0",
        quota_octets=0,
        mailbox="INBOX",
        link=False,
        received=1_700_000_000,
    )
    store.deliver([delivery], outcomes.extend)
    assert [outcome.error for outcome in outcomes] == [None]
    client.ok(b"SELECT INBOX")
    answer = client.send(b"b FETCH 1 (RFC822.SIZE BODYSTRUCTURE BODY.PEEK[])\r\n")
    assert b"RFC822.SIZE %d " % len(content) in answer
    assert b'BODYSTRUCTURE ("application" "x" NIL NIL NIL "binary" %d' % len(body) in answer
    fit = content.replace(b"\0", b"\x80")
    assert b"BODY[] {%d}\r\n%b)\r\nb OK " % (len(fit), fit) in answer
    assert b"~{%d}\r\n%b)\r\nc OK " % (len(content), content) in client.send(b"c FETCH 1 BINARY.PEEK[]\r\n")
    assert b"~{%d}\r\n%b)\r\nd OK " % (len(body), body) in client.send(b"d FETCH 1 BINARY.PEEK[1]\r\n")
    assert b"BINARY[1]<255> ~{3}\r\n\xff\x00\x01)" in client.send(b"e FETCH 1 BINARY.PEEK[1]<255.3>\r\n")
    assert b"BODY[TEXT]<255> {3}\r\n\xff\x80\x01)" in client.send(b"f FETCH 1 BODY.PEEK[TEXT]<255.3>\r\n")


def test_a_large_mailbox_is_sorted_and_threaded_whole(connect):
    """More messages than are read and sorted at once; each answers the one before it, and is smaller."""
    client = connect()
    count = 2100
    parts = []
    for number in range(count):
        content = (
            f"Subject: s{number % 7}\r\nMessage-ID: <{number}@x.test>\r\nReferences: <{number - 1}@x.test>\r\n"
            f"Date: Tue, 17 Nov 2026 {number // 3600:02}:{number // 60 % 60:02}:{number % 60:02} +0000\r\n\r\n"
        ).encode() + b"x" * (count - number)
        parts.append(b" () {%d+}\r\n%b" % (len(content), content))
    for start in range(0, count, 100):
        assert b"a OK [APPENDUID " in client.send(b"a APPEND INBOX" + b"".join(parts[start : start + 100]) + b"\r\n")
    client.select()
    numbers = list(range(1, count + 1))
    assert client.ok(b"SORT (REVERSE DATE) UTF-8 ALL") == [b"* SORT " + b" ".join(b"%d" % n for n in reversed(numbers))]
    (line,) = client.ok(b"SORT (SUBJECT DATE) UTF-8 ALL")
    assert [int(number) for number in line.split()[2:]] == sorted(numbers, key=lambda n: ((n - 1) % 7, n))
    assert client.ok(b"SORT RETURN (MIN MAX COUNT) (SIZE) UTF-8 ALL")[0].endswith(b"MIN 2100 MAX 1 COUNT 2100")
    (line,) = client.ok(b"THREAD REFERENCES UTF-8 ALL")
    assert line == b"* THREAD (%b)" % b" ".join(b"%d" % number for number in numbers)
    (line,) = client.ok(b"THREAD ORDEREDSUBJECT UTF-8 ALL")
    assert line.count(b"(") == 7 + (count - 7)


class Cache:
    """What a client keeps from one session to the next, by the rules of RFC 7162 section 6."""

    def __init__(self):
        self.uidvalidity = 0
        self.modseq = 0
        self.newest = 0
        self.flags = {}

    def learn(self, lines, command=b""):
        text = b"\n".join(lines)
        told = [int(each) for each in re.findall(rb"HIGHESTMODSEQ (\d+)\]", text)]
        seen = [int(each) for each in re.findall(rb"MODSEQ \((\d+)\)", text)]
        for uids in re.findall(rb"VANISHED (?:\(EARLIER\) )?([0-9:,]+)", text):
            for pair in uids.split(b","):
                first, _, last = pair.partition(b":")
                for uid in range(int(first), int(last or first) + 1):
                    self.flags.pop(uid, None)
        for line in lines:
            uid = re.search(rb"[( ]UID (\d+)", line)
            flags = re.search(rb"FLAGS \(([^)]*)\)", line)
            if b" FETCH (" in line and uid and flags:
                self.flags[int(uid[1])] = frozenset(flags[1].split()) - {b"\\Recent"}
            elif b" FETCH (" in line and b"SILENT" in command:
                self.flags[int(uid[1])] |= {b"\\Deleted"}  # it asked for that, and was spared the answer
        self.modseq = told[-1] if told else max([self.modseq, *seen])

    def run(self, client, command):
        """Run a command and learn from it; what is new is fetched at once."""
        newest = max([self.newest, *self.flags])
        lines, status = client.run(command)
        assert status.startswith((b"OK", b"NO", b"BAD there ")), status
        lines = re.split(rb"\r\n(?=\* )", b"\r\n".join(lines))  # with their literals
        if b"FETCH" in command and b"MODSEQ" not in command:
            # What the client asked for without a MODSEQ may be newer than what it knows.
            lines = [line for line in lines if b" FETCH (" not in line or b"MODSEQ" in line]
        self.learn([*lines, status], command)
        self.newest = max([newest, *self.flags])
        if any(line.endswith(b" EXISTS") for line in lines):
            self.run(client, b"UID FETCH %d:* (FLAGS MODSEQ)" % (newest + 1))
        return lines

    def open(self, client):
        client.ok(b"ENABLE QRESYNC")
        again = b" (QRESYNC (%d %d))" % (self.uidvalidity, self.modseq) if self.uidvalidity else b""
        lines = self.run(client, b"SELECT INBOX" + again)
        self.uidvalidity = int(re.search(rb"UIDVALIDITY (\d+)", b" ".join(lines))[1])


OF_SLEEPER = [
    b"NOOP", b"FETCH 1:* (UID FLAGS)", b"UID FETCH 1:* (FLAGS MODSEQ)", b"FETCH 1:* (UID MODSEQ)",
    b"STORE 1 +FLAGS (kw)",
    b"STORE 1:* +FLAGS.SILENT (\\Deleted)", b"STORE 2 FLAGS ()", b"UID EXPUNGE 1:3", b"MOVE 1 Trash", b"SEARCH ALL",
    b"UID FETCH 1:* BODY[TEXT]", b"UID SEARCH 1:*", b"STORE 1:* (UNCHANGEDSINCE 6) FLAGS (own)",
    b"STORE 1:* (UNCHANGEDSINCE 8) +FLAGS (own)",
]  # fmt: skip
OF_OTHERS = [
    b"STORE 1 +FLAGS (\\Flagged)", b"STORE 2:3 +FLAGS (\\Deleted)", b"EXPUNGE", b"MOVE 2 INBOX", b"COPY 1 INBOX",
    b"MOVE 1 Trash", b"STORE 1:* -FLAGS (\\Deleted kw)", b"APPEND INBOX {3+}\r\n\r\na", b"UID FETCH 1:* BODY[TEXT]",
]  # fmt: skip
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sleeper"), st.sampled_from(OF_SLEEPER)),
        st.tuples(st.just("other"), st.sampled_from(OF_OTHERS)),
        st.just(("lost", b"")),
    ),
    max_size=20,
)


@example("memory", [("other", b"STORE 1 +FLAGS (\\Flagged)"), ("sleeper", b"STORE 1:* +FLAGS.SILENT (\\Deleted)")])
@given(st.sampled_from(["memory", "maildir"]), STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_client_missed_it_hears_when_it_comes_back(make_connect, mail, kind, steps):
    connect = make_connect(kind)
    other = connect().select()
    for number in range(5):
        append(other, mail(str(number)))
    cache, sleeper = Cache(), connect()
    cache.open(sleeper)
    for who, command in [*steps, ("lost", b"")]:
        if who == "other":
            other.run(command)
        elif who == "sleeper":
            cache.run(sleeper, command)
        else:
            sleeper.transport.loseConnection()
            sleeper = connect()
            cache.open(sleeper)
            truth = Cache()
            truth.open(connect())
            assert cache.flags == truth.flags, steps


def test_orders_and_threads_are_right_again_whatever_came_and_went(connect):
    client, other = connect(), connect().select()
    for number in range(6):
        date = b"Date: %d Jan 2026 00:00:00 +0000\r\nMessage-ID: <%d@x>\r\n" % (20 - number, number)
        append(client, date + (b"References: <%d@x>\r\n" % (number - 1) if number % 2 else b"") + b"\r\nx")
    client.select()
    sort, thread = b"SORT (DATE) UTF-8 ALL", b"THREAD REFERENCES UTF-8 ALL"
    for _ in range(2):
        assert client.ok(sort) == [b"* SORT 6 5 4 3 2 1"]
        assert client.ok(thread) == [b"* THREAD (5 6)(3 4)(1 2)"]
    first = client.ok(thread)
    assert client.ok(b"SORT (DATE) UTF-8 2,4") == [b"* SORT 4 2"]
    other.ok(b"NOOP")
    other.ok(b"STORE 1 +FLAGS (\\Deleted)")
    other.ok(b"EXPUNGE")
    client.ok(b"NOOP")
    fresh = connect().select()
    assert client.ok(sort) == fresh.ok(sort) == [b"* SORT 5 4 3 2 1"]
    assert client.ok(thread) == fresh.ok(thread) != first
    append(other, b"Date: 1 Jan 2026 00:00:00 +0000\r\n\r\nx")
    client.ok(b"NOOP")
    assert client.ok(sort) == [b"* SORT 6 5 4 3 2 1"]
    assert client.ok(b"UID " + thread) == connect().select().ok(b"UID " + thread)
    assert client.ok(b"UID " + thread) != client.ok(thread)


def test_who_asks_all_the_time_is_answered_without_a_look_while_it_is_quiet(make_server, mail):
    """The first look of each second is a real one, and so is each one after something has happened."""
    store, connect = make_server("maildir")
    reactor = Clock()
    reactor.addReader = reactor.removeReader = lambda reader: None
    store.watch_folders(partial(FolderNotices, reactor), reactor)
    client, other = connect().select(), connect()
    looks = []
    run = store.run

    def count(account, job):
        looks.append(job)
        return run(account, job)

    store.run = count
    client.ok(b"NOOP")
    client.ok(b"NOOP")  # now it is watched
    looks.clear()
    for _ in range(5):
        assert client.ok(b"NOOP") == []
    assert looks == []
    append(other, mail())
    assert client.ok(b"NOOP") == [b"* 1 EXISTS", b"* 1 RECENT"]
    home = home_of(store.settings.maildir_root, store.settings.layout, 1, "alice@example.test")
    Path(home.path, "new", "by.another").write_bytes(mail())
    assert b"* 2 EXISTS" in client.ok(b"NOOP")
    store.watches.close()


def test_sessions_of_a_mailbox_whose_annotation_changes_hear_nothing_but_a_higher_modseq(connect, mail):
    def highest(lines):
        return int(re.search(rb"HIGHESTMODSEQ (\d+)", b" ".join(lines)).group(1))

    writer, reader, idler = connect(), connect(), connect()
    append(writer, mail("one"))
    for client in (reader, idler):
        client.ok(b"ENABLE QRESYNC")
        lines = client.ok(b"SELECT INBOX")
    (uidvalidity,) = re.findall(rb"UIDVALIDITY (\d+)", b" ".join(lines))
    before = highest(lines)
    assert idler.send(b"i IDLE\r\n").startswith(b"+")
    writer.ok(b'SETMETADATA INBOX (/private/comment "x" /shared/comment "y")')
    writer.ok(b'SETMETADATA INBOX (/private/comment "x")')
    idler.settle()
    assert idler.received() == b""
    assert idler.send(b"DONE\r\n") == b"i OK IDLE completed\r\n"
    assert reader.ok(b"NOOP") == []
    assert highest(writer.ok(b"STATUS INBOX (HIGHESTMODSEQ)")) == before + 1
    assert reader.ok(b"UID FETCH 1:* FLAGS (CHANGEDSINCE %d)" % before) == []
    reader.ok(b"UNSELECT")
    lines = reader.ok(b"SELECT INBOX (QRESYNC (%b %d))" % (uidvalidity, before))
    assert highest(lines) == before + 1
    assert not [line for line in lines if b"VANISHED" in line or b" FETCH " in line]
    reader.ok(b"STORE 1 (UNCHANGEDSINCE %d) +FLAGS (\\Seen)" % (before + 1))
    assert highest(writer.ok(b"STATUS INBOX (HIGHESTMODSEQ)")) == before + 2
