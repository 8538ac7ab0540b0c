"""Messages whose parts are odd: boundaries, nesting, messages within messages, what is missing (RFC 2046)."""

from collections.abc import Iterator

from mime_corpus.building import FROM, crlf, letter, mixed, multipart, part, with_type

ONE = part(b"", b"one")
TWO = part(b"Content-Type: text/html\n", b"<p>two</p>")
INNER = b"Subject: inner\nFrom: c@example.test\n\ninner text\n"
RFC822 = b"Content-Type: message/rfc822\n"
Made = Iterator[tuple[str, bytes]]


def bare() -> Made:
    """Give messages that have hardly anything."""
    yield "empty", b""
    yield "one-octet", b"x"
    yield "one-cr", b"\r"
    yield "one-lf", b"\n"
    yield "one-crlf", b"\r\n"
    yield "two-crlf", b"\r\n\r\n"
    yield "only-crlfs", b"\r\n" * 50
    yield "only-spaces", b" " * 50
    yield "only-spaces-and-crlf", b" \r\n" * 5
    yield "no-header", b"\r\nonly a body\r\n"
    yield "no-header-no-blank-line", b"only a body\r\nof two lines\r\n"
    yield "no-end-of-line", letter(body=b"no end of line")
    yield "header-only", crlf(FROM)
    yield "header-only-with-blank-line", crlf(FROM + b"\n")
    yield "header-only-cut-in-name", crlf(FROM + b"Subj")
    yield "header-only-cut-after-colon", crlf(FROM + b"Subject:")
    yield "header-only-cut-in-value", crlf(FROM + b"Subject: ab")
    yield "header-ends-in-cr", crlf(FROM) + b"\r"
    yield "no-blank-line", crlf(FROM + b"This line is no field\nnor this\n")
    yield "no-blank-line-then-blank", crlf(FROM + b"This line is no field\n\nafter\n")
    yield "blank-line-of-spaces", crlf(FROM + b"  \nafter\n")
    yield "body-of-one-blank-line", letter(body=b"\n")
    yield "body-of-blank-lines", letter(body=b"\n\n\n")
    yield "mbox-from-line", b"From ann@example.test Sat Nov 21 00:00:00 2026\r\n" + letter(b"Subject: mbox\n")
    yield "mbox-from-line-quoted", b">From ann@example.test Sat Nov 21 00:00:00 2026\r\n" + letter(b"Subject: mbox\n")
    yield "mbox-from-line-in-body", letter(body=b"\nFrom ann Sat Nov 21 00:00:00 2026\nSubject: x\n\nbody\n")
    yield "bare-lf", letter(b"Subject: lf\n").replace(b"\r\n", b"\n")
    yield "bare-lf-in-header", b"From: a@example.test\nSubject: lf\r\nTo: b@example.test\n\r\nbody\r\n"
    yield "bare-lf-in-body", letter(b"Subject: lf\n") + b"one\ntwo\r\nthree\n"
    yield "bare-lf-multipart", mixed(ONE, TWO).replace(b"\r\n", b"\n")
    yield "bare-cr-in-header", b"From: a@example.test\rX: 1\r\nSubject: a\rb\r\n\r\nbody\r\n"
    yield "bare-cr-only", letter().replace(b"\r\n", b"\r")
    yield "bare-cr-in-body", letter() + b"one\rtwo\r\r\nthree\r"
    yield "cr-cr-lf", letter(b"Subject: x\n").replace(b"\r\n", b"\r\r\n")
    yield "mixed-ends-of-header", b"From: a@example.test\r\nSubject: x\r\n\nbody\r\n\r\nmore\r\n"
    yield "dots", letter(body=b".\n..\n.x\n")
    yield "long-body-line", letter(body=b"x" * 100_000 + b"\n")
    yield "long-body-line-without-end", letter(body=b"x" * 100_000)
    yield "eight-bit-body", letter(body="grün\n".encode("latin-1"))
    yield "utf8-body", letter(body="grün\n".encode())
    yield "octets-body", letter(body=bytes(octet for octet in range(1, 256) if octet not in b"\r\n") + b"\n")


