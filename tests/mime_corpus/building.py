"""What the messages of the corpus are made of."""

FROM = b"From: Ann <ann@example.test>\nTo: ben@example.test\n"


def crlf(text: bytes) -> bytes:
    """Write lines as they are sent."""
    return text.replace(b"\n", b"\r\n")


def letter(fields: bytes = b"", body: bytes = b"line 1\nline 2\n") -> bytes:
    """Make a message of fields (each with its line end) and a body, as it is sent."""
    return crlf(FROM + fields + b"\n" + body)


def with_type(content_type: bytes, body: bytes = b"line 1\nline 2\n", further: bytes = b"") -> bytes:
    """Make a message with a Content-Type."""
    return letter(b"MIME-Version: 1.0\nContent-Type: " + content_type + b"\n" + further, body)


def part(fields: bytes, body: bytes, boundary: bytes = b"b") -> bytes:
    """Make a part with the boundary line before it."""
    return b"--" + boundary + b"\n" + fields + b"\n" + body + b"\n"


def multipart(
    *parts: bytes,
    boundary: bytes = b"b",
    subtype: bytes = b"mixed",
    before: bytes = b"",
    after: bytes = b"",
    close: bool = True,
) -> bytes:
    """Make the header and body of a multipart entity of parts that begin with their boundary lines."""
    made = b"Content-Type: multipart/" + subtype + b'; boundary="' + boundary + b'"\n\n' + before + b"".join(parts)
    return made + (b"--" + boundary + b"--\n" if close else b"") + after


def mixed(*parts: bytes, **options: object) -> bytes:
    """Make a message that is a multipart."""
    return crlf(FROM + b"Subject: parts\nMIME-Version: 1.0\n" + multipart(*parts, **options))  # type: ignore[arg-type]
