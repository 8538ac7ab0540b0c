"""GETQUOTA, GETQUOTAROOT and SETQUOTA, however they are written; and what is none of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imap_pieces import assemble

from mailsuite.imap import responses
from mailsuite.imap.parser import parse_command
from mailsuite.imap.quota_commands import GetQuota, GetQuotaRoot, SetQuota
from mailsuite.imap.tokens import BadCommandError

CASES = [
    (b"GETQUOTA x", GetQuota(b"a", b"x")),
    (b"GETQUOTA {3}\r\nx y", GetQuota(b"a", b"x y")),
    (b'GETQUOTA "Users/bob@example.test"', GetQuota(b"a", b"Users/bob@example.test")),
    (b'getquotaroot "inbox"', GetQuotaRoot(b"a", "INBOX")),
    (b'SETQUOTA "" (STORAGE 512)', SetQuota(b"a", b"", ((b"STORAGE", 512),))),
    (b'SetQuota "" (sTORAGE 0 MESSAGE 1)', SetQuota(b"a", b"", ((b"STORAGE", 0), (b"MESSAGE", 1)))),
    (b"SETQUOTA {2+}\r\n\xc3\xbc ()", SetQuota(b"a", b"\xc3\xbc", ())),
    (b"SETQUOTA x (STORAGE 9223372036854775807)", SetQuota(b"a", b"x", ((b"STORAGE", 2**63 - 1),))),
    (b"SETQUOTA x (STORAGE 0000000000000000001)", SetQuota(b"a", b"x", ((b"STORAGE", 1),))),
]


def read(text, step=0):
    return parse_command(assemble(b"a " + text + b"\r\n", step))


def refusal(text):
    with pytest.raises(BadCommandError) as refused:
        read(text)
    assert refused.value.tag == b"a"
    return refused.value.status, refused.value.code


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(("text", "command"), CASES)
def test_a_command_is_this_value_whole_and_one_octet_at_a_time(text, command, step):
    assert read(text, step) == command


@pytest.mark.parametrize("more", [b" ", b")", b" )", b" x", b" (STORAGE 1)", b" ()", b"\x01"])
@pytest.mark.parametrize("text", [text for text, _ in CASES])
def test_anything_after_the_last_argument_is_bad(text, more):
    assert refusal(text + more) == (b"BAD", b"")


@pytest.mark.parametrize(
    "text",
    [
        b"GETQUOTA", b"GETQUOTA ", b"GETQUOTA ()", b"GETQUOTAROOT", b"SETQUOTA", b"SETQUOTA ", b"SETQUOTA x",
        b"SETQUOTA x ", b"SETQUOTA x STORAGE 1", b"SETQUOTA x (STORAGE)", b"SETQUOTA x (STORAGE )",
        b"SETQUOTA x ( STORAGE 1)", b"SETQUOTA x (STORAGE 1 )", b"SETQUOTA x (STORAGE  1)", b"SETQUOTA x(STORAGE 1)",
        b"SETQUOTA x (STORAGE -1)", b"SETQUOTA x (STORAGE +1)", b"SETQUOTA x (STORAGE 1k)", b"SETQUOTA x (STORAGE 1.5)",
        b"SETQUOTA x (STORAGE NIL)", b'SETQUOTA x (STORAGE "1")', b"SETQUOTA x (STORAGE {1+}\r\n1)",
        b'SETQUOTA x ("STORAGE" 1)', b"SETQUOTA x (STORAGE 1", b"SETQUOTA x ((STORAGE 1))", b"SETQUOTA x (1)",
        b"SETQUOTA x (STORAGE 9223372036854775808)", b"SETQUOTA x (STORAGE 18446744073709551616)",
        b"SETQUOTA x (STORAGE 00000000000000000001)", b"SETQUOTA x (STORAGE " + b"9" * 5000 + b")",
        b"SETQUOTA x (STORAGE 1 storage 2)", b"SETQUOTA x (STORAGE 1, MESSAGE 1)", b"SETQUOTA x (X]Y 1)",
        b"UID SETQUOTA x ()",
    ],
)  # fmt: skip
def test_what_is_none_is_bad(text):
    assert refusal(text) == (b"BAD", b"")


resources = st.from_regex(rb"[!#$&'+-Z^-z|}~]{1,20}", fullmatch=True).map(bytes.upper)
limits = st.lists(st.tuples(resources, st.integers(0, 2**63 - 1)), unique_by=lambda pair: pair[0], max_size=5)


@settings(deadline=None)
@given(root=st.binary(max_size=40).filter(lambda octets: b"\0" not in octets), limits=limits)
def test_what_is_written_is_read_again(root, limits):
    name = responses.astring(root)
    listed = b" ".join(b"%b %d" % pair for pair in limits)
    for step in (0, 1):
        assert read(b"SETQUOTA %b (%b)" % (name, listed), step) == SetQuota(b"a", root, tuple(limits))
        assert read(b"GETQUOTA " + name, step) == GetQuota(b"a", root)