def boundaries() -> Made:
    """Give multiparts whose boundaries are odd."""
    yield "plain-multipart", mixed(ONE, TWO)
    yield "boundary-missing", with_type(b"multipart/mixed", ONE + TWO + b"--b--\n")
    yield "boundary-empty", with_type(b'multipart/mixed; boundary=""', b"--\n\none\n--\n\ntwo\n----\n")
    yield "boundary-empty-unquoted", with_type(b"multipart/mixed; boundary=", ONE + TWO + b"--b--\n")
    yield "boundary-of-spaces", with_type(b'multipart/mixed; boundary="  "', b"--  \n\none\n--  --\n")
    yield "boundary-ends-in-space", with_type(b'multipart/mixed; boundary="b "', b"--b \n\none\n--b --\n")
    yield "boundary-ends-in-space-without-it", with_type(b'multipart/mixed; boundary="b "', b"--b\n\none\n--b--\n")
    yield "boundary-begins-with-space", with_type(b'multipart/mixed; boundary=" b"', b"-- b\n\none\n-- b--\n")
    yield "boundary-with-spaces", mixed(part(b"", b"one", b"a b c"), boundary=b"a b c")
    yield "boundary-unquoted-with-spaces", with_type(b"multipart/mixed; boundary=a b c", part(b"", b"one", b"a b c"))
    yield (
        "boundary-unquoted-with-specials",
        with_type(b"multipart/mixed; boundary==_a/b:c?", b"--=_a/b:c?\n\none\n--=_a/b:c?--\n"),
    )
    yield "boundary-with-backslashes", with_type(b'multipart/mixed; boundary="a\\b\\"c"', b'--ab"c\n\none\n--ab"c--\n')
    yield "boundary-with-eight-bits", with_type(b'multipart/mixed; boundary="b\xfc"', b"--b\xfc\n\none\n--b\xfc--\n")
    yield "boundary-in-capitals", with_type(b"MULTIPART/MIXED; BOUNDARY=Ab", b"--Ab\n\none\n--ab\n\ntwo\n--Ab--\n")
    yield "boundary-unterminated", with_type(b'multipart/mixed; boundary="b', ONE + b"--b--\n")
    yield "boundary-folded", with_type(b'multipart/mixed;\n boundary="a\n b"', b"--a b\n\none\n--a b--\n")
    yield "boundary-twice", with_type(b"multipart/mixed; boundary=b; boundary=c", ONE + b"--c\n\ntwo\n--b--\n")
    yield "boundary-continued", with_type(b"multipart/mixed; boundary*0=a; boundary*1=b", b"--ab\n\none\n--ab--\n")
    yield "boundary-percent", with_type(b"multipart/mixed; boundary*=us-ascii''a%20b", b"--a b\n\none\n--a b--\n")
    yield "boundary-with-comment", with_type(b"multipart/mixed; boundary=b (a comment)", ONE + b"--b--\n")
    yield "boundary-comment-before", with_type(b"multipart/mixed; (c) boundary=(d) b", ONE + b"--b--\n")
    yield "boundary-of-dashes", mixed(part(b"", b"one", b"--"), boundary=b"--")
    yield "boundary-of-one-dash", mixed(part(b"", b"one", b"-"), boundary=b"-")
    for length in (69, 70, 71, 100, 250, 1000, 2048, 2049):
        boundary = b"x" * length
        yield (
            f"boundary-of-{length}",
            mixed(part(b"", b"one", boundary), part(b"", b"two", boundary), boundary=boundary),
        )
    yield (
        "boundary-long-and-prefix",
        mixed(part(b"", b"one", b"x" * 80), part(b"", b"two", b"x" * 75), boundary=b"x" * 80),
    )
    for name, padding in (("spaces", b"  "), ("tab", b"\t"), ("many-spaces", b" " * 300)):
        yield (
            f"boundary-line-with-{name}",
            mixed(b"--b" + padding + b"\n\none\n--b" + padding + b"\n\ntwo\n--b--" + padding + b"\n", close=False),
        )
    yield "boundary-line-with-text", mixed(b"--b x\n\none\n--bx\n\ntwo\n--b--x\n\nthree\n", ONE)
    yield "boundary-line-indented", mixed(ONE, b" --b\n\nnot a part\n", TWO)
    yield (
        "boundary-line-with-bare-lf",
        crlf(FROM) + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\n\none\n--b\r\n\r\ntwo\n--b--\r\n",
    )
    yield "boundary-line-with-bare-cr", mixed(ONE) + b"--b\r\rx"
    yield "boundary-at-beginning-of-header", crlf(b"--b\n" + FROM + multipart(ONE))
    yield "boundary-in-header-of-part", mixed(b"--b\nContent-Type: text/html\n--b\n\ntwo\n")
    yield "boundary-right-after-boundary", mixed(b"--b\n--b\n--b\n\nthree\n")
    yield "boundary-without-blank-line", mixed(b"--b\nno header, text at once\n", TWO)
    yield "last-boundary-missing", mixed(ONE, TWO, close=False)
    yield "last-boundary-without-line-end", mixed(ONE)[:-2]
    yield "last-boundary-half", mixed(ONE)[:-3]
    yield "last-boundary-first", mixed(b"--b--\n", ONE, TWO)
    yield "last-boundary-twice", mixed(ONE, b"--b--\n", TWO)
    yield "only-first-boundary", mixed(b"--b\n", close=False)
    yield "only-first-boundary-without-line-end", mixed(b"--b", close=False)
    yield "only-last-boundary", mixed()
    yield "no-boundary-line", mixed(b"nothing of the kind\n", close=False)
    yield "no-body", mixed(close=False)
    yield "no-blank-line-in-multipart", crlf(FROM + b"Content-Type: multipart/mixed; boundary=b\n--b\n\none\n--b--\n")
    yield "empty-parts", mixed(b"--b\n\n--b\n\n\n--b\n\n\n\n", ONE)
    yield "part-of-headers-only", mixed(b"--b\nContent-Type: text/html\n", b"--b\nContent-Type: text/html\n\n", ONE)
    yield "part-cut-in-header", mixed(ONE, b"--b\nContent-Type: text/ht", close=False)
    yield "preamble", mixed(ONE, before=b"preamble\nof two lines\n")
    yield "preamble-without-line-end", mixed(ONE, before=b"preamble")
    yield "preamble-of-blank-lines", mixed(ONE, before=b"\n\n")
    yield "epilogue", mixed(ONE, after=b"epilogue\n--b\n\nnot a part\n")
    yield "epilogue-of-blank-lines", mixed(ONE, after=b"\n\n\n")
    yield "part-ends-in-blank-lines", mixed(part(b"", b"one\n\n\n"), TWO)
    for name, inner in (("prefix", b"bb"), ("longer-by-dashes", b"b--"), ("same", b"b"), ("other", b"c")):
        nested = multipart(part(b"", b"one", inner), part(b"", b"two", inner), boundary=inner, subtype=b"alternative")
        yield f"nested-boundary-{name}", mixed(b"--b\n" + nested, part(b"", b"three"))
        yield (
            f"nested-boundary-{name}-unclosed",
            mixed(b"--b\n" + nested.rpartition(b"--" + inner + b"--")[0], part(b"", b"three")),
        )
    outer = multipart(part(b"", b"one"), boundary=b"b", subtype=b"alternative")
    yield "outer-boundary-longer", mixed(b"--bb\n" + outer, part(b"", b"three", b"bb"), boundary=b"bb")
    yield (
        "inner-boundary-after-outer",
        mixed(b"--b\n" + multipart(part(b"", b"x", b"c"), boundary=b"c", close=False), ONE, b"--c\n\nlate\n"),
    )
    yield (
        "inner-last-boundary-only-outer",
        mixed(b"--b\n" + multipart(part(b"", b"x", b"c"), boundary=b"c", close=False)),
    )
    yield (
        "boundary-of-grandparent",
        mixed(
            b"--b\n"
            + multipart(
                b"--c\n" + multipart(part(b"", b"x", b"d"), boundary=b"d", close=False), boundary=b"c", close=False
            ),
            ONE,
        ),
    )


