"""
Messages whose fields are odd: Content-Type and its kin, folding, encoded words, dates.

RFC 2045, RFC 2231, RFC 5322.
"""

from collections.abc import Iterator

from mime_corpus.building import FROM, crlf, letter, mixed, part, with_type

Made = Iterator[tuple[str, bytes]]

TYPES = {
    "absent-value": b"",
    "nonsense": b"nonsense",
    "text-only": b"text",
    "text-slash": b"text/",
    "slash-plain": b"/plain",
    "slash": b"/",
    "two-slashes": b"text/plain/x",
    "spaces-around-slash": b"text / html",
    "space-in-subtype": b"text/ht ml; charset=utf-8",
    "semicolon-only": b";",
    "semicolon-first": b"; charset=utf-8",
    "semicolon-last": b"text/html; charset=utf-8;",
    "semicolons": b"text/html;;; charset=utf-8;;",
    "comma-for-semicolon": b"text/html, charset=utf-8",
    "space-for-semicolon": b"text/html charset=utf-8",
    "quoted": b'"text/html"; charset=utf-8',
    "quoted-halves": b'"text"/"html"',
    "eight-bits": b"text/h\xfctml; charset=utf-8",
    "specials": b"te<x>t/html@y; charset=utf-8",
    "dots-and-plus": b"application/vnd.own.x+json; version=1",
    "comment-before": b"(c) text/html",
    "comment-after": b"text/html (c); charset=utf-8 (d)",
    "comment-between": b"text (c) / (d) html (e)",
    "comment-nested": b"text/html (a (b (c)) \\) d); charset=utf-8",
    "comment-unterminated": b"text/html (c; charset=utf-8",
    "comment-with-semicolon": b"text/html (a; b=c); charset=utf-8",
    "equals-spaces": b"text/html; charset = utf-8",
    "charset-quoted": b'text/plain; charset="UTF-8"',
    "charset-single-quoted": b"text/plain; charset='utf-8'",
    "charset-empty": b"text/plain; charset=",
    "charset-empty-quoted": b'text/plain; charset=""',
    "charset-without-equals": b"text/plain; charset",
    "charset-twice": b"text/plain; charset=utf-8; charset=latin1",
    "charset-unknown": b"text/plain; charset=x-unknown-9",
    "other-parameter": b"text/plain; format=flowed",
    "capitals": b"TEXT/PLAIN; CHARSET=UTF-8; Format=Flowed",
    "value-with-slash": b"text/plain; name=a/b",
    "value-with-spaces": b"application/pdf; name=my file.pdf",
    "value-with-parentheses": b"application/pdf; name=report (1).pdf",
    "value-with-parentheses-quoted": b'application/pdf; name="report (1).pdf"',
    "value-with-semicolon-quoted": b'application/pdf; name="a;b=c.pdf"; x=y',
    "value-with-quote": b'application/pdf; name="a\\"b.pdf"',
    "value-with-backslashes": b'application/pdf; name="C:\\\\dir\\\\f.pdf"',
    "value-with-lone-backslash": b'application/pdf; name="C:\\dir\\f.pdf"',
    "value-unterminated": b'application/pdf; name="never closed; x=y',
    "value-text-after-quote": b'application/pdf; name="a"b; x=y',
    "value-quote-within": b'application/pdf; name=a"b"c; x=y',
    "value-eight-bits": b'application/pdf; name="\xfc.pdf"',
    "value-utf8": 'application/pdf; name="grün.pdf"'.encode(),
    "value-encoded-word": b"application/pdf; name==?utf-8?q?gr=C3=BCn.pdf?=",
    "value-encoded-word-quoted": b'application/pdf; name="=?utf-8?b?Z3LDvG4=?="',
    "value-encoded-words": b'application/pdf;\n name="=?utf-8?q?gr?=\n =?utf-8?q?=C3=BCn?="',
    "value-long": b'application/pdf; name="' + b"x" * 2000 + b'"',
    "value-folded": b'application/pdf;\n name="a\n b"; x=y',
    "value-folded-with-tab": b'application/pdf;\n\tname="a\n\tb"',
    "name-empty": b"text/plain; =x; a=b",
    "name-quoted": b'text/plain; "a"=b',
    "name-with-spaces": b"text/plain; a b=c",
    "name-eight-bits": b"text/plain; \xfc=c",
    "equals-twice": b"text/plain; a=b=c",
    "parameters-200": b"text/plain" + b"".join(b";\n p%d=v%d" % (n, n) for n in range(200)),
    "rfc2231-plain": b"application/x; name*=utf-8''gr%C3%BCn",
    "rfc2231-language": b"application/x; name*=utf-8'de'gr%C3%BCn",
    "rfc2231-no-quotes": b"application/x; name*=gr%C3%BCn",
    "rfc2231-quoted": b"application/x; name*=\"utf-8''gr%C3%BCn\"",
    "rfc2231-broken-percent": b"application/x; name*=utf-8''gr%C3%B%zz%",
    "rfc2231-continued": b"application/x; name*0=one; name*1=two; name*2=three",
    "rfc2231-continued-out-of-order": b"application/x; name*2=three; name*0=one; name*1=two",
    "rfc2231-continued-gap": b"application/x; name*0=one; name*2=three",
    "rfc2231-continued-without-first": b"application/x; name*1=two; name*2=three",
    "rfc2231-continued-twice": b"application/x; name*0=one; name*0=uno; name*1=two",
    "rfc2231-continued-encoded": b"application/x; name*0*=utf-8''gr%C3; name*1*=%BCn; name*2=.pdf",
    "rfc2231-continued-encoded-later": b"application/x; name*0=a; name*1*=%20b",
    "rfc2231-continued-quoted": b'application/x; name*0="one; "; name*1="two"',
    "rfc2231-continued-with-percent": b"application/x; name*0*=utf-8''a; name*1=\"50%'s\"",
    "rfc2231-both": b"application/x; name=plain.pdf; name*=utf-8''gr%C3%BCn.pdf",
    "rfc2231-both-other-order": b"application/x; name*=utf-8''gr%C3%BCn.pdf; name=plain.pdf",
    "rfc2231-plain-and-continued": b"application/x; name=p; name*0=one; name*1=two",
    "rfc2231-two-names": b"application/x; a*0=1; b*0=x; a*1=2; b*1=y",
    "rfc2231-leading-zero": b"application/x; name*00=one; name*01=two",
    "rfc2231-ten-pieces": b"application/x" + b"".join(b"; name*%d=%d" % (n, n) for n in range(12)),
    "rfc2231-odd-stars": b"application/x; name**=a; *=b; *0=c; name*x=d; x*=e",
    "text-in-other-forms": b"text/calendar; method=REQUEST; charset=utf-8",
    "control-characters": b'text/plain; name="a\x01\x7fb"',
    "tabs": b"text/html;\tcharset=utf-8\t",
    "folded-before-value": b"\n text/html;\n charset=utf-8",
    "image": b"image/png",
    "model": b"model/vrml",
    "own": b"x-own/x-type",
}

