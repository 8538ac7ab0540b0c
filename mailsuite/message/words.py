"""
Encoded words in header fields.

RFC 2047; a value that is UTF-8 already is RFC 6532.
"""

import binascii

from mailsuite.message.encoding import decode_base64, to_text

WORDS_MAX = 1000
"""Encoded words in one value beyond this number stay as they are."""

TEXT_MAX_OCTETS = 65536
"""More than this of a value is not decoded."""

_WORD_MAX_OCTETS = 75  # RFC 2047 section 2
_WORD_TEXT_OCTETS = 45  # a multiple of 3; in base64 60 octets, with "=?utf-8?b?" and "?=" 72


def decode_words(value: bytes) -> str:
    """
    Decode an unfolded value for people to read.

    Words next to each other are joined, also within one character when they share charset and encoding: senders cut
    where they like.
    """
    value = value[:TEXT_MAX_OCTETS]
    if b"=?" not in value:
        return value.decode("ascii") if value.isascii() else to_text(value)
    pieces: list[str] = []
    pending = b""
    pending_charset = ""
    position = 0
    after_word = False
    for _ in range(WORDS_MAX):
        found = _next_word(value, position)
        if found is None:
            break
        start, end, charset, octets = found
        between = value[position:start]
        if not (after_word and not between.strip(b" \t\r\n")):
            pieces.extend((to_text(pending, pending_charset), to_text(between)))
            pending = b""
        elif charset != pending_charset:
            pieces.append(to_text(pending, pending_charset))
            pending = b""
        pending += octets
        pending_charset = charset
        position = end
        after_word = True
    pieces.extend((to_text(pending, pending_charset), to_text(value[position:])))
    return "".join(pieces)


def encode_words(text: str) -> bytes:
    """
    Encode text for an unstructured field or a display name: as it is when it is plain ASCII, else as encoded words.

    The words are divided by a space, where the field can be folded.
    """
    if text.isascii() and text.isprintable() and "=?" not in text:
        return text.encode("ascii")
    words = []
    chunk = b""
    for letter in text:
        octets = letter.encode("utf-8", "replace")
        if len(chunk) + len(octets) > _WORD_TEXT_OCTETS:
            words.append(_encode_word(chunk))
            chunk = b""
        chunk += octets
    if chunk:
        words.append(_encode_word(chunk))
    return b" ".join(words)


def _encode_word(octets: bytes) -> bytes:
    return b"=?utf-8?b?" + binascii.b2a_base64(octets, newline=False) + b"?="


def _next_word(value: bytes, position: int) -> tuple[int, int, str, bytes] | None:
    """Find the next encoded word: where it begins and ends, its charset, and its decoded octets."""
    while True:
        start = value.find(b"=?", position)
        if start < 0:
            return None
        first = value.find(b"?", start + 2)
        second = value.find(b"?", first + 1) if first >= 0 else -1
        if second < 0:
            return None
        if second != first + 2:
            position = start + 2
            continue
        end = value.find(b"?=", second + 1)
        if end < 0:
            return None
        encoding = value[first + 1 : second]
        charset = value[start + 2 : first].partition(b"*")[0]  # RFC 2231 section 5: charset*language
        text = value[second + 1 : end]
        if not charset.isascii() or encoding not in b"bBqQ":
            position = start + 2
            continue
        octets = decode_base64(text) if encoding in b"bB" else binascii.a2b_qp(text, header=True)
        return start, end + 2, charset.decode("ascii").lower(), octets