def nesting() -> Made:
    """Give messages with parts in parts, and with very many parts."""
    for depth in (1, 2, 3, 10, 50, 98, 99, 100, 101, 120):
        made = b"\ndeepest\n"
        for level in range(depth, 0, -1):
            made = multipart(
                part(b"", b"beside", b"n%d." % level) + b"--n%d.\n" % level + made, boundary=b"n%d." % level
            )
        yield f"nested-{depth}", crlf(FROM + made)
    for depth in (2, 10, 99, 100, 120):
        yield (
            f"messages-nested-{depth}",
            crlf(FROM + RFC822 + b"\n" + RFC822 + b"\n" + (RFC822 + b"\n") * (depth - 2) + INNER),
        )
    made = INNER
    for level in range(20, 0, -1):
        made = multipart(b"--m%d.\n" % level + RFC822 + b"\n" + made, boundary=b"m%d." % level)
    yield "messages-and-multiparts-nested", crlf(FROM + made)
    yield "parts-1000", mixed(*(part(b"X-Number: %d\n" % number, b"part %d" % number) for number in range(1000)))
    yield "parts-200-empty", mixed(b"--b\n\n" * 200)
    for subtype in (
        b"alternative",
        b"related",
        b"parallel",
        b"signed",
        b"encrypted",
        b"report",
        b"form-data",
        b"byteranges",
        b"x-own",
        b"appledouble",
    ):
        yield f"multipart-{subtype.decode()}", mixed(ONE, TWO, subtype=subtype)
    yield (
        "related-in-alternative-in-mixed",
        mixed(
            b"--b\n"
            + multipart(
                part(b"Content-Type: text/plain; charset=utf-8\n", b"text", b"c"),
                b"--c\n"
                + multipart(
                    part(b"Content-Type: text/html\n", b"<img src=cid:i>", b"d"),
                    part(
                        b"Content-Type: image/png\nContent-ID: <i@x>\nContent-Transfer-Encoding: base64\n",
                        b"QUJD",
                        b"d",
                    ),
                    boundary=b"d",
                    subtype=b"related",
                ),
                boundary=b"c",
                subtype=b"alternative",
            ),
            part(
                b"Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=a.pdf\n", b"%PDF"
            ),
        ),
    )


