import base64
import quopri

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.message.mime import parse_parts
from mailsuite.message.text import ReadContent, contains, header_contains


def search(content, needle, *, headers=False):
    reads = []

    def read(offset, length):
        reads.append(length)
        return content[offset : offset + length]

    found = contains(read, len(content), needle, headers=headers)
    assert all(length > 0 for length in reads)
    return found


def letter(body, charset="utf-8", encoding="8bit"):
    head = f"Subject: =?utf-8?q?B=C3=B6b?=\r\n says\r\nContent-Type: text/plain; charset={charset}\r\n"
    return f"{head}Content-Transfer-Encoding: {encoding}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("content", "needle"),
    [
        (letter("Grüße".encode()), "GRÜSSE"),
        (letter("GRÜSSE".encode()), "grüße"),
        (letter("Caf\u00e9".encode()), "CAFE\u0301"),
        (letter("cafe\u0301".encode()), "CAF\u00c9"),
        (letter("\uff21\uff22".encode()), "ab"),
        (letter("\u03a3\u03cc\u03c2".encode()), "\u03c3\u038c\u03c3"),
        (letter("Grüße".encode("latin-1"), "iso-8859-1"), "grüße"),
        (letter("Grüße".encode("latin-1"), "us-ascii"), "grüße"),
        (letter("Grüße".encode("latin-1"), "utf-8"), "grüße"),
        (letter("Grüße".encode("latin-1"), "x-unknown"), "grüße"),
        (letter("日本語".encode("iso-2022-jp"), "iso-2022-jp"), "本"),
        (letter(base64.encodebytes("Grüße".encode() * 50), encoding="base64"), "grüßegrüße"),
        (letter(quopri.encodestring("Grüße ".encode() * 50), encoding="quoted-printable"), "grüße grüße"),
        (letter(b"\xe2\x82\xac" * 100_000 + b" end", encoding="8bit"), "€ end"),
        (b"\r\nplain", "PLAIN"),
    ],
)
def test_text_is_found_whatever_its_encoding(content, needle):
    assert search(content, needle)
    assert not search(content, needle + "\u2603", headers=True)


@pytest.mark.parametrize("marks", ["\u0301\u0327", "\u0327\u0301", "\ufdfa"])
def test_no_text_takes_long_to_compare(marks):
    """With work that grows faster than the text this would take minutes."""
    first, last = marks[0], marks[-1]
    assert search(letter((first * 150_000 + last * 150_000 + "end").encode()), "END")


def test_the_header_is_searched_only_when_asked():
    content = letter(b"body")
    assert search(content, "böb says", headers=True)
    assert not search(content, "böb says")
    assert search(content, "subject: b", headers=True)


def test_an_empty_needle_is_in_every_message():
    assert search(b"", "")


MULTIPART = (
    b"Content-Type: multipart/mixed; boundary=bbb\r\nSubject: outer\r\n\r\npreamble\r\n"
    b"--bbb\r\nContent-Type: application/pdf; name=report.pdf\r\n\r\nin the pdf\r\n"
    b"--bbb\r\nContent-Type: message/rfc822\r\n\r\nSubject: =?utf-8?q?in=6Eer?=\r\n\r\nthe letter within\r\n"
    b"--bbb--\r\n"
)


@pytest.mark.parametrize(
    ("needle", "headers", "found"),
    [
        ("letter WITHIN", False, True),
        ("inner", True, True),
        ("inner", False, False),
        ("report.pdf", True, True),
        ("report.pdf", False, False),
        ("in the pdf", True, False),
        ("outer", True, True),
        ("outer", False, False),
        ("=bbb", False, False),
    ],
)
def test_text_parts_are_searched_and_headers_of_parts_only_when_asked(needle, headers, found):
    assert search(MULTIPART, needle, headers=headers) is found


def report(kind, body, further=b""):
    return MULTIPART.replace(b"application/pdf; name=report.pdf", kind + b"\r\n" + further + b"X: y").replace(
        b"in the pdf", body
    )


@pytest.mark.parametrize(
    ("kind", "body", "further"),
    [
        (b"message/delivery-status", b"Final-Recipient: rfc822; Needle@x", b""),
        (b"message/disposition-notification", b"Disposition: needle", b""),
        (b"message/external-body; access-type=URL", b"Content-Type: a/b\r\n\r\nneedle", b""),
        (b"message/partial; number=2; total=2; id=x", b"needle", b""),
        (b"message/feedback-report", b"Feedback-Type: needle", b""),
        (b"message/global", "Subject: ü\r\n\r\nneedle".encode(), b""),
        (b"message/global", b"U3ViamVjdDogeA0KDQpuZWVkbGUNCg==", b"Content-Transfer-Encoding: base64\r\n"),
        (b"message/rfc822", b"Subject: x\r\n\r\nneed=\r\nle", b"Content-Transfer-Encoding: quoted-printable\r\n"),
        (b"message/global-delivery-status", b"X: n=65edle", b"Content-Transfer-Encoding: quoted-printable\r\n"),
    ],
)
def test_all_kinds_of_messages_are_searched(kind, body, further):
    """RFC 9051 section 6.4.4: only types other than text and message may be left out."""
    content = report(kind, body, further)
    assert search(content, "needle")
    assert search(content, "needle", headers=True)
    assert not search(content, "needles")


