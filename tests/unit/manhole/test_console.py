import pytest
from twisted.internet.defer import Deferred

from mailsuite.errors import Kind, MailError
from mailsuite.manhole.console import LINE_MAX_CHARACTERS, OUTPUT_MAX_CHARACTERS, Console
from mailsuite.manhole.ops import Ops
from mailsuite.manhole.session import INPUT_MAX_OCTETS, Lines

WHO = "alice SHA256:abc"


class Log:
    def __init__(self):
        self.lines = []

    def emit(self, event, **fields):
        assert event == "manhole.line.typed"
        assert fields["who"] == WHO
        self.lines.append(fields["line"])


class Typist:
    """A console, and what it said."""

    def __init__(self, **names):
        self.said = []
        self.log = Log()
        self.console = Console(names, write=self.said.append, log=self.log, who=WHO)

    @property
    def text(self):
        return "".join(self.said)

    def type(self, line):
        """Type a line that completes a statement; give what happens to it."""
        statement = self.console.take(line)
        assert statement is not None
        return Deferred.fromCoroutine(self.console.run(statement))

    def ask(self, line):
        self.said.clear()
        results = []
        self.type(line).addBoth(results.append)
        assert results, "it still waits"
        return self.text


async def answer(value):
    return value


async def refuse():
    raise MailError(Kind.NOT_FOUND, "there is no such thing")


@pytest.fixture
def typist():
    return Typist(answer=answer, refuse=refuse)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("1 + 1", "2\n"),
        ("None", ""),
        ("x = 5", ""),
        ("1; 2", "1\n2\n"),
        ("answer(3)", "3\n"),
        ("await answer(3)", "3\n"),
        ("answer(answer(3))", "3\n"),
        ("answer(1); answer(2)", "1\n2\n"),
        ("x = await answer([4]); x[0]", "4\n"),
        ("print('ä', 1)", "ä 1\n"),
        ("{'b': 1, 'a': 2}", "{'b': 1, 'a': 2}\n"),
        ("refuse()", "NOT_FOUND: there is no such thing\n"),
    ],
)
def test_values_are_shown_when_they_have_come(typist, line, shown):
    assert typist.ask(line) == shown


def test_a_deferred_is_waited_for(typist):
    waiting = Deferred()
    typist.console.names["waiting"] = waiting
    result = typist.type("waiting")
    assert typist.text == ""
    waiting.callback("came")
    assert typist.text == "'came'\n"
    assert result.result is True


def test_waiting_can_be_interrupted(typist):
    typist.console.names["waiting"] = Deferred()
    result = typist.type("waiting")
    result.cancel()
    assert typist.text == "interrupted\n"
    assert result.result is False
    assert typist.ask("1") == "1\n"


def test_the_last_value_has_a_name(typist):
    typist.ask("answer(20)")
    assert typist.ask("_ + 1") == "21\n"


def test_a_failure_is_told_with_a_short_traceback_that_shows_nothing_of_ours(typist):
    assert typist.ask("1 / 0") == (
        'Traceback (most recent call last):\n  File "<manhole>", line 1, in <module>\n'
        "ZeroDivisionError: division by zero\n"
    )


def test_a_syntax_error_points_at_the_place(typist):
    text = typist.ask("1 +* 2")
    assert text.splitlines()[0] == '  File "<manhole>", line 1'
    assert text.splitlines()[-1].startswith("SyntaxError")


def test_a_statement_may_have_many_lines(typist):
    assert typist.console.take("for x in (1, 2):") is None
    assert typist.console.is_within
    assert typist.console.take("    print(x)") is None
    assert typist.ask("") == "1\n2\n"
    assert typist.log.lines == ["for x in (1, 2):", "    print(x)", ""]


def test_every_line_is_logged_before_it_runs_also_what_is_no_python(typist):
    typist.ask("1 / 0")
    typist.ask("no python")
    assert typist.log.lines == ["1 / 0", "no python"]


def test_a_line_that_the_log_would_cut_is_not_taken(typist):
    with pytest.raises(ValueError, match="4096"):
        typist.console.take("x" * (LINE_MAX_CHARACTERS + 1))
    assert typist.log.lines == []


@pytest.mark.parametrize("line", ["while True: print('x' * 1000)", "'x' * 10**6", "[0] * 10**5"])
def test_output_ends_when_it_is_too_much(typist, line):
    if line.startswith("while"):
        assert typist.console.take(line) is None
        line = ""
    text = typist.ask(line)
    assert len(text) < OUTPUT_MAX_CHARACTERS + 200
    assert text.endswith(f"more than {OUTPUT_MAX_CHARACTERS} characters\n")
    assert typist.ask("1") == "1\n"


@pytest.mark.parametrize("line", ["input()", "breakpoint()"])
def test_what_would_wait_at_the_servers_terminal_is_refused(typist, line):
    assert "this would stop the whole server" in typist.ask(line)