def messages_within() -> Made:
    """Give messages that hold messages, whole or not."""
    inside = INNER.rstrip(b"\n")
    multi = b"Subject: multi\n" + multipart(
        part(b"", b"deep one", b"i"), part(b"Content-Type: text/html\n", b"deep two", b"i"), boundary=b"i"
    ).rstrip(b"\n")
    yield "message-in-message", crlf(FROM + RFC822 + b"\n" + INNER)
    yield "message-in-message-in-message", crlf(FROM + RFC822 + b"\n" + RFC822 + b"\n" + INNER)
    yield "message-first", mixed(b"--b\n" + RFC822 + b"\n" + inside + b"\n", ONE)
    yield "message-second", mixed(ONE, b"--b\n" + RFC822 + b"\n" + inside + b"\n")
    yield "message-last-unclosed", mixed(ONE, b"--b\n" + RFC822 + b"\n" + inside + b"\n", close=False)
    yield "message-with-parts", crlf(FROM + RFC822 + b"\n" + multi + b"\n")
    yield "message-with-parts-in-parts", mixed(ONE, b"--b\n" + RFC822 + b"\n" + multi + b"\n", TWO)
    yield "message-with-parts-unclosed", mixed(b"--b\n" + RFC822 + b"\n" + multi.removesuffix(b"--i--") + b"\n", TWO)
    yield "message-with-message-with-parts", mixed(b"--b\n" + RFC822 + b"\n" + RFC822 + b"\n" + multi + b"\n", TWO)
    yield "message-without-body", mixed(b"--b\n" + RFC822 + b"\nSubject: only\n", ONE)
    yield "message-without-blank-line", mixed(b"--b\n" + RFC822 + b"\nSubject: only\n\n", ONE)
    yield "message-without-header", mixed(b"--b\n" + RFC822 + b"\n\nonly a body\n", ONE)
    yield "message-empty", mixed(b"--b\n" + RFC822 + b"\n", ONE)
    yield "message-without-anything", mixed(b"--b\n" + RFC822, ONE)
    yield "message-top-empty", crlf(FROM + RFC822 + b"\n")
    yield "message-top-no-blank-line", crlf(FROM + RFC822)
    for encoding in (b"base64", b"quoted-printable", b"7bit", b"8bit", b"binary", b"x-own"):
        fields = RFC822 + b"Content-Transfer-Encoding: " + encoding + b"\n"
        yield f"message-in-{encoding.decode()}", mixed(part(fields, inside), ONE)
    yield (
        "message-in-real-base64",
        mixed(part(RFC822 + b"Content-Transfer-Encoding: base64\n", b"U3ViamVjdDogeA0KDQp5DQo="), ONE),
    )
    yield (
        "message-in-real-base64-top",
        crlf(FROM + RFC822 + b"Content-Transfer-Encoding: base64\n\nU3ViamVjdDogeA0KDQp5DQo=\n"),
    )
    internationalised = b"Content-Type: message/global\n"
    yield "message-global-with-parts", mixed(ONE, b"--b\n" + internationalised + b"\n" + multi + b"\n", TWO)
    yield "message-global-utf8", mixed(part(internationalised, inside.replace(b"inner", "grün".encode())), ONE)
    yield (
        "message-global-in-real-base64",
        mixed(part(internationalised + b"Content-Transfer-Encoding: base64\n", b"U3ViamVjdDogeA0KDQp5DQo="), ONE),
    )
    for kind in (
        b"global",
        b"news",
        b"rfc2822",
        b"partial; id=x@y; number=1; total=2",
        b"http",
        b"s-http",
        b"x-own",
        b"delivery-status",
        b"disposition-notification",
        b"feedback-report",
        b"global-delivery-status",
    ):
        name = kind.partition(b";")[0].decode()
        yield f"message-{name}", mixed(part(b"Content-Type: message/" + kind + b"\n", inside), ONE)
        yield f"message-{name}-top", crlf(FROM + b"Content-Type: message/" + kind + b"\n\n" + INNER)
    external = b'Content-Type: message/external-body; access-type=anon-ftp;\n site="x.test"; name="a b"; size=10\n\n'
    yield (
        "message-external-body",
        mixed(b"--b\n" + external + b"Content-Type: image/gif\nContent-ID: <1@x>\n\nphantom\n", ONE),
    )
    yield "message-in-capitals", mixed(part(b"Content-Type: MESSAGE/RFC822\n", inside), ONE)
    yield (
        "message-with-parameters",
        mixed(
            part(
                b'Content-Type: message/rfc822; name="fw.eml"; charset=utf-8\nContent-Disposition: attachment\n', inside
            )
        ),
    )
    yield "message-with-boundary-parameter", mixed(part(b"Content-Type: message/rfc822; boundary=b\n", inside), ONE)
    yield "message-cut-by-outer-boundary-in-header", mixed(b"--b\n" + RFC822 + b"\nSubject: cut\n--b\n\nnext\n")
    yield "message-mbox-line-within", mixed(part(RFC822, b"From ann Sat Nov 21 00:00:00 2026\n" + inside), ONE)
    yield "digest", mixed(part(b"", inside), part(b"", b"Subject: second\n\ntext"), subtype=b"digest")
    yield (
        "digest-with-types",
        mixed(part(b"Content-Type: text/plain\n", b"plain"), part(b"X: 1\n", inside), subtype=b"digest"),
    )
    yield (
        "digest-with-broken-type",
        mixed(part(b"Content-Type: nonsense\n", b"plain"), part(b"Content-Type:\n", b"x"), subtype=b"digest"),
    )
    yield "digest-empty-parts", mixed(b"--b\n\n--b\n\n\n--b\n", subtype=b"digest")
    yield "digest-of-multiparts", mixed(part(b"", multi), part(b"", inside), subtype=b"digest")
    yield (
        "digest-in-mixed",
        mixed(
            ONE,
            b"--b\n"
            + multipart(part(b"", inside, b"d"), part(b"", b"Subject: 2\n\n2", b"d"), boundary=b"d", subtype=b"digest"),
            TWO,
        ),
    )
    yield (
        "digest-with-encoding",
        mixed(part(b"Content-Transfer-Encoding: base64\n", b"U3ViamVjdDogeA=="), subtype=b"digest"),
    )
    yield (
        "report",
        mixed(
            part(b"", b"It failed."),
            part(
                b"Content-Type: message/delivery-status\n",
                b"Reporting-MTA: dns; x.test\n\nFinal-Recipient: rfc822; a@b\nAction: failed\nStatus: 5.1.1",
            ),
            part(b"Content-Type: text/rfc822-headers\n", b"Subject: it"),
            subtype=b"report; report-type=delivery-status",
        ),
    )


