"""Whatever a client sends, in whatever order: never an error of ours, never a wrong count."""

import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = st.sampled_from(
    [
        b"a", b"NOOP", b"FETCH", b"UID", b"STORE", b"SEARCH", b"1:*", b"*", b"1", b"4294967295", b"(FLAGS)", b"BODY[]",
        b"BODY[1.2.HEADER.FIELDS (X)]<0.5>", b"+FLAGS", b"(\\Seen x)", b"INBOX", b"other", b"SELECT", b"EXAMINE",
        b"CLOSE", b"EXPUNGE", b"COPY", b"MOVE", b"APPEND", b"{3+}\r\nabc", b"{3}", b"LIST", b'""', b'"%"', b"(", b")",
        b"NOT", b"OR", b"TEXT", b"SUBJECT", b"CREATE", b"DELETE", b"RENAME", b"STATUS", b"(MESSAGES)", b"IDLE",
        b"DONE", b"ALL", b"\xff", b"&-", b"LSUB", b"RETURN", b"(STATUS (UNSEEN))", b"UNSELECT", b"(SUBSCRIBED)",
        b"REPLACE", b"CATENATE (TEXT {1+}\r\nx)",
    ]
)  # fmt: skip
LINES = st.lists(st.lists(WORDS, min_size=1, max_size=6).map(b" ".join), max_size=12)

COMMANDS = st.lists(
    st.sampled_from(
        [
            b"NOOP", b"FETCH 1:* (UID FLAGS)", b"UID FETCH 1:* BODY[TEXT]", b"FETCH 2 BODY[]",
            b"STORE 1 +FLAGS (\\Deleted)", b"UID STORE 1:* -FLAGS (\\Deleted kw)", b"STORE 2 FLAGS.SILENT (\\Deleted)",
            b"EXPUNGE", b"UID EXPUNGE 2:5", b"COPY 1 INBOX", b"UID MOVE 3 other", b"MOVE 1 INBOX", b"SEARCH DELETED",
            b"APPEND INBOX {3+}\r\n\r\na", b"SEARCH UNSEEN", b"CHECK",
            b"REPLACE 2 INBOX {3+}\r\n\r\nb", b"UID REPLACE 1 other {3+}\r\n\r\nc",
        ]
    ).flatmap(lambda command: st.tuples(st.integers(0, 1), st.just(command))),
    max_size=25,
)  # fmt: skip

QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@given(LINES, st.booleans())
@settings(max_examples=150, **QUIET)
def test_no_input_is_an_error_of_ours(make_suite, lines, selected):
    suite = make_suite(bad_commands_after_login=1000)
    suite.account.put("INBOX", b"Subject: x\r\n\r\nbody\r\n")
    client = suite.connect().login()
    if selected:
        client.select()
    answer = b""
    for line in lines:
        answer += client.send(b"t " + line + b"\r\n")
        if not client.connected:
            break
    assert b"SERVERBUG" not in answer
    assert b"\r\n\r\n\r\n" not in answer
    if client.connected:
        client.transport.loseConnection()


@given(COMMANDS)
@settings(max_examples=100, **QUIET)
def test_two_clients_that_believe_what_they_are_told_know_the_mailbox(make_suite, mail, commands):
    suite = make_suite()
    suite.account.add_box("other")
    for number in range(4):
        suite.account.put("INBOX", mail(str(number)))
    clients = [suite.connect().login().select() for _ in range(2)]
    counts = [4, 4]
    for who, command in commands + [(0, b"NOOP"), (1, b"NOOP")]:
        lines, status = clients[who].run(command)
        assert status.startswith((b"OK", b"NO", b"BAD there "))
        for line in lines:
            if re.fullmatch(rb"\* \d+ EXPUNGE", line):
                assert not re.match(rb"(FETCH|STORE|SEARCH)", command)
                assert 1 <= int(line.split()[1]) <= counts[who]
                counts[who] -= 1
            elif re.fullmatch(rb"\* \d+ EXISTS", line):
                assert int(line.split()[1]) >= counts[who]
                counts[who] = int(line.split()[1])
            elif re.match(rb"\* \d+ FETCH", line):
                assert 1 <= int(line.split()[1]) <= counts[who]
    assert counts == [len(suite.account.boxes["INBOX"].messages)] * 2
    for client in clients:
        client.transport.loseConnection()
