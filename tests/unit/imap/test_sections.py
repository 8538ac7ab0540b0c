"""Picking fields from those that the index keeps: the same as line by line, however broken the block is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.imap.fetch_grammar import BodySection, SectionText
from mailsuite.imap.sections import SHOWN_FOR_NUL, cached_fields, cached_literals
from mailsuite.interfaces import CACHED_FIELDS

PIECES = (
    *(b"To", b"TO", b"to", b"To-Me", b"ToTo", b"From", b"Message-ID", b"Message-Id", b"mESSAGE-iD", b"X-Own"),
    *(b":", b": ", b" :", b"\t :", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\n ", b"\r\n\t", b"\n\n", b"\r\n\r\n"),
    *(b"\0", b"\0\n", b"\n\0", b"\x80\xff", b"x", b"a@example.test", b"\x0b", b"\x0c", b"\x85"),
)  # fmt: skip


def ended(pieces):
    """Make a block as the index keeps it: whatever is in it, its last line has an end."""
    block = b"".join(pieces)
    return block if block[-1:] in {b"", b"\n"} else block + b"\r\n"


BLOCKS = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=30).map(ended),
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=3)), max_size=12).map(ended),
)
FIELDS = st.frozensets(st.sampled_from([b"to", b"from", b"message-id", b"subject"]), min_size=1)


def wanting(fields, offset=None, length=0):
    return BodySection(
        label=b"BODY[]", text=SectionText.HEADER_FIELDS, fields=frozenset(fields), offset=offset, length=length
    )


def pick(block, fields):
    """Go line by line: a line that begins with white space belongs to the one before it."""
    kept = []
    wanted = False
    for number, line in enumerate(block.split(b"\n")[:-1]):
        if line[:1] not in {b" ", b"\t"} or not number:
            name, colon, _ = line.partition(b":")
            wanted = bool(colon) and name.rstrip(b" \t").lower() in fields
        kept += [line + b"\n"] * wanted
    return b"".join([*kept, b"\r\n"])


@given(BLOCKS, FIELDS)
def test_what_is_picked_is_what_a_look_at_each_line_picks(block, fields):
    assert cached_fields(block, wanting(fields)) == pick(block, fields)


@given(st.lists(BLOCKS, max_size=6), FIELDS, st.one_of(st.none(), st.integers(0, 30)), st.integers(1, 30))
def test_many_give_what_each_gives(blocks, fields, offset, length):
    section = wanting(fields, offset, length)
    each = [cached_fields(block, section).replace(b"\0", SHOWN_FOR_NUL) for block in blocks]
    assert cached_literals(blocks, section) == each


@pytest.mark.parametrize("name", sorted(CACHED_FIELDS))
def test_each_field_is_found_however_its_name_is_written(name):
    spelled = (name, name.upper(), name.title(), name.title().replace(b"-Id", b"-ID"), name.swapcase())
    block = b"".join(b"%b: 1\r\n%b \t: 2\r\n 3\r\n%b-More: 4\r\nX%b: 5\r\n" % ((each,) * 4) for each in spelled)
    expected = b"".join(b"%b: 1\r\n%b \t: 2\r\n 3\r\n" % (each, each) for each in spelled) + b"\r\n"
    assert cached_fields(block, wanting([name])) == expected
    assert cached_fields(block, wanting(CACHED_FIELDS - {name})) == b"\r\n"