ENCODINGS = {
    "base64": b"base64",
    "capitals": b"BASE64",
    "mixed-case": b"Quoted-Printable",
    "comment": b"base64 (it is)",
    "comment-before": b"(it is) 8bit",
    "unknown": b"x-uuencode",
    "nonsense": b"not known at all",
    "empty": b"",
    "quoted": b'"base64"',
    "semicolon": b"base64;",
    "parameter": b"base64; x=y",
    "eight-bits": b"b\xfcse64",
    "long": b"x" * 300,
}

DISPOSITIONS = {
    "inline": b"inline",
    "attachment": b'attachment; filename="a.pdf"; size=10;\n creation-date="Sat, 21 Nov 2026 00:00:00 +0000"',
    "empty": b"",
    "parameter-only": b"; filename=x",
    "filename-only": b"filename=x.pdf",
    "capitals": b"ATTACHMENT; FILENAME=X.PDF",
    "comment": b"attachment (c); filename=x",
    "rfc2231": b"attachment; filename*0*=utf-8'en'gr%C3; filename*1*=%BCn",
    "spaces-in-name": b"attachment; filename=my file (1).pdf",
    "eight-bits": b"attachment; filename=\xfc.pdf",
    "quoted": b'"attachment"; filename=x',
    "two-words": b"attachment inline; filename=x",
    "slash": b"attachment/x; filename=x",
    "unterminated": b'attachment; filename="x',
}

