"""URLs that lead into one account."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.imap.fetch_grammar import BodySection, SectionText
from mailsuite.imap.urls import BadURLError, MessagePart, parse_url

WHOLE = BodySection(b"BODY[]")


@pytest.mark.parametrize(
    ("url", "mailbox", "uidvalidity", "uid", "section"),
    [
        (b"/Drafts/;UID=3002", "Drafts", None, 3002, WHOLE),
        (b"/Drafts;UIDVALIDITY=385759045/;UID=20", "Drafts", 385759045, 20, WHOLE),
        (
            b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME",
            "Drafts",
            385759045,
            20,
            BodySection(b"BODY[1.MIME]", (1,), SectionText.MIME),
        ),
        (b"/inbox/;uid=1/;Section=HEADER", "INBOX", None, 1, BodySection(b"BODY[HEADER]", (), SectionText.HEADER)),
        (b";UID=20/;SECTION=1.2", None, None, 20, BodySection(b"BODY[1.2]", (1, 2))),
        (b"/a/b%20c/%C3%BC/;UID=1", "a/b c/\xfc", None, 1, WHOLE),
        (b"/u%CC%88/;UID=1", "\xfc", None, 1, WHOLE),
        (b"/x/;UID=1/;PARTIAL=0.1024", "x", None, 1, BodySection(b"BODY[]", offset=0, length=1024)),
        (b"/x/;UID=1/;PARTIAL=7", "x", None, 1, BodySection(b"BODY[]", offset=7, length=2**63 - 1)),
        (
            b"/x/;UID=1/;PARTIAL=9223372036854775807.9223372036854775807",
            "x",
            None,
            1,
            BodySection(b"BODY[]", offset=2**63 - 1, length=2**63 - 1),
        ),
        (
            b"/x/;UID=1/;SECTION=HEADER.FIELDS%20(To)/;PARTIAL=1.2",
            "x",
            None,
            1,
            BodySection(b"BODY[HEADER.FIELDS (To)]", (), SectionText.HEADER_FIELDS, frozenset({b"to"}), 1, 2),
        ),
    ],
)
def test_a_url_names_a_message_or_a_part_of_it(url, mailbox, uidvalidity, uid, section):
    assert parse_url(url) == MessagePart(mailbox, uidvalidity, uid, section)


@pytest.mark.parametrize(
    "url",
    [
        b"",
        b"/",
        b"/x",
        b"/x/",
        b"/x;UIDVALIDITY=1",
        b"/x;UID=1",
        b"//x/;UID=1",
        b"/;UID=1",
        b"x/;UID=1",
        b"imap://bob@elsewhere.test/x/;UID=1",
        b"imap://elsewhere.test/x/;UID=1",
        b"//elsewhere.test/x/;UID=1",
        b"http://elsewhere.test/",
        b"file:///etc/passwd",
        b"/x/;UID=0",
        b"/x/;UID=4294967296",
        b"/x/;UID=99999999999999999999",
        b"/x/;UID=1,2",
        b"/x/;UID=*",
        b"/x/;UID=1/",
        b"/x;UIDVALIDITY=0/;UID=1",
        b"/x/;UID=1/;SECTION=",
        b"/x/;UID=1/;SECTION=0",
        b"/x/;UID=1/;SECTION=FOO",
        b"/x/;UID=1/;SECTION=MIME",
        b"/x/;UID=1/;SECTION=1]",
        b"/x/;UID=1/;SECTION=1%5D%3C0.5%3E",
        b"/x/;UID=1/;SECTION=1%3C0.5%3E",
        b"/x/;UID=1/;SECTION=HEADER.FIELDS%20(%7B3%7D)",
        b"/x/;UID=1/;PARTIAL=",
        b"/x/;UID=1/;PARTIAL=0.0",
        b"/x/;UID=1/;PARTIAL=9223372036854775808",
        b"/x/;UID=1/;PARTIAL=0.9223372036854775808",
        b"/x/;UID=1/;PARTIAL=99999999999999999999",
        b"/x/;UID=1/;PARTIAL=1/;SECTION=1",
        b"/x/;UID=1;URLAUTH=anonymous:internal:91354a473744909de610943775f92038",
        b"/x/;UID=1?SUBJECT",
        b"/x/;UID=1#1",
        b"/x y/;UID=1",
        b"/x%/;UID=1",
        b"/x%2/;UID=1",
        b"/x%zz/;UID=1",
        b"/x%00/;UID=1",
        b"/x%0D%0A/;UID=1",
        b"/%FF/;UID=1",
        b"/\xc3\xbc/;UID=1",
        b"/../x/;UID=1",
        b"/a/%2E%2E/x/;UID=1",
        b"/a//x/;UID=1",
        b"/x/;UID=1\r\n",
        b"/" + b"x" * 4096 + b"/;UID=1",
    ],
)
def test_what_leads_elsewhere_or_nowhere_is_refused(url):
    with pytest.raises(BadURLError):
        parse_url(url)


@given(st.binary(max_size=40))
def test_no_octets_are_an_error_of_ours(octets):
    for url in (octets, b"/x/;UID=1" + octets, b"/" + octets + b"/;UID=1", b";UID=1/;SECTION=" + octets):
        with contextlib.suppress(BadURLError):
            assert parse_url(url).uid > 0