def torture() -> Made:
    """Give constructions that public sets of test messages are made of."""
    yield "boundary-line-with-note", mixed(b"--b This is to be ignored\n\none\n--b-- and this\n", close=False)
    yield "boundary-after-two-semicolons", with_type(b"multipart/mixed; ; boundary=b", ONE + b"--b--\n")
    yield (
        "boundary-with-equals-unquoted",
        with_type(
            b"multipart/mixed; boundary=----=_Part_1", part(b"", b"one", b"----=_Part_1") + b"------=_Part_1--\n"
        ),
    )
    yield "boundary-twice-in-line", mixed(b"--b--b\n\none\n", ONE)
    yield "boundary-like-text", mixed(part(b"", b"--\n---b\n-- b\n--B\n----\n>--b\n--c--"), TWO)
    yield (
        "header-looks-like-body-of-message",
        crlf(FROM + RFC822 + b"\nSubject: in\n\nSubject: not a field\nFrom: nor this\n\ntext\n"),
    )
    uuencoded = b"begin 644 a.txt\n#86)C\n`\nend\n"
    yield "uuencoded", letter(b"Subject: uu\n", b"see\n\n" + uuencoded)
    yield (
        "uuencoded-declared",
        with_type(b"application/x; name=a", uuencoded, b"Content-Transfer-Encoding: x-uuencode\n"),
    )
    yield (
        "names-twice",
        mixed(
            *[part(b"Content-Type: text/plain; name=a.txt\nContent-Disposition: inline; filename=a.txt\n", b"x")] * 3
        ),
    )
    audio = part(b"Content-Type: audio/basic\nContent-Transfer-Encoding: base64\n", b"QUJDREVG\nR0hJ", b"c")
    image = part(b"Content-Type: image/gif\nContent-Transfer-Encoding: Base64\n", b"R0lGODlh", b"c")
    parallel = multipart(audio, image, boundary=b"c", subtype=b"parallel", before=b"before\n", after=b"after\n")
    rich = part(b"Content-Type: text/richtext\n", b"<bold>old</bold>")
    quoted = RFC822 + b"\nFrom: c@x.test\nSubject: in\nContent-Type: Text/plain; charset=ISO-8859-1\n"
    quoted += b"Content-Transfer-Encoding: Quoted-printable\n\ngr=FCn\n"
    yield "classic", mixed(b"before\n", ONE, b"--b\n" + parallel, rich, b"--b\n" + quoted, after=b"after\n")
    forwarded = multipart(part(b"", b"x", b"e"), b"--e\n" + quoted, part(RFC822, INNER, b"e"), boundary=b"e")
    once_more = RFC822 + b"Content-Description: once more\n\nSubject: 1\n" + forwarded
    yield (
        "forwards-of-forwards",
        mixed(
            b"--b\n" + once_more,
            b"--b\n" + RFC822 + b"\nSubject: 2\n" + multipart(b"--f\n" + once_more, b"--f\n" + parallel, boundary=b"f"),
            b"--b\n"
            + multipart(part(b"", INNER, b"g"), part(b"", b"Subject: 3\n\n3", b"g"), boundary=b"g", subtype=b"digest"),
            ONE,
        ),
    )
    yield (
        "signed",
        mixed(
            part(b"Content-Type: text/plain\n", b"text -- with trailing blanks  "),
            part(
                b"Content-Type: application/pgp-signature; name=signature.asc\n", b"-----BEGIN PGP SIGNATURE-----\n\nxx"
            ),
            subtype=b'signed; micalg=pgp-sha1; protocol="application/pgp-signature"',
        ),
    )
    yield (
        "apple-double",
        mixed(
            b"--b\n"
            + multipart(
                part(
                    b"Content-Type: application/applefile; name=a\nContent-Transfer-Encoding: base64\n", b"AAUW", b"h"
                ),
                part(b"Content-Type: image/jpeg; name=a\n", b"JFIF", b"h"),
                boundary=b"h",
                subtype=b"appledouble",
            )
        ),
    )
    yield (
        "report-with-whole-message",
        mixed(
            part(b"", b"It failed."),
            part(b"Content-Type: message/delivery-status\n", b"Reporting-MTA: dns; x.test\n\nAction: failed\n"),
            b"--b\n" + RFC822 + b"\nSubject: cut off here\nContent-Type: multipart/mixed; boundary=zz\n\n--zz\n\nhal",
            subtype=b"report; report-type=delivery-status",
            close=False,
        ),
    )