LANGUAGES = {
    "one": b"de",
    "list": b"de, en-GB ,fr",
    "empty": b"",
    "commas": b",,de,,",
    "comment": b"de (German), en (English)",
    "capitals": b"EN-us",
    "spaces": b"de en",
    "quoted": b'"de"',
    "semicolon": b"de; q=1, en",
}

TEXTS = {
    "empty": b"",
    "spaces": b"   ",
    "folded": b"one\n two\n\tthree",
    "folded-blank": b"one\n \n two",
    "folded-first": b"\n two",
    "folded-spaces": b"one  \n   two",
    "trailing-spaces": b"one   ",
    "leading-spaces": b"    one",
    "tabs": b"\tone\ttwo\t",
    "quotes": b'say "hi" \\ and (this)',
    "eight-bits": b"gr\xfcn",
    "utf8": "grün 日本".encode(),
    "broken-utf8": b"\xc3\x28 \xff\xfe",
    "control-characters": b"a\x01b\x1bc\x7fd",
    "braces": b"{5} and {10}",
    "long": b"x" * 100_000,
    "long-folded": b"x\n " * 2000 + b"x",
    "long-eight-bits": b"\xfc" * 30_000,
    "encoded": b"=?utf-8?q?gr=C3=BCn?=",
    "encoded-two": b"=?utf-8?q?gr=C3?=\n =?utf-8?q?=BCn?=",
    "encoded-broken": b"=?utf-8?q?gr=C3",
    "encoded-cut-by-fold": b"=?utf-8?q?gr\n =C3=BCn?=",
    "encoded-without-spaces": b"a=?utf-8?q?b?=c",
    "encoded-unknown-charset": b"=?x-none?b?QUJD?=",
    "encoded-unknown-encoding": b"=?utf-8?x?QUJD?=",
    "encoded-with-newline": b"=?utf-8?q?a=0D=0AX:_1?=",
    "encoded-with-nul": b"=?utf-8?q?a=00b?=",
}

DATES = {
    "usual": b"Sat, 21 Nov 2026 12:34:56 +0000",
    "obsolete-zone": b"21 Nov 26 12:34 EST",
    "comment": b"Sat, 21 Nov 2026 12:34:56 +0000 (UTC)",
    "comments-within": b"Sat (x), 21 (y) Nov 2026 12:34:56 +0000",
    "asctime": b"Sat Nov 21 12:34:56 2026",
    "iso": b"2026-11-21T12:34:56Z",
    "nonsense": b"yesterday",
    "empty": b"",
    "folded": b"Sat,\n 21 Nov 2026\n 12:34:56 +0000",
    "eight-bits": "Sa, 21 M\xe4r 2026 12:34:56 +0000".encode("latin-1"),
    "year-3-digits": b"Sat, 21 Nov 126 12:34:56 +0000",
    "year-far": b"Sat, 21 Nov 99999 12:34:56 +0000",
    "day-32": b"Sat, 32 Nov 2026 12:34:56 +0000",
    "leap-second": b"Wed, 31 Dec 2008 23:59:60 +0000",
    "long": b"Sat, 21 Nov 2026 12:34:56 +0000 (" + b"x" * 5000 + b")",
}


