import email
import email.policy
from email.message import EmailMessage
from email.mime.application import MIMEApplication
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.message.leaf import ConversionRules, longest_line
from mailsuite.message.reencode import LINE_PIECE_OCTETS
from mailsuite.message.sevenbit import PARTS_MAX, Conversion

ENGLISH = b"Subject: x\r\n\r\nplain\r\n"


def convert(message, *, piece=0, **rules):
    conversion = Conversion(ConversionRules(**rules))
    pieces = [message[at : at + piece] for at in range(0, len(message), piece)] if piece else [message]
    return b"".join([*map(conversion.feed, pieces), conversion.finish()])


def body_of(message):
    return message.partition(b"\r\n\r\n")[2]


def decoded_parts(octets):
    """Every part without parts: its type and its octets."""
    found = []
    for part in email.message_from_bytes(octets, policy=email.policy.compat32).walk():
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        found.append((part.get_content_type(), payload))
    return found


UTF8_TEXT = (
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    b"gr\xc3\xbc\xc3\x9fe aus M\xc3\xbcnchen, und noch einiges mehr in einer Zeile, damit sie l\xc3\xa4nger wird\r\n"
    b"\r\n.\r\nende \r\n"
)
MIXED = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b1\r\n\r\npr\xc3\xa9amble\r\n"
    b"--b1\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbcber\r\n"
    b"--b1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xff\xfe\xfd"
    b"\r\n--b1\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    b"--b1\r\nContent-Type: multipart/alternative; boundary=b1x\r\n\r\n"
    b"--b1x\r\nContent-Type: text/html\r\n\r\n" + b"<b>" * 400 + b"\r\n--b1x--\r\n"
    b"--b1\r\nContent-Type: message/rfc822\r\n\r\nSubject: \xc3\xbc\r\n\r\ninn\xc3\xa9r\r\n"
    b"--b1--\r\nepil\xc3\xb6gue\r\n"
)
SIGNED = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s; micalg=pgp-sha256\r\n\r\n"
    b"--s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbcber\r\n"
    b"--s\r\nContent-Type: application/pgp-signature\r\n\r\nsignature\r\n--s--\r\n"
)
MESSAGES = {
    "text": UTF8_TEXT,
    "mixed": MIXED,
    "bare": b"Subject: x\r\n\r\ngr\xc3\xbc\xc3\x9fe\r\n",
    "latin1": b"Subject: x\r\n\r\ngr\xfc\xdfe\r\n",
    "long": b"Subject: x\r\n\r\n" + b"x" * 3000 + b"\r\n",
    "long base64": b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + b"QUJD" * 500 + b"\r\n",
    "long quoted": b"Content-Transfer-Encoding: quoted-printable\r\nMime-Version: 1.0\r\n\r\n"
    + b"=C3=BC" * 500
    + b"\r\n",
    "no end of header": b"Subject: x\r\nX: y\r\n",
    "no header": b"\r\n\xc3\xbc\r\n",
    "headers end at a mark": (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n--b\r\n\r\n\xc3\xbc\r\n--b--\r\n"
    ),
    "unfinished": b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xc3\xbc\r\n--b",
}


def test_what_needs_nothing_keeps_its_octets():
    assert convert(ENGLISH) == ENGLISH
    assert convert(b"") == b""


def test_signed_content_is_not_touched():
    assert convert(SIGNED) == SIGNED
    inside = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n" + SIGNED + b"--o--\r\n"
    assert convert(inside) == inside


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("piece", [1, 2, 7, 1000])
def test_any_cut_gives_the_same(name, piece):
    assert convert(MESSAGES[name], piece=piece) == convert(MESSAGES[name])


@pytest.mark.parametrize("name", MESSAGES)
def test_the_result_is_ascii_has_short_lines_and_stays_as_it_is(name):
    converted = convert(MESSAGES[name])
    assert converted.isascii()
    assert longest_line(converted) <= 998
    assert convert(converted) == converted