def test_nothing_goes_to_the_servers_own_output(typist, capsys):
    typist.ask("print('here'); help(answer); 1")
    assert "here" in typist.text
    assert capsys.readouterr() == ("", "")


def test_typists_do_not_share_names(typist):
    typist.ask("secret = 1")
    assert "NameError" in Typist().ask("secret")


# ops


class Server:
    def __init__(self, answers):
        self.answers = answers
        self.asked = []

    async def ask(self, command, **arguments):
        self.asked.append((command, arguments))
        return self.answers[command]


SESSIONS = [
    {"id": "imap-1", "service": "imaps", "account": "alice@example.test", "tls": True, "doing": "\x1b[2J"},
    {"id": "b", "service": "smtp", "account": "", "tls": False, "doing": "EHLO"},
]


def test_ops_alone_says_what_can_be_asked():
    text = Typist(ops=Ops(None)).ask("ops")
    assert "ops.trace(id)" in text
    assert len(text.splitlines()) == 9
    assert text == Typist(ops=Ops(None)).ask("help()")


def test_rows_are_printed_as_a_table_that_cannot_change_the_terminal():
    server = Server({"sessions": SESSIONS})
    assert Typist(ops=Ops(server.ask)).ask("ops.sessions()") == (
        "id      service  account             tls  doing\n"
        "imap-1  imaps    alice@example.test  yes  \\x1b[2J\n"
        "b       smtp                         no   EHLO\n"
    )


def test_rows_can_be_worked_with():
    server = Server({"sessions": SESSIONS})
    typist = Typist(ops=Ops(server.ask))
    assert typist.ask("rows = await ops.sessions(); [row['id'] for row in rows if row['tls']]") == "['imap-1']\n"
    assert typist.ask("len(rows), rows[1]['id'], len(rows[:1])") == "(2, 'b', 1)\n"


def test_facts_are_printed_one_a_line_and_nothing_as_none():
    server = Server({"reload": {"certificate": "/c", "was_new": True}, "queue.list": []})
    typist = Typist(ops=Ops(server.ask))
    assert typist.ask("ops.reload()") == "certificate  /c\nwas new      yes\n"
    assert typist.ask("ops.queue()") == "none\n"
    assert typist.ask("(await ops.reload())['certificate']") == "'/c'\n"


def test_questions_go_to_the_server_with_their_arguments():
    server = Server({"trace": [], "session.end": {"id": "b"}})
    typist = Typist(ops=Ops(server.ask))
    typist.ask("ops.trace('<m@x>')")
    typist.ask("ops.end_session('b')")
    assert server.asked == [("trace", {"id": "<m@x>"}), ("session.end", {"id": "b"})]


# without a terminal


def lines(**names):
    typist = Typist(**names)
    statuses = []
    return typist, Lines(typist.console, typist.log, statuses.append), statuses


def test_lines_run_in_order_however_they_arrive():
    typist, source, statuses = lines()
    for octet in b"x = 1\nx + 1\r\nfor y in (8, 9):\n  y":
        source.feed(bytes([octet]))
    assert typist.text == "2\n"
    source.end()
    assert typist.text == "2\n"
    assert statuses == [0]


def test_a_line_waits_for_the_one_before_it():
    waiting = Deferred()
    typist, source, statuses = lines(waiting=waiting)
    source.feed_all(b"waiting\n2\n")
    assert (typist.text, statuses) == ("", [])
    waiting.callback(1)
    assert (typist.text, statuses) == ("1\n2\n", [0])


def test_the_exit_status_is_that_of_the_last_statement():
    _, source, statuses = lines()
    source.feed_all(b"1/0\n1")
    assert statuses == [0]
    _, source, statuses = lines()
    source.feed_all(b"1\n1/0\n")
    assert statuses == [1]
    typist, source, statuses = lines()
    source.feed_all(b"exit(3)\n1\n")
    assert (typist.text, statuses) == ("", [3])


def test_too_long_lines_and_too_much_input_end_the_session():
    typist, source, statuses = lines()
    source.feed(b"1\n" + b"x" * (LINE_MAX_CHARACTERS + 1) + b"\n2\n")
    assert "4096" in typist.text
    assert statuses == [1]
    typist, source, statuses = lines(waiting=Deferred())
    source.feed(b"waiting\n")
    source.feed(b"1\n" * INPUT_MAX_OCTETS)
    source.stop()
    assert "too much input" in typist.text


def test_who_hangs_up_interrupts_what_runs():
    waiting = Deferred()
    typist, source, statuses = lines(waiting=waiting)
    source.feed(b"waiting\n3\n")
    source.stop()
    assert waiting.called
    assert "3\n" not in typist.text
    assert statuses == []
