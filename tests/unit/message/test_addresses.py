import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.message.addresses import ADDRESSES_MAX, GROUP_END, TOKENS_MAX, MailboxField, parse_addresses


def box(name, mailbox, host, route=None):
    return MailboxField(name, route, mailbox, host)


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        (b"a@b", [box(None, b"a", b"b")]),
        (b"<a@b>", [box(None, b"a", b"b")]),
        (b"Bob  Example <a@b>", [box(b"Bob Example", b"a", b"b")]),
        (b'"Example, Bob" <a@b>', [box(b"Example, Bob", b"a", b"b")]),
        (b'"say \\"hi\\" \\\\" <a@b>', [box(b'say "hi" \\', b"a", b"b")]),
        (b"a@b, C <c@d>,, <e@f>", [box(None, b"a", b"b"), box(b"C", b"c", b"d"), box(None, b"e", b"f")]),
        (b"a@b (Bob (really) Example)", [box(b"Bob (really) Example", b"a", b"b")]),
        (b'"a b"@c', [box(None, b"a b", b"c")]),
        (b"a . b @ c . d", [box(None, b"a.b", b"c.d")]),
        (b"(x) a (y) . b @ c", [box(b"y", b"a.b", b"c")]),
        (b"a@[192.0.2.1]", [box(None, b"a", b"[192.0.2.1]")]),
        (b"Bob <@x,@y:a@b>", [box(b"Bob", b"a", b"b", b"@x,@y")]),
        (b"<@x:a@b>", [box(None, b"a", b"b", b"@x")]),
        (
            b"Team: a@b, C <c@d>;, e@f",
            [box(None, b"Team", None), box(None, b"a", b"b"), box(b"C", b"c", b"d"), GROUP_END, box(None, b"e", b"f")],
        ),
        (b"undisclosed-recipients:;", [box(None, b"undisclosed-recipients", None), GROUP_END]),
        (b"Team: a@b", [box(None, b"Team", None), box(None, b"a", b"b"), GROUP_END]),
        (b"root", [box(None, b"root", b"")]),
        (b"J. R. Public <a@b>", [box(b"J. R. Public", b"a", b"b")]),
        (b'J. "R." Public <a@b>', [box(b"J. R. Public", b"a", b"b")]),
        (b"a@b@c", [box(None, b"a@b", b"c")]),
        (b"me@home <a@b>", [box(b"me@home", b"a", b"b")]),
        (b"=?utf-8?q?B=C3=B6b?= <a@b>", [box(b"=?utf-8?q?B=C3=B6b?=", b"a", b"b")]),
        (b"B\xc3\xb6b <a@b>", [box(b"B\xc3\xb6b", b"a", b"b")]),
        (b"", []),
        (b" , ,", []),
        (b'"unclosed <a@b>', [box(None, b"unclosed <a@b>", b"")]),
        (b"(unclosed <a@b>", []),
        (b"Bob <a@b", [box(b"Bob", b"a", b"b")]),
        (b";;;", []),
        (b"Ann Other", [box(None, b"Ann Other", b"")]),
        (b"Ann Other a@b", [box(b"Ann Other", b"a", b"b")]),
        (b"Ann Other a@b>", [box(b"Ann Other", b"a", b"b")]),
        (b"a@b Ann", [box(b"Ann", b"a", b"b")]),
        (b'"Ann" a@b (c)', [box(b"Ann", b"a", b"b")]),
        (b"a@b c@d", [box(None, b"a", b"b"), box(None, b"c", b"d")]),
        (b"a@b c@d, e@f (x)", [box(None, b"a", b"b"), box(None, b"c", b"d"), box(b"x", b"e", b"f")]),
        (b'"a"."b"@c', [box(None, b"a.b", b"c")]),
        (b'"a" . b @ (x) c (y) . d', [box(b"y", b"a.b", b"c.d")]),
        (b'" "@c', [box(None, b" ", b"c")]),
        (b"a\\b@c", [box(None, b"a\\b", b"c")]),
        (b"a@b )", [box(None, b"a", b"b")]),
        (b"<<a@b>>", [box(None, b"a", b"b")]),
        (b"<@x,,@y:a@b>", [box(None, b"a", b"b", b"@x,@y")]),
        (b"@x:a@b", [box(None, b"a", b"b", b"@x")]),
        (b"me@home: a@b;", [box(None, b"me@home", None), box(None, b"a", b"b"), GROUP_END]),
        (b'me@home "too" <a@b>', [box(b"me@home too", b"a", b"b")]),
        (b"Ann <a@b> <c@d>", [box(b"Ann", b"a", b"b"), box(None, b"c", b"d")]),
        (b'"Ann" <a@b>Ben <c@d>', [box(b"Ann", b"a", b"b"), box(None, b"c", b"d")]),
        (b"<a@b>(Ann)", [box(b"Ann", b"a", b"b")]),
        (b"<a@b c@d>", [box(b"a@b", b"c", b"d")]),
        (b"<a@b,c@d>", [box(None, b"a", b"b"), box(None, b"c", b"d")]),
    ],
)
def test_address_lists_are_read(value, entries):
    assert parse_addresses(value) == entries


def test_the_display_name_is_decoded_for_people():
    (entry,) = parse_addresses(b"=?utf-8?q?B=C3=B6b?= <a@b>")
    assert entry.display_name == "B\xf6b"
    assert entry.address == "a@b"


def test_only_so_many_addresses_are_looked_at():
    assert len(parse_addresses(b"a@b," * 100_000)) == ADDRESSES_MAX
    assert len(parse_addresses(b'"a"@b,' * 100_000)) <= ADDRESSES_MAX + 1


def test_only_so_many_words_are_looked_at():
    (entry,) = parse_addresses(b'"a" ' * TOKENS_MAX)
    assert entry.mailbox.split() == [b"a"] * (TOKENS_MAX // 2)


@pytest.mark.parametrize("piece", [b"(", b")", b'"', b"\\", b'\\"', b"<", b"@", b":", b"[", b";,", b"<@a,", b"a:"])
def test_hostile_lists_come_to_an_end(piece):
    parse_addresses(piece * 20_000)
    parse_addresses(b'"' + piece * 20_000)


@settings(deadline=None, max_examples=300)
@given(st.text('ab@<>()",;:\\[]. \t\xff').map(lambda text: text.encode("latin-1")))
def test_no_list_raises_and_groups_are_closed(value):
    depth = 0
    for entry in parse_addresses(value):
        if entry.mailbox is None:
            depth -= 1
        elif entry.host is None:
            depth += 1
        assert 0 <= depth <= 1
    assert depth == 0