@pytest.mark.parametrize("name", sorted(MESSAGES.keys() - {"no end of header", "unfinished"}))
def test_decoded_again_each_part_is_what_it_was(name):
    before, after = decoded_parts(MESSAGES[name]), decoded_parts(convert(MESSAGES[name]))
    assert [kind for kind, _ in before] == [kind for kind, _ in after]
    assert [payload for _, payload in before] == [payload for _, payload in after]


def test_text_becomes_quoted_printable_and_says_so():
    assert convert(UTF8_TEXT) == (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"gr=C3=BC=C3=9Fe aus M=C3=BCnchen, und noch einiges mehr in einer Zeile, dam=\r\n"
        b"it sie l=C3=A4nger wird\r\n\r\n=2E\r\nende=20\r\n"
    )


def test_text_that_is_mostly_not_ascii_becomes_base64():
    text = "привет, как дела\r\n".encode() * 20
    converted = convert(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text)
    assert converted.startswith(
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    assert decoded_parts(converted) == [("text/plain", text)]


def test_text_without_mime_gets_its_fields():
    assert convert(b"Subject: x\r\n\r\nsch\xc3\xb6ne Gr\xc3\xbc\xc3\x9fe aus der Stadt\r\n").startswith(
        b"MIME-Version: 1.0\r\nSubject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("body", "charset"),
    [(b"x" * 2000, b"us-ascii"), (b"caf\xc3\xa9", b"utf-8"), (b"caf\xe9 au lait", b"unknown-8bit")],
)
def test_its_charset_is_said_as_far_as_it_is_known(body, charset):
    assert b"charset=" + charset in convert(b"Subject: x\r\n\r\n" + body + b"\r\n")


def test_eight_bits_may_stay_where_they_are_wanted_and_are_labelled():
    assert convert(UTF8_TEXT, ascii_only=False) == UTF8_TEXT
    assert convert(b"Subject: x\r\n\r\n\xc3\xbc\r\n", ascii_only=False) == (
        b"MIME-Version: 1.0\r\nSubject: x\r\nContent-Transfer-Encoding: 8bit\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xbc\r\n"
    )
    long = convert(b"Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xbc" + b"x" * 1000, ascii_only=False)
    assert b"Content-Transfer-Encoding: quoted-printable" in long


def test_binary_content_becomes_base64_and_its_label_goes():
    head = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    )
    part = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    content = bytes(range(256)) * 10
    message = head + b"--b\r\n" + part + content + b"\r\n--b--\r\n"
    for converted in (convert(message), convert(message, ascii_only=False)):
        assert b"binary" not in converted
        assert decoded_parts(converted) == [("image/png", content)]


def test_fields_of_the_message_and_of_messages_within_are_encoded_unless_utf8_is_allowed():
    converted = convert(b"Subject: \xc3\xbc\r\n\r\nx\r\n")
    assert converted == b"Subject: =?utf-8?b?w7w=?=\r\n\r\nx\r\n"
    assert convert(b"Subject: \xc3\xbc\r\n\r\nx\r\n", utf8_fields=True) == b"Subject: \xc3\xbc\r\n\r\nx\r\n"
    assert b"\r\n\r\nSubject: =?utf-8?b?w7w=?=\r\n" in convert(MIXED).replace(
        b"MIME-Version: 1.0\r\nSubject", b"Subject"
    )


def test_what_says_8bit_is_encoded_without_waiting_for_its_end():
    conversion = Conversion(ConversionRules(window_octets=10))
    first = conversion.feed(UTF8_TEXT.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + b"0123456789\r\nlater\r\n")
    assert b"quoted-printable" in first
    assert first.endswith(b"later\r\n")
    assert conversion.feed(b"\xc3\xbc\r\n") == b"=C3=BC\r\n"