def large() -> Made:
    """Give messages that are read piece by piece."""
    lines = b"0123456789abcdef 0123456789abcdef 0123456789abcdef\n"
    yield "large", letter(b"Subject: large\n", lines * 8000)
    yield "large-line", letter(b"Subject: large\n", b"x" * 400_000)
    yield "large-header", letter(b"Subject: large\n" + b"X-Large: y\n" * 900 + b"X-Folded:" + b" " * 70_000 + b"\n z\n")
    blob = part(b"Content-Type: application/x\nContent-Transfer-Encoding: base64\n", lines * 2000)
    fields = b"Subject: in\nFrom: c@x.test\nX-Large: " + b"y" * 20_000 + b"\n"
    inner = fields + multipart(
        part(b"", lines * 1500, b"c"), part(b"Content-Type: text/html\n", b"x", b"c"), boundary=b"c"
    )
    yield "large-multipart", mixed(ONE, blob, b"--b\n" + RFC822 + b"\n" + inner, TWO)
    yield "large-multipart-unclosed", mixed(ONE, blob, b"--b\n" + RFC822 + b"\n" + inner, TWO, close=False)
    yield "large-message-in-message", crlf(FROM + RFC822 + b"\n" + inner)
    yield "large-preamble-and-epilogue", mixed(ONE, TWO, before=lines * 2000, after=lines * 2000)
    yield "large-without-body-in-part", mixed(blob, blob, b"--b\n" + RFC822 + b"\nSubject: only\n", ONE)