def parts_fields() -> Made:
    """Give messages whose MIME fields are odd."""
    for name, value in TYPES.items():
        yield f"type-{name}", with_type(value)
    for name, value in ENCODINGS.items():
        yield f"encoding-{name}", with_type(b"text/plain", further=b"Content-Transfer-Encoding: " + value + b"\n")
    for name, value in DISPOSITIONS.items():
        yield f"disposition-{name}", mixed(part(b"Content-Disposition: " + value + b"\n", b"x"))
    for name, value in LANGUAGES.items():
        yield f"language-{name}", mixed(part(b"Content-Language: " + value + b"\n", b"x"))
    for field in (b"Content-ID", b"Content-Description", b"Content-Location", b"Content-MD5"):
        for name, value in TEXTS.items():
            if not name.startswith("long"):
                yield f"{field.decode().lower()}-{name}", mixed(part(field + b": " + value + b"\n", b"x"))
    yield "content-location-comment", mixed(part(b"Content-Location: http://x.test/a (c)\n", b"x"))
    yield "content-md5-comment", mixed(part(b"Content-MD5: Q2hlY2s= (c)\n", b"x"))
    yield (
        "content-fields-in-message",
        letter(
            b"Content-ID: <1@x>\nContent-Description: d\nContent-MD5: Q2g=\nContent-Language: de\nContent-Location: l\n"
            b"Content-Disposition: inline\n"
        ),
    )
    yield (
        "content-fields-of-multipart",
        mixed(part(b"", b"x"), subtype=b"mixed; a=b").replace(
            b"MIME-Version",
            b"Content-Language: de\r\nContent-Location: l\r\nContent-Disposition: inline\r\nContent-ID: <1@x>\r\n"
            b"MIME-Version",
        ),
    )
    yield "type-twice", letter(b"Content-Type: text/html\nContent-Type: image/png\n")
    yield "type-twice-first-broken", letter(b"Content-Type: nonsense\nContent-Type: image/png\n")
    yield (
        "type-twice-multipart",
        letter(b"Content-Type: text/html\nContent-Type: multipart/mixed; boundary=b\n", b"--b\n\none\n--b--\n"),
    )
    yield "encoding-twice", letter(b"Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 8bit\n")
    yield "disposition-twice", letter(b"Content-Disposition: inline\nContent-Disposition: attachment\n")
    yield "id-twice", letter(b"Content-ID: <1@x>\nContent-ID: <2@x>\n")
    yield "type-with-space-before-colon", letter(b"Content-Type : text/html\n")
    yield "type-in-capitals", letter(b"CONTENT-TYPE: text/html\n")
    yield "type-without-version", letter(b"Content-Type: text/html\n")
    yield "version-2", letter(b"MIME-Version: 2.0\nContent-Type: text/html\n")
    for encoding in (b"base64", b"quoted-printable", b"x-own"):
        yield (
            f"multipart-in-{encoding.decode()}",
            mixed(part(b"", b"one")).replace(
                b"MIME-Version", b"Content-Transfer-Encoding: " + encoding + b"\r\nMIME-Version"
            ),
        )