def test_a_message_of_a_digest_is_searched_also_when_it_is_encoded():
    digest = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    assert search(digest + base64.b64encode(b"Subject: x\r\n\r\nneedle") + b"\r\n--b--\r\n", "needle")


@pytest.mark.parametrize("kind", [b"application/octet-stream", b"image/png", b"application/message", b"model/text"])
def test_what_is_no_text_is_not_searched(kind):
    assert not search(report(kind, b"needle"), "needle", headers=True)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(131_000, 131_200),
    st.sampled_from(["base64", "quoted-printable", "8bit"]),
    st.sampled_from(["nädel", "=3D", "x"]),
)
def test_text_is_found_across_the_pieces_in_which_it_is_read(before, encoding, needle):
    text = ("a" * 70 + "\r\n") * (before // 72) + "a" * (before % 72) + needle
    body = text.encode() + b"\r\n" + b"b" * 200_000
    if encoding == "base64":
        body = base64.encodebytes(body)
    elif encoding == "quoted-printable":
        body = quopri.encodestring(body)
    assert search(letter(body, encoding=encoding), needle)


def test_damaged_encodings_do_not_stop_a_search():
    assert search(letter(b"aGVs\xffbG8\r\n!", encoding="base64"), "hello")
    assert search(letter(b"=ZZ hel=\r\nlo =", encoding="quoted-printable"), "hello")
    assert search(letter(b"x" * 300_000 + b"=41", encoding="quoted-printable"), "xa")


@pytest.mark.parametrize(
    ("name", "needle", "found"),
    [
        (b"Subject", "BÖB", True),
        (b"SUBJECT", "", True),
        (b"subject", "alice", False),
        (b"x-second", "two", True),
        (b"x-missing", "", False),
        (b"x-empty", "", True),
        (b"x-empty", "a", False),
        (b"x-body", "", False),
        (b"x-folded", "a b", True),
    ],
)
def test_one_field_is_searched(name, needle, found):
    block = (
        b"Subject: =?utf-8?q?B=C3=B6b?=\r\nX-Second: one\r\nx-second: two\r\nX-Empty:\r\nX-Folded: a\r\n b\r\n"
        b"\r\nX-Body: 1\r\n"
    )
    assert header_contains(block, name, needle) is found


@pytest.mark.parametrize(
    ("value", "needle", "found"),
    [
        (b"<alice (at home)@ (our) domain.test>", "Alice@domain.test", True),
        (b"<alice (at home)@ (our) domain.test>", "at home", True),
        (b'Bob <"b ob"@domain.test>', "b ob@domain.test", True),
        (b"alice .w @ domain . test", "alice.w@domain.test", True),
        (b"<alice (at home)@ (our) domain.test>", "bob@domain.test", False),
        (b"alice @ domain.test, bob@other.test", "alice@other.test", False),
    ],
)
def test_addresses_are_found_however_they_are_written(value, needle, found):
    assert header_contains(b"From: %b\r\n\r\n" % value, b"From", needle) is found
    assert not header_contains(b"Subject: %b\r\n\r\n" % value, b"Subject", "alice@domain.test")


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300), st.binary(min_size=1, max_size=3), st.integers(0, 300), st.integers(0, 300))
def test_a_message_read_in_pieces_is_searched_as_if_it_lay_in_memory(content, wanted, start, end):
    view = ReadContent(lambda offset, length: content[offset : offset + length], len(content))
    assert view.find(wanted, start, end) == content.find(wanted, start, end)
    assert view[start:end] == content[start:end]


def test_a_large_message_read_in_pieces_has_the_same_parts():
    content = MULTIPART.replace(b"in the pdf", b"x" * 400_000 + b"\r\n" + b"y" * 131_072)
    view = ReadContent(lambda offset, length: content[offset : offset + length], len(content))
    assert parse_parts(view) == parse_parts(content)


def test_a_file_that_became_shorter_does_not_hang():
    assert not contains(lambda offset, length: b"abc"[offset : offset + length], 1000, "x", headers=True)