def with_nul() -> Made:
    """Give messages that hold NUL, which other programs may have left in a Maildir."""
    yield "nul-only", b"\0"
    yield "nul-in-body", letter(body=b"a\0b\n\0\n")
    yield "nul-first", b"\0" + letter(b"Subject: x\n")
    yield "nul-in-blank-line", crlf(FROM + b"\0\nbody\n")
    yield "nul-in-fields", letter(b"Subject: a\0b\nMessage-ID: <\0@x>\nIn-Reply-To: \0\nDate: \0\n")
    yield "nul-in-addresses", letter(b'To: A\0nn <a\0@x\0.test>, "\0" <\0>, \0: b@x.test;, (\0) c@x.test\n')
    yield "nul-in-field-name", letter(b"Sub\0ject: x\n\0: y\n")
    yield "nul-in-type", with_type(b"te\0xt/pl\0ain; char\0set=ut\0f-8; name*0=\0; name*1=\0")
    yield (
        "nul-in-mime-fields",
        mixed(
            part(
                b"Content-ID: <\0>\nContent-Description: \0\nContent-MD5: \0\nContent-Location: \0\n"
                b"Content-Language: \0, d\0e\nContent-Transfer-Encoding: base\00064\n"
                b"Content-Disposition: a\0; filename=\0\n",
                b"\0",
            )
        ),
    )
    yield "nul-in-boundary", mixed(part(b"", b"one", b"b\0"), boundary=b"b\0")
    yield "nul-after-boundary", mixed(b"--b\0\n\none\n", ONE, b"\0--b\n\ntwo\n")
    yield "nul-in-message-within", mixed(b"--b\n" + RFC822 + b"\n" + INNER.replace(b"n", b"\0"), ONE)


def all_structures() -> Made:
    """Give them all."""
    for group in (bare, boundaries, nesting, messages_within, torture, large):
        yield from group()
