"""What FETCH can ask for, and what it is called in the answer."""

import pytest

from mailsuite.imap.fetch_grammar import (
    BodySection,
    FetchAttribute,
    FetchItems,
    SectionForm,
    SectionText,
    parse_fetch_items,
)
from mailsuite.imap.tokens import BadCommandError, Tokens
from mailsuite.message.mime import DEPTH_MAX

A = FetchAttribute


def parse(*pieces, uid=False):
    tokens = Tokens(pieces)
    items = parse_fetch_items(tokens, uid=uid)
    tokens.end()
    return items


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        (b"FLAGS", (A.FLAGS,)),
        (b"(flags)", (A.FLAGS,)),
        (b"(FLAGS UID FLAGS)", (A.FLAGS, A.UID)),
        (b"ALL", (A.FLAGS, A.INTERNALDATE, A.RFC822_SIZE, A.ENVELOPE)),
        (b"fast", (A.FLAGS, A.INTERNALDATE, A.RFC822_SIZE)),
        (b"FULL", (A.FLAGS, A.INTERNALDATE, A.RFC822_SIZE, A.ENVELOPE, A.BODY)),
        (b"(BODY BODYSTRUCTURE rfc822.size)", (A.BODY, A.BODYSTRUCTURE, A.RFC822_SIZE)),
    ],
)
def test_the_index_is_asked_for_these(text, attributes):
    items = parse(text)
    assert items == FetchItems(attributes)
    assert not items.sets_seen


@pytest.mark.parametrize(
    ("text", "section"),
    [
        (b"RFC822", BodySection(b"RFC822", peek=False)),
        (b"rfc822.header", BodySection(b"RFC822.HEADER", text=SectionText.HEADER)),
        (b"RFC822.TEXT", BodySection(b"RFC822.TEXT", text=SectionText.TEXT, peek=False)),
        (b"BODY[]", BodySection(b"BODY[]", peek=False)),
        (b"BODY.PEEK[]", BodySection(b"BODY[]")),
        (b"body.peek[header]", BodySection(b"BODY[HEADER]", text=SectionText.HEADER)),
        (b"BODY.PEEK[TEXT]", BodySection(b"BODY[TEXT]", text=SectionText.TEXT)),
        (b"BODY.PEEK[1]", BodySection(b"BODY[1]", (1,))),
        (b"BODY.PEEK[4.2.10]", BodySection(b"BODY[4.2.10]", (4, 2, 10))),
        (b"BODY.PEEK[1.2.mime]", BodySection(b"BODY[1.2.MIME]", (1, 2), SectionText.MIME)),
        (b"BODY.PEEK[3.HEADER]", BodySection(b"BODY[3.HEADER]", (3,), SectionText.HEADER)),
        (b"BODY.PEEK[3.TEXT]<0.2048>", BodySection(b"BODY[3.TEXT]<0>", (3,), SectionText.TEXT, offset=0, length=2048)),
        (b"BODY.PEEK[]<0.9223372036854775807>", BodySection(b"BODY[]<0>", offset=0, length=2**63 - 1)),
        (
            b"BINARY.PEEK[1]<9223372036854775807.5000000000>",
            BodySection(
                b"BINARY[1]<9223372036854775807>", (1,), offset=2**63 - 1, length=5 * 10**9, form=SectionForm.DECODED
            ),
        ),
        (b"BODY[]<100.4294967295>", BodySection(b"BODY[]<100>", offset=100, length=4294967295, peek=False)),
        (
            b"BODY.PEEK[HEADER.FIELDS (SUBJECT From)]",
            BodySection(
                b"BODY[HEADER.FIELDS (SUBJECT From)]", (), SectionText.HEADER_FIELDS, frozenset({b"subject", b"from"})
            ),
        ),
        (
            b'BODY.PEEK[2.header.fields.not ("X-A" "b\\"c")]<5.1>',
            BodySection(
                b'BODY[2.HEADER.FIELDS.NOT (X-A "b\\"c")]<5>',
                (2,),
                SectionText.HEADER_FIELDS_NOT,
                frozenset({b"x-a", b'b"c'}),
                5,
                1,
            ),
        ),
    ],
)
def test_a_body_section_is_answered_under_its_own_name(text, section):
    assert parse(text) == FetchItems((), (section,))
    assert parse(b"(UID " + text + b")") == FetchItems((A.UID,), (section,))


def test_a_header_field_s_name_can_be_a_literal():
    assert parse(b"BODY[HEADER.FIELDS ({7}", b"Subject", b" {2+}", b"To", b")]") == FetchItems(
        (),
        (
            BodySection(
                b"BODY[HEADER.FIELDS (Subject To)]",
                (),
                SectionText.HEADER_FIELDS,
                frozenset({b"subject", b"to"}),
                peek=False,
            ),
        ),
    )


def test_every_part_that_a_structure_can_show_can_be_fetched():
    (section,) = parse(b"BODY[" + b".".join([b"1"] * DEPTH_MAX) + b".MIME]").sections
    assert section.part == (1,) * DEPTH_MAX


def test_fetching_a_body_sets_seen_unless_it_only_peeks():
    assert parse(b"(FLAGS BODY[TEXT])").sets_seen
    assert parse(b"RFC822").sets_seen
    assert not parse(b"(RFC822.HEADER BODY.PEEK[])").sets_seen


def test_uid_fetch_tells_the_uid_once():
    assert parse(b"FLAGS", uid=True).attributes == (A.UID, A.FLAGS)
    assert parse(b"(FLAGS UID)", uid=True).attributes == (A.FLAGS, A.UID)
    assert parse(b"FLAGS").attributes == (A.FLAGS,)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"()", b"(FLAGS", b"FLAGS)", b"FLAGS UID", b"(FLAGS  UID)", b"( FLAGS)", b"(FLAGS )", b"(ALL)", b"NOPE",
        b"BODY[", b"BODY[]]", b"BODY.PEEK", b"BODY[MIME]", b"BODY[0]", b"BODY[01]", b"BODY[1.]", b"BODY[.1]",
        b"BODY[1.0]", b"BODY[99999999999]", b"BODY[4294967296]", b"BODY[1.FOO]", b"BODY[HEADER.FIELDS]",
        b"BODY[HEADER.FIELDS ()]", b"BODY[HEADER.FIELDS (a b]", b"BODY[HEADER.FIELDS (a:)]",
        b'BODY[HEADER.FIELDS ("a b")]', b'BODY[HEADER.FIELDS ("\xc3")]', b"BODY[]<0>", b"BODY[]<0.0>",
        b"BODY[]<-1.5>", b"BODY[]<9223372036854775808.1>", b"BODY[]<0.9223372036854775808>",
        b"BINARY[1]<10000000000000000000.1>", b"BODY[]<1.2.3>", b"BODY[1" + b".1" * DEPTH_MAX + b"]",
        b"(" + b" ".join([b"UID"] * 1001) + b")", b"(" * 5000, b"BODY[HEADER.FIELDS (" + b"a " * 1001 + b"a)]",
    ],
)  # fmt: skip
def test_what_is_no_item_is_refused(text):
    with pytest.raises(BadCommandError):
        parse(text)
