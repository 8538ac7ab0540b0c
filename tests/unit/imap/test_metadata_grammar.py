"""What cannot be read of GETMETADATA, SETMETADATA and LIST RETURN (METADATA); and values of any octets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imap_pieces import assemble

from mailsuite.imap import metadata_commands, responses
from mailsuite.imap.metadata_grammar import ENTRIES_MAX, ENTRY_MAX_OCTETS
from mailsuite.imap.parser import parse_command
from mailsuite.imap.tokens import BadCommandError

entries = st.lists(
    st.text(
        st.sampled_from([chr(code) for code in range(0x20, 0x7F) if chr(code) not in "/*%"]), min_size=1, max_size=9
    ),
    min_size=1,
    max_size=5,
).map(lambda levels: "/" + "/".join(levels))


def refusal(text):
    with pytest.raises(BadCommandError) as refused:
        parse_command(assemble(b"a " + text + b"\r\n"))
    return refused.value.status, refused.value.code


@pytest.mark.parametrize(
    "name",
    [
        b"comment", b"private/comment", b"/", b"/private/", b"//private", b"/private//comment", b'"/private/*"',
        b'"/private/x%y"', b"/private/*", b"/private/%", b'""', b'"/private/\xc3\xa9"', b'"/private/a\tb"',
        b'"/private/\x7f"', b"{10+}\r\n/private\r\n", b"NIL", b"()",
    ],
)  # fmt: skip
def test_what_cannot_be_the_name_of_an_entry_is_bad(name):
    for text in (b"GETMETADATA x " + name, b"GETMETADATA x (" + name + b")", b"SETMETADATA x (" + name + b' "v")',
                 b'LIST "" * RETURN (METADATA (' + name + b"))"):  # fmt: skip
        assert refusal(text) == (b"BAD", b"")


def test_a_name_has_at_most_255_octets():
    longest = b"/" + b"x" * (ENTRY_MAX_OCTETS - 1)
    assert parse_command(assemble(b"a GETMETADATA x " + longest + b"\r\n")).wanted.entries == (longest.decode(),)
    assert refusal(b"GETMETADATA x " + longest + b"x") == (b"NO", b"LIMIT")


def test_a_command_has_only_so_many_entries():
    many = [b"/private/%d" % number for number in range(ENTRIES_MAX)]
    assert len(parse_command(assemble(b"a GETMETADATA x (" + b" ".join(many) + b")\r\n")).wanted.entries) == ENTRIES_MAX
    assert refusal(b"GETMETADATA x (" + b" ".join([*many, b"/x"]) + b")") == (b"BAD", b"")
    assert refusal(b"SETMETADATA x (" + b" NIL ".join([*many, b"/x"]) + b" NIL)") == (b"BAD", b"")


@pytest.mark.parametrize(
    "text",
    [
        b"GETMETADATA",
        b"GETMETADATA x",
        b"GETMETADATA x ",
        b"GETMETADATA x ()",
        b"GETMETADATA x (/a",
        b"GETMETADATA x (/a /b",
        b"GETMETADATA x (/a  /b)",
        b"GETMETADATA x (/a )",
        b"GETMETADATA x /a /b",
        b"GETMETADATA x ((/a))",
        b"GETMETADATA () x /a",
        b"GETMETADATA (MAXSIZE) x /a",
        b"GETMETADATA (MAXSIZE x) x /a",
        b"GETMETADATA (MAXSIZE -1) x /a",
        b"GETMETADATA (MAXSIZE 4294967296) x /a",
        b"GETMETADATA (MAXSIZE 1 MAXSIZE 2) x /a",
        b"GETMETADATA (MAXSIZE 1) x (MAXSIZE 2) /a",
        b"GETMETADATA (MAXSIZE 1)x /a",
        b"GETMETADATA (DEPTH 2) x /a",
        b"GETMETADATA (DEPTH 10) x /a",
        b"GETMETADATA (DEPTH infinityx) x /a",
        b"GETMETADATA (DEPTH 0 DEPTH 0) x /a",
        b"GETMETADATA (OTHER 1) x /a",
        b"GETMETADATA (DEPTH 1 ) x /a",
        b"GETMETADATA x (DEPTH 1)",
        b"GETMETADATA x (DEPTH 1) (DEPTH 1) /a",
        b"SETMETADATA",
        b"SETMETADATA x",
        b"SETMETADATA x ()",
        b"SETMETADATA x (/a)",
        b"SETMETADATA x (/a )",
        b"SETMETADATA x (/a v)",
        b"SETMETADATA x /a NIL",
        b"SETMETADATA x (/a NIL",
        b"SETMETADATA x (/a NIL )",
        b"SETMETADATA x (/a NIL /b)",
        b'SETMETADATA x (/a "v"/b "w")',
        b"SETMETADATA x ((/a NIL))",
        b'LIST "" * RETURN (METADATA)',
        b'LIST "" * RETURN (METADATA ())',
        b'LIST "" * RETURN (METADATA (/a)',
        b'LIST "" * RETURN (METADATA (DEPTH 1))',
    ],
)
def test_what_cannot_be_read_is_bad(text):
    assert refusal(text) == (b"BAD", b"")


def test_a_mailbox_that_cannot_be_is_no():
    assert refusal(b"GETMETADATA a//b /private/x") == (b"NO", b"CANNOT")
    assert refusal(b"SETMETADATA .. (/private/x NIL)") == (b"NO", b"CANNOT")


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(entries, st.one_of(st.none(), st.binary(max_size=60)), min_size=1, max_size=4))
def test_what_is_written_is_read_octet_by_octet(values):
    unlike = {entry.lower(): (entry, value) for entry, value in values.items()}
    shown = responses.metadata_line(responses.mailbox("x"), unlike.values()).removeprefix(b"* METADATA ")
    for step in (0, 1):
        command = parse_command(assemble(b"a SETMETADATA " + shown, step))
        assert command == metadata_commands.SetMetadata(b"a", "x", dict(unlike.values()))


def test_a_value_is_written_so_that_it_ends_no_line():
    line = responses.metadata_line(
        b'""', [("/private/a b", b"x\r\n* BYE"), ("/private/c", b"\0"), ("/private/d", None), ("/private/e", b"\xff")]
    )
    assert line == (
        b'* METADATA "" ("/private/a b" {8}\r\nx\r\n* BYE /private/c ~{1}\r\n\0 '
        b"/private/d NIL /private/e {1}\r\n\xff)\r\n"
    )
    assert responses.metadata_names_line(b"INBOX", ["/shared/a", '/private/"']) == (
        b'* METADATA INBOX /shared/a "/private/\\""\r\n'
    )
