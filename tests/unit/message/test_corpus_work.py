"""How much work odd messages make: no more than their octets."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mime_corpus import all_messages

from mailsuite.message.summary import summarize_with_parts

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