def envelope_fields() -> Made:
    """Give messages whose other fields are odd."""
    for name, value in TEXTS.items():
        yield f"subject-{name}", letter(b"Subject: " + value + b"\n")
        if not name.startswith(("long", "encoded")):
            yield f"message-id-{name}", letter(b"Message-ID: " + value + b"\nIn-Reply-To: " + value + b"\n")
    for name, value in DATES.items():
        yield f"date-{name}", letter(b"Date: " + value + b"\n")
    yield "message-id-plain", letter(b"Message-ID: <1@x>\nIn-Reply-To: <2@x> <3@x>\nReferences: <2@x>\n <3@x>\n")
    yield "message-id-comment", letter(b"Message-ID: (c) <1@x> (d)\nIn-Reply-To: Your message of today <2@x>\n")
    yield "message-id-without-angles", letter(b"Message-ID: 1@x\nIn-Reply-To: 2@x\n")
    yield "subject-twice", letter(b"Subject: one\nSubject: two\n")
    yield "subject-twice-first-empty", letter(b"Subject:\nSubject: two\n")
    yield "date-twice", letter(b"Date: Sat, 21 Nov 2026 12:34:56 +0000\nDate: Sun, 22 Nov 2026 12:34:56 +0000\n")
    yield "message-id-twice", letter(b"Message-ID: <1@x>\nMessage-ID: <2@x>\nIn-Reply-To: <3@x>\nIn-Reply-To: <4@x>\n")
    yield "from-twice", letter(b"From: c@x.test\nSender: d@x.test\nSender: e@x.test\nReply-To: f@x\nReply-To: g@x\n")
    yield "recipients-twice", letter(b"To: c@x.test\nCc: d@x.test\nCc: e@x.test\nBcc: f@x\nBcc: g@x\n")
    yield "recipients-twice-group-open", letter(b"To: Team: c@x.test\nTo: d@x.test\n")
    yield "sender-empty", letter(b"Sender:\nReply-To: \n")
    yield (
        "fields-without-values",
        letter(b"Subject:\nSender:\nReply-To:\nCc:\nBcc:\nDate:\nMessage-ID:\nIn-Reply-To:\n"),
    )
    yield "fields-without-from", crlf(b"To: a@x\nSubject: no author\n\nbody\n")
    yield "from-sender-only", crlf(b"Sender: a@x\nSubject: no author\n\nbody\n")
    yield "names-in-capitals", crlf(b"FROM: a@x\nTO: b@x\nSUBJECT: s\nDATE: d\nMESSAGE-ID: <1@x>\n\nbody\n")
    yield "space-before-colon", crlf(b"From : a@x\nTo\t: b@x\nSubject   : s\n\nbody\n")
    yield "no-space-after-colon", crlf(b"From:a@x\nTo:b@x\nSubject:s\n\nbody\n")
    yield "line-without-colon-first", crlf(b"nonsense\n" + FROM + b"Subject: s\n\nbody\n")
    yield "line-without-colon-between", crlf(FROM + b"nonsense\nSubject: s\nCc: c@x\n\nbody\n")
    yield "line-without-colon-last", crlf(FROM + b"Subject: s\nnonsense\n\nbody\n")
    yield "line-without-colon-folded", crlf(FROM + b"nonsense\n folded\nSubject: s\n\nbody\n")
    yield "line-with-colon-first", crlf(b": nothing\n" + FROM + b"Subject: s\n\nbody\n")
    yield "line-with-space-in-name", crlf(FROM + b"Sub ject: s\nX: y\n\nbody\n")
    yield "line-with-eight-bits-in-name", crlf(FROM + b"S\xfcbject: s\nX: y\n\nbody\n")
    yield "fold-first", crlf(b" folded\n" + FROM + b"Subject: s\n\nbody\n")
    yield "fold-only-spaces-last", crlf(FROM + b"Subject: s\n  \n\nbody\n")
    yield "long-name", crlf(FROM + b"X" * 5000 + b": y\nSubject: s\n\nbody\n")
    yield "long-line-100k", crlf(FROM + b"X-Long: " + b"y" * 100_000 + b"\nSubject: s\n\nbody\n")
    yield "many-fields", crlf(FROM + b"".join(b"X-%d: y\n" % n for n in range(900)) + b"Subject: s\n\nbody\n")
    yield "too-many-fields", crlf(FROM + b"".join(b"X-%d: y\n" % n for n in range(1500)) + b"Subject: s\n\nbody\n")
    yield (
        "many-received",
        crlf(b"Received: from a by b;\n\tSat, 21 Nov 2026 00:00:00 +0000\n" * 60 + FROM + b"Subject: s\n\nbody\n"),
    )
    yield (
        "everything",
        letter(
            b"Date: Sat, 21 Nov 2026 12:34:56 +0000\nSubject: =?utf-8?q?gr=C3=BCn?= again\nSender: s@x.test\n"
            b"Reply-To: r@x.test\nCc: c@x.test\nBcc: b@x.test\nIn-Reply-To: <0@x>\nMessage-ID: <1@x>\n"
        ),
    )


def all_fields() -> Made:
    """Give them all."""
    yield from parts_fields()
    yield from envelope_fields()
