"""The subject of a conversation: what is removed, in which order, and how long that takes."""

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailsuite.imap.subjects import NO_SUBJECT, TEXT_MAX_CHARACTERS, Subject, base_subject, read_subject
from mailsuite.message.collation import casemap


@pytest.mark.parametrize(
    ("text", "base", "is_reply"),
    [
        ("", "", False),
        ("   ", "", False),
        ("hello", "hello", False),
        (" hello \t there ", "hello there", False),
        ("Re: hello", "hello", True),
        ("RE:hello", "hello", True),
        ("re : hello", "hello", True),
        ("Re[2]: hello", "hello", True),
        ("Re [list] : hello", "hello", True),
        ("Re: Re: re: hello", "hello", True),
        ("Fw: hello", "hello", True),
        ("Fwd: hello", "hello", True),
        ("FWD[x]: Re: hello", "hello", True),
        ("Fwdd: hello", "Fwdd: hello", False),
        ("Reply: hello", "Reply: hello", False),
        ("AW: hello", "AW: hello", False),
        ("hello (fwd)", "hello", True),
        ("hello (FWD) (fwd)  ", "hello", True),
        ("hello(fwd)", "hello", True),
        ("(fwd)", "", True),
        ("hello (fwd) there", "hello (fwd) there", False),
        ("[list] hello", "hello", False),
        ("[a] [b][c]  hello", "hello", False),
        ("[list] Re: [other] hello", "hello", True),
        ("Re: [list]", "[list]", True),
        ("[a][b]", "[b]", False),
        ("[a] (fwd)", "[a]", True),
        ("[a] Re:", "", True),
        ("Re:", "", True),
        ("[fwd: hello]", "hello", True),
        ("[Fwd: Re: hello]", "hello", True),
        ("Re: [fwd: [fwd: hello (fwd)]]", "hello", True),
        ("[fwd: [list] hello]", "hello", True),
        ("[fwd: hello] there", "there", False),
        ("[fwd: hello", "[fwd: hello", False),
        ("[fwd:]", "", True),
        ("[fwd:", "[fwd:", False),
        ("[unclosed hello", "[unclosed hello", False),
        ("[] hello", "hello", False),
        ("[[a]] hello", "[[a]] hello", False),
        ("hello [list]", "hello [list]", False),
        ("[gr\u00fc\u00dfe] Re: \u00fc", "\u00fc", True),
        ("Re: hello\r\n there", "hello there", True),
    ],
)
def test_what_is_removed(text, base, is_reply):
    """RFC 5256 section 2.1."""
    assert base_subject(text) == (base, is_reply)


BLOB = r"\[[^\[\]]*\] *"
LEADER = re.compile(rf"(?:{BLOB})*(?:re|fwd?) *(?:{BLOB})?:| ", re.IGNORECASE)


def by_the_book(text):
    """Each step of RFC 5256 section 2.1 as it stands there, whatever it costs."""
    text = re.sub(r"[ \t\r\n]+", " ", text)
    while True:
        while text.endswith(" ") or text.lower().endswith("(fwd)"):
            text = text[:-1] if text.endswith(" ") else text[:-5]
        while True:
            blob = re.match(BLOB, text)
            found = LEADER.match(text) or (blob if blob and text[blob.end() :] else None)
            if found is None:
                break
            text = text[found.end() :]
        if not (text.lower().startswith("[fwd:") and text.endswith("]")):
            return text
        text = text[5:-1]


PIECES = ["re", "Re:", "fw", "FWD:", " ", " ", "[", "]", "[a]", "[fwd:", "(fwd)", ":", "x", "\t", "\u00fc", "d"]


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("[fwd:[a][b]]")
def test_every_subject_is_what_the_steps_make_of_it(text):
    base, _ = base_subject(text)
    assert base == by_the_book(text)
    assert base_subject(base)[0] == base


@pytest.mark.parametrize(
    "piece", ["[a]", "re:", "[", "]", "[fwd:", "(fwd)", " ", "[a]re", "[a]re:", "re[", "fwd", "[x] re [y] "]
)
def test_no_subject_takes_long(piece):
    """A subject that is longer by far than what is looked at; with quadratic work this would take minutes."""
    base_subject(piece * 100_000)
    base_subject(piece * 100_000 + "]")
    base_subject(piece * 100_000 + "x")


def test_words_are_decoded_and_compared_in_any_case():
    assert read_subject(b"Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?=") == read_subject("re:  GR\u00dc\u00dfE".encode())
    assert read_subject(None) == read_subject(b"") == NO_SUBJECT
    assert read_subject(b"x" * TEXT_MAX_CHARACTERS) == Subject("X" * TEXT_MAX_CHARACTERS, is_reply=False)


def test_long_subjects_are_told_apart_to_their_end():
    bases = [read_subject(b"x" * 300 + end).base for end in (b"a", b"A", b"b", b"")]
    assert bases[0] == bases[1]
    assert len(set(bases)) == 3
    assert len(read_subject(b"x" * 100_000).base) < TEXT_MAX_CHARACTERS + 50


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("abc", "ABC"),
        ("\u00e9", "E\u0301"),  # composed and not
        ("\u00e9", "\u00c9"),
        ("\u0391\u03c2", "\u0391\u03c3"),  # both small sigmas
        ("\uff21", "a"),  # full width
        ("\u01c6", "\u01c4"),  # a letter with a titlecase of its own
    ],
)
def test_what_the_collation_holds_to_be_equal(one, other):
    """RFC 5051 section 2."""
    assert casemap(one) == casemap(other)


def test_what_the_collation_tells_apart_and_how_it_orders():
    assert casemap("e") != casemap("\u00e9")
    assert casemap("\u00df") == "\u00df"  # what is two characters in titlecase stays
    texts = ["b", "_", "A", "a1", "Z", "\u00c9", "[", "z"]
    assert sorted(texts, key=casemap) == ["A", "a1", "b", "\u00c9", "Z", "z", "[", "_"]
