"""How much work odd messages make: no more than their octets."""

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mime_corpus import all_messages

from mailsuite.message.addresses import parse_addresses
from mailsuite.message.dates import parse_date
from mailsuite.message.header import parse_fields
from mailsuite.message.parameters import parse_parameters
from mailsuite.message.summary import summarize_with_parts
from mailsuite.message.words import decode_words

MESSAGES = all_messages()
FIXED_OCTETS = 20_000  # for what is looked at ahead, whatever the size
TIMES = 8


def work(counting, content):
    counted = counting(content)
    summarize_with_parts(counted)
    return counted


@pytest.mark.parametrize("name", MESSAGES)
def test_odd_messages_are_read_a_few_times_only(counting, name):
    counted = work(counting, MESSAGES[name])
    assert counted.searched <= TIMES * len(counted) + FIXED_OCTETS
    assert counted.copied <= TIMES * len(counted) + FIXED_OCTETS


@pytest.mark.parametrize("name", [name for name, octets in MESSAGES.items() if len(octets) < 5000])
def test_what_is_repeated_makes_no_more_work_for_each_time(counting, name):
    once, often = (work(counting, MESSAGES[name] * times) for times in (10, 100))
    for count in ("searched", "copied", "calls"):
        assert getattr(often, count) <= 12 * getattr(once, count) + FIXED_OCTETS


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from(
            [b"\r\n", b"\n", b"--b", b"--", b"--b--", b"Content-Type: multipart/x; boundary=b", b"x", b": ", b" ",
             b"Content-Type: message/rfc822", b"From: ", b"(", b'"', b"; boundary=c", b"--c\r\n\r\n"]
        ),
        max_size=30,
    ).map(b"".join)
)  # fmt: skip
def test_any_pieces_repeated_make_no_more_work_for_each_time(counting, content):
    once, often = (work(counting, content * times) for times in (20, 200))
    for count in ("searched", "copied", "calls"):
        assert getattr(often, count) <= 12 * getattr(once, count) + FIXED_OCTETS


# What is read in a field: lines of code that are run are counted, since most of the work is in steps of a loop.

READERS = {
    "addresses": parse_addresses,
    "parameters": parse_parameters,
    "parameters after a type": lambda value: parse_parameters(b"a/b; c=d" + value),
    "parameters within a comment": lambda value: parse_parameters(b"a/b; (" + value),
    "fields": parse_fields,
    "words": decode_words,
    "dates": parse_date,
}
PIECES = [
    b"(", b")", b"()", b" (x)", b'"', b'""', b"\\", b'\\"', b"<", b"<>", b"@", b"a@", b" @ ", b"a b", b". ", b" .",
    b",", b";", b":", b"a:", b"<@a,", b"[", b"[]", b"=", b";=", b"a=b;", b"a*0=b;", b"a*1=b;", b";=(", b"c=d (;", b"=?",
    b"=?a?q?b?= ", b"=?a?q?", b"a: b\r\n", b" \r\n", b"\r\n ", b":\n", b"a\n", b"1 Jan ", b" (;a=b )", b")(", b"x",
]  # fmt: skip


def steps(read, value):
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read(value)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("piece", PIECES)
def test_reading_a_field_takes_no_more_steps_for_each_octet(reader, piece):
    read = READERS[reader]
    assert steps(read, piece * 400) <= 4.5 * steps(read, piece * 100) + 500


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(sorted(READERS)), st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(b"".join))
def test_reading_any_field_takes_no_more_steps_for_each_octet(reader, piece):
    read = READERS[reader]
    assert steps(read, piece * 200) <= 4.5 * steps(read, piece * 50) + 500
