"""
Parameters of MIME fields: ``type; name=value`` with quoting, continuations and charsets.

RFC 2045 section 5.1, RFC 2231 sections 3 and 4.
"""

from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from mailsuite.message.encoding import to_text
from mailsuite.message.words import decode_words

PARAMETERS_MAX = 100
"""Parameters of one field beyond this number are not looked at (RFC 2231 continuations count each)."""

Parameters = tuple[tuple[bytes, bytes], ...]
"""Names in lower case and unquoted values, in order; a value named ``name*`` is ``charset'language'%XX``."""


def parse_parameters(value: bytes) -> tuple[bytes, Parameters]:
    """
    Split an unfolded value into what stands before the first semicolon, in lower case, and its parameters.

    Continuations (``name*0``, ``name*1*``) are joined to one parameter, whose name ends in ``*`` when any piece of it
    was percent-encoded; of two parameters of one name the first counts.
    """
    head, semicolon, _ = value.partition(b";")
    if b"(" in head:
        head = without_comments(head)
    head = head.strip(b" \t\r").lower()
    if not semicolon:
        return head, ()
    pairs = _split(value, len(value.partition(b";")[0]) + 1)
    if any(b"*" in name for name, _ in pairs):
        pairs = _join_continuations(pairs)
    if len(pairs) > 1:
        unique: dict[bytes, bytes] = {}
        for name, text in pairs:
            unique.setdefault(name, text)
        return head, tuple(unique.items())
    return head, tuple(pairs)


def parameter(parameters: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Give the octets of a parameter, percent-decoded when it was encoded; empty when there is none."""
    for key, value in parameters:
        if key == name:
            return value
        if key == name + b"*":
            return unquote_to_bytes(value.rpartition(b"'")[2])
    return b""


def parameter_text(parameters: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    """Give a parameter as text, for example a file name: RFC 2231, and RFC 2047 where people use it wrongly."""
    for key, value in parameters:
        if key == name + b"*":
            charset, _, rest = value.partition(b"'")
            return to_text(unquote_to_bytes(rest.partition(b"'")[2]), charset.decode("ascii", "replace"))
    for key, value in parameters:
        if key == name:
            return decode_words(value)
    return ""


def without_comments(value: bytes) -> bytes:
    """Remove comments in parentheses, nested or not; quoted strings are kept whole (RFC 5322 section 3.2.2)."""
    kept = bytearray()
    depth = 0
    quoted = False
    octets = iter(value)
    for octet in octets:
        if octet == 0x5C:  # noqa: PLR2004 - backslash
            following = next(octets, None)
            if not depth:
                kept.append(octet)
                if following is not None:
                    kept.append(following)
        elif octet == 0x22 and not depth:  # noqa: PLR2004 - double quote
            quoted = not quoted
            kept.append(octet)
        elif octet == 0x28 and not quoted:  # noqa: PLR2004 - opening parenthesis
            depth += 1
        elif octet == 0x29 and depth:  # noqa: PLR2004 - closing parenthesis
            depth -= 1
        elif not depth:
            kept.append(octet)
    return bytes(kept)


def read_quoted(value: bytes, start: int) -> tuple[bytes, int]:
    """
    Read a quoted string whose opening quote stands at `start`; one that is not closed ends with the value.

    Returns:
        The text without quotes and backslashes, and where the rest begins.
    """
    quote = value.find(b'"', start + 1)
    if quote < 0:
        quote = len(value)
    backslash = value.find(b"\\", start + 1, quote)
    if backslash < 0:
        return value[start + 1 : quote], min(quote + 1, len(value))
    pieces: list[bytes] = []
    position = start + 1
    while backslash >= 0:
        pieces.extend((value[position:backslash], value[backslash + 1 : backslash + 2]))
        position = backslash + 2
        if quote < position:
            quote = value.find(b'"', position)
            if quote < 0:
                quote = len(value)
        backslash = value.find(b"\\", position, quote)
    pieces.append(value[position:quote])
    return b"".join(pieces), min(quote + 1, len(value))


def _split(value: bytes, position: int) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    end = len(value)
    equals = value.find(b"=", position)
    while equals >= 0 and len(pairs) < PARAMETERS_MAX:
        name = value[position:equals].rpartition(b";")[2]
        if b"(" in name:
            name = without_comments(name)
        name = name.strip(b" \t\r").lower()
        position = equals + 1
        while value[position : position + 1] in {b" ", b"\t"}:
            position += 1
        if value[position : position + 1] == b'"':
            text, position = read_quoted(value, position)
            stop = value.find(b";", position)
        else:
            stop = value.find(b";", position)
            text = value[position : stop if stop >= 0 else end]
            text = text.strip(b" \t\r")
            if text.endswith(b")") and b" (" in text:  # a comment; but keep: filename=report (1).pdf
                text = without_comments(text).strip(b" \t\r")
        if name:
            pairs.append((name, text))
        if stop < 0:
            break
        position = stop + 1
        equals = value.find(b"=", position)
    return pairs


def _join_continuations(pairs: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    plain: list[tuple[bytes, bytes]] = []
    pieces: dict[bytes, dict[int, tuple[bool, bytes]]] = {}
    for name, text in pairs:
        stem, star, rest = name.partition(b"*")
        if not star or not stem or rest == b"":
            plain.append((name, text))
            continue
        digits = rest.removesuffix(b"*")
        if not digits.isdigit() or len(digits) > 3:  # noqa: PLR2004 - there are at most PARAMETERS_MAX pieces
            plain.append((name, text))
            continue
        if stem not in pieces:
            pieces[stem] = {}
            plain.append((stem, b""))
        pieces[stem].setdefault(int(digits), (rest.endswith(b"*"), text))
    joined: list[tuple[bytes, bytes]] = []
    for name, text in plain:
        if name in pieces and not text:
            joined.append(_join(name, pieces[name]))
        else:
            joined.append((name, text))
    return joined


def _join(name: bytes, pieces: dict[int, tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    texts: list[tuple[bool, bytes]] = []
    number = 0
    while number in pieces:
        texts.append(pieces[number])
        number += 1
    if not any(encoded for encoded, _ in texts):
        return name, b"".join(text for _, text in texts)
    opening = b"" if texts[0][0] else b"''"
    return name + b"*", opening + b"".join(
        text if encoded else text.replace(b"%", b"%25").replace(b"'", b"%27") for encoded, text in texts
    )