def test_what_says_7bit_and_is_something_else_only_late_is_left():
    conversion = Conversion(ConversionRules(window_octets=10))
    first = b"Subject: x\r\n\r\n0123456789\r\nlater\r\n"
    assert conversion.feed(first) == first
    assert conversion.feed(b"\xc3\xbc\r\n") + conversion.finish() == b"\xc3\xbc\r\n"


def test_memory_stays_bounded_by_the_window():
    conversion = Conversion(ConversionRules(window_octets=1000))
    head = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
    given, came = len(head), len(conversion.feed(head))
    for octets in (b"x" * 90_000, b"--b" * 20_000, b"\r\n--b  x\r\n" * 5000, b"\r\n--" + b"b" * 90_000):
        came += len(conversion.feed(octets))
        given += len(octets)
        assert given - came < LINE_PIECE_OCTETS + 4000


def test_depth_and_number_of_parts_are_bounded():
    deep = b"MIME-Version: 1.0\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 5000 + b"\xc3\xbc\r\n"
    assert convert(deep) == deep
    many = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (
        PARTS_MAX + 10
    )
    assert convert(many) == many


def test_headers_without_end_are_passed_on():
    message = b"MIME-Version: 1.0\r\n" + b"X: y\r\n" * 400_000
    assert convert(message, piece=65536) == message
    inside = b"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n" + b"X: y\r\n" * 20_000
    assert convert(inside + b"\r\n\xc3\xbc\r\n", piece=16384) == inside + b"\r\n\xc3\xbc\r\n"


TEXTS = st.text(alphabet="a =.\tü€\r\n-", max_size=60).map(lambda text: text.replace("\r", "").replace("\n", "\r\n"))


@st.composite
def messages(draw, depth=0):
    kind = draw(st.sampled_from(["text", "text", "binary", "long"] + (["multi", "message"] if depth < 3 else [])))
    if kind == "multi":
        message = MIMEMultipart(draw(st.sampled_from(["mixed", "alternative", "digest"])))
        message.preamble = draw(st.sampled_from([None, "first"]))
        for part in draw(st.lists(messages(depth=depth + 1), max_size=3)):
            message.attach(part)
        return message
    if kind == "message":
        return MIMEMessage(draw(messages(depth=depth + 1)))
    if kind == "binary":
        return MIMEApplication(draw(st.binary(max_size=200)))
    text = draw(TEXTS) if kind == "text" else "x" * draw(st.integers(990, 3000)) + draw(TEXTS)
    message = EmailMessage(policy=email.policy.SMTP)
    message.set_content(
        text, cte=draw(st.sampled_from(["8bit", "quoted-printable", "base64"])) if kind == "text" else "8bit"
    )
    return message


@settings(deadline=None, max_examples=200)
@given(messages(), st.integers(1, 50))
def test_any_message_keeps_its_parts_and_becomes_ascii(message, piece):
    octets = message.as_bytes(policy=email.policy.SMTP.clone(max_line_length=None))
    octets = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    converted = convert(octets, piece=piece)
    assert converted == convert(octets)
    assert converted.isascii()
    assert longest_line(converted) <= 998
    assert convert(converted) == converted
    assert decoded_parts(converted) == decoded_parts(octets)


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50), st.booleans(), st.integers(0, 100))
def test_any_octets_give_the_same_however_they_are_cut(octets, piece, ascii_only, window):
    content = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" + octets
    for message in (octets, content):
        rules = {"ascii_only": ascii_only, "window_octets": window}
        assert len(convert(message, piece=piece, **rules)) >= 0
        assert convert(message, piece=piece) == convert(message)


class Searched(bytearray):
    """Counts how often something was looked for."""

    count = 0

    def find(self, *arguments):
        self.count += 1
        return super().find(*arguments)


def test_lines_that_look_like_boundaries_are_looked_at_once_however_slowly_more_comes():
    conversion = Conversion()
    conversion._data = data = Searched()
    conversion.feed(b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n" + b"--xy\r\n" * 5000)
    before = data.count
    for _ in range(100):
        conversion.feed(b"z")
    assert data.count - before < 1000
