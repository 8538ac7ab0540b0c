"""The first words of a message."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.message.preview import PREVIEW_READ_MAX_OCTETS, make_preview

HEAD = b"From: a@b\r\nSubject: x\r\nMIME-Version: 1.0\r\n"


def message(content_type, body, encoding=b"8bit", extra=b""):
    return (
        HEAD + b"Content-Type: " + content_type + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n" + extra
        + b"\r\n" + body
    )  # fmt: skip


def plain(text):
    return make_preview(message(b"text/plain; charset=utf-8", text.encode("utf-8", "surrogateescape")))


def html(text):
    return make_preview(message(b"text/html; charset=utf-8", text.encode("utf-8", "surrogateescape")))


@pytest.mark.parametrize(
    ("text", "preview"),
    [
        ("Hello,\r\n\r\n  how\tare  you?\r\n", "Hello, how are you?"),
        ("", ""),
        (" \r\n\r\n", ""),
        ("Gr\xfc\xdfe \u2603", "Gr\xfc\xdfe \u2603"),
        ("x\xa0y\u3000z", "x y z"),
        ("a\xadb\u200bc\ufeff\x07\x1b[1m", "abc[1m"),
        ("first\n> quoted\nsecond", "first second"),
        ("On Monday Bob wrote:\n> old words\n\nnew words", "new words"),
        ("On Monday, 1 January, Bob\n<bob@b> wrote:\n\n> old words\n>> older\n\nnew words", "new words"),
        ("new words\n\nAm Montag schrieb Bob:\n> old words", "new words"),
        ("two lines\nof mine\n> old words", "two lines of mine"),
        ("> only\n>> quoted\n", "only quoted"),
        ("text\n-- \nBob\nPhone 1", "text"),
        ("text\n-----Original Message-----\nFrom: x\nold", "text"),
        ("---------- Forwarded message ---------\nFrom: x\n\nnews", "From: x news"),
        ("\u05e9\u05dc\u05d5\u05dd " * 60, ("\u05e9\u05dc\u05d5\u05dd " * 40).strip()),
        ("x" * 500, "x" * 200),
        ("\U0001f600" * 300, "\U0001f600" * 200),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
        ("wrote:\n> x", "x"),
    ],
)
def test_plain_text_without_what_it_answers(text, preview):
    assert plain(text) == preview


@pytest.mark.parametrize(
    ("text", "preview"),
    [
        ("<p>Hello <b>W</b>orld</p><p>Bye</p>", "Hello World Bye"),
        ("a<br>b<br/>c<div>d</div>e", "a b c d e"),
        ("&uuml;&#252;&#xfc;&amp;&lt;b&gt;&nbsp;x", "\xfc\xfc\xfc&<b> x"),
        ("&bogus; &#0; &#x110000; &#xD800;", "&bogus; \ufffd \ufffd \ufffd"),
        ("<html><head><title>No</title><style>p {a: b}</style></head><body>yes", "yes"),
        ("<html><head><title>No</title><body>yes", "yes"),
        ("<SCRIPT>if (a < b) no</SCRIPT >yes", "yes"),
        ("yes<script>no", "yes"),
        ("a<!-- no <b> -->b<!doctype html><?xml no?>c</ no>d", "abcd"),
        ("a<!-- never ends", "a"),
        ("1 < 2 <3> <", "1 < 2 <3> <"),
        ('<a title="x > y" href=z>link</a>', "link"),
        ('<a title="x>link', "link"),
        ("yes<a never ends", "yes"),
        ("mine<blockquote type=cite>old<blockquote>older</blockquote></blockquote>, too", "mine , too"),
        ("<blockquote>only quoted</blockquote>", "only quoted"),
        ("</blockquote></blockquote>x<blockquote>y", "x"),
        ("<div style='display:none'>pre&zwnj;&nbsp;&zwnj;header</div>", "pre header"),
        ("<img alt=x><br>", ""),
    ],
)
def test_html_as_it_is_seen(text, preview):
    assert html(text) == preview


@pytest.mark.parametrize(
    ("content", "preview"),
    [
        (message(b"text/plain; charset=iso-8859-1", b"\xfcber"), "\xfcber"),
        (message(b"text/plain; charset=utf-16-le", "\xfcber".encode("utf-16-le")), "\xfcber"),
        (message(b"text/plain; charset=no-such", b"\xfcber"), "\xfcber"),
        (message(b"text/plain", b"=C3=BCber=\r\nall", b"quoted-printable"), "\xfcberall"),
        (message(b"text/html", b"PGI+aGk8L2I+", b"base64"), "hi"),
        (message(b"text/plain", b"x", b"x-nobody-knows"), "x"),
        (HEAD + b"\r\nno type", "no type"),
        (HEAD, ""),
        (b"", ""),
        (message(b"image/png", b"PNG"), ""),
        (message(b"multipart/encrypted; boundary=b", b"--b\r\n\r\nsecret\r\n--b--\r\n"), ""),
        (message(b"text/plain", b"a file", extra=b"Content-Disposition: Attachment; filename=x\r\n"), ""),
        (
            message(
                b"multipart/mixed; boundary=b",
                b"--b\r\nContent-Disposition: attachment\r\n\r\nfile\r\n--b\r\n\r\ntext\r\n--b--\r\n",
            ),
            "text",
        ),
        (
            message(
                b"multipart/alternative; boundary=b",
                b"--b\r\n\r\n \r\n--b\r\nContent-Type: text/html\r\n\r\n<p>seen</p>\r\n--b--\r\n",
            ),
            "seen",
        ),
        (
            message(
                b"multipart/mixed; boundary=b",
                b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nwithin\r\n--b\r\n\r\nnear\r\n--b--\r\n",
            ),
            "near",
        ),
        (message(b"message/rfc822", b"Subject: y\r\n\r\nwithin\r\n"), "within"),
        (
            message(
                b"multipart/mixed; boundary=b",
                b"--b\r\nContent-Type: message/global\r\n\r\nSubject: y\r\n\r\nwithin\r\n--b\r\n\r\nnear\r\n--b--\r\n",
            ),
            "near",
        ),
    ],
)
def test_the_part_that_people_read(content, preview):
    assert make_preview(content) == preview


def test_what_begins_behind_the_limit_is_not_found():
    attachment = b"--b\r\nContent-Type: image/png\r\n\r\n" + b"x" * PREVIEW_READ_MAX_OCTETS + b"\r\n"
    content = message(b"multipart/mixed; boundary=b", attachment + b"--b\r\n\r\ntext\r\n--b--\r\n")
    assert make_preview(content[:PREVIEW_READ_MAX_OCTETS]) == ""
    assert make_preview(message(b"text/plain", b"text " * 100_000)[:PREVIEW_READ_MAX_OCTETS]).startswith("text text")


@pytest.mark.parametrize("kind", [b"text/html", b"text/plain"])
@pytest.mark.parametrize(
    "piece",
    [b"<", b"<a ", b'<a "', b'<a ">', b"<!--", b"<!", b"<script>", b"<style></style>", b"<blockquote>", b"&#", b"&amp",
     b"> \n", b">", b"- ", b"x:\n", b"\n", b"</", b"\xe2\x80\x8b"],
)  # fmt: skip
def test_hostile_text_costs_what_its_octets_cost(kind, piece):
    content = message(kind, piece * (PREVIEW_READ_MAX_OCTETS // len(piece)))
    began = time.thread_time()
    assert len(make_preview(content)) <= 200
    assert time.thread_time() - began < 1


@given(st.text(max_size=300), st.sampled_from([b"text/html", b"text/plain"]))
def test_a_preview_is_one_line_that_can_be_encoded(text, kind):
    preview = make_preview(message(kind, text.encode("utf-8", "surrogatepass")))
    preview.encode("utf-8")
    assert len(preview) <= 200
    assert preview == " ".join(preview.split())
    assert not {"\r", "\n", "\0"} & set(preview)
