import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.message.header import HEADER_MAX_OCTETS
from mailsuite.message.references import first_message_id, message_ids, thread_id

ROOT = b"Message-ID: <root@example.test>\r\nSubject: Lunch\r\n"


def of(header, email_id=b"M1"):
    return thread_id(header, email_id)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (b"", []),
        (b"none", []),
        (b"<a@b>", [b"a@b"]),
        (b"< a@b >", [b"a@b"]),
        (b"<a@b><c@d>", [b"a@b", b"c@d"]),
        (b"<a@b> your mail of <yesterday> <c@d>", [b"a@b", b"c@d"]),
        (b'<"a"@b>', [b"a@b"]),
        (b'<"\\a x"@b>', [b"a x@b"]),
        (b"<a@b", []),
        (b"<<a@b>", [b"a@b"]),
        (b"<a@b@c> <d@e>", [b"d@e"]),
        (b"<@b> <a@>", []),
    ],
)
def test_ids_are_read_whatever_stands_between_them(value, ids):
    assert message_ids(value, 100) == ids
    assert first_message_id(value) == (ids[0] if ids else b"")


def test_of_many_ids_the_last_ones_are_given():
    assert message_ids(b"<1@x> <2@x> <3@x>", 2) == [b"2@x", b"3@x"]
    assert first_message_id(None) == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"Message-ID: <x@example.test>\r\nIn-Reply-To: <root@example.test>\r\n",
        b"Message-ID: <x@example.test>\r\nReferences: <root@example.test>\r\nIn-Reply-To: <other@example.test>\r\n",
        b"REFERENCES :\r\n\t<root@example.test>\r\n\t<x@example.test>\r\n",
        b"References: nonsense\r\nIn-Reply-To: Alice of Monday <root@example.test> <other@example.test>\r\n",
        b'References: <"root"@example.test>\r\n',
        b"Subject: the same again\r\nmessage-id: <root@example.test>\n",
    ],
)
def test_an_answer_belongs_to_the_conversation_that_it_answers(answer):
    assert of(answer) == of(ROOT, b"M2")


@pytest.mark.parametrize(
    "other",
    [
        b"Message-ID: <Root@example.test>\r\n",
        b"Message-ID: <x@example.test>\r\nReferences: <x@example.test> <root@example.test>\r\n",
        b"Subject: Re: Lunch\r\n",
        b"",
        b"X-References: <root@example.test>\r\n",
    ],
)
def test_other_conversations_have_other_ids(other):
    assert of(other) != of(ROOT)


def test_a_message_without_ids_is_alone_but_for_its_copies():
    assert of(b"Subject: x\r\n", b"M1") == of(b"Subject: x\r\n", b"M1") != of(b"Subject: x\r\n", b"M2")


@given(st.binary(max_size=200), st.binary(max_size=30))
def test_whatever_a_header_holds_the_id_is_one(header, email_id):
    assert re.fullmatch(rb"T[0-9a-f]{24}", of(header, email_id))


@pytest.mark.parametrize("piece", [b"<", b"<a", b'<"', b"<a@", b"< ", b'<"\\', b"<a@b", b"@"])
def test_hostile_fields_take_no_time(piece):
    # A repeat that tries octets again would take hours for one of these.
    assert of(b"References: " + piece * (HEADER_MAX_OCTETS // len(piece)))
