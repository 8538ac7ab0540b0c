"""
Parameters of MIME fields: ``type; name=value`` with quoting, continuations and charsets.

RFC 2045 section 5.1, RFC 2231 sections 3 and 4.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from mailsuite.message.encoding import to_text
from mailsuite.message.words import decode_words

PARAMETERS_MAX = 100
"""Parameters of one field beyond this number are not looked at (RFC 2231 continuations count each)."""

_TOKEN = re.compile(rb"[!#$%&'*+\-.0-9A-Z^_`a-z{|}~]+")
_COMMENT_MARK = re.compile(rb'[()"]|\\.', re.DOTALL)
_SPACE = frozenset((b" ", b"\t", b"("))  # white space or a comment begins
_BLANKS = re.compile(rb"[ \t]*+")

Parameters = tuple[tuple[bytes, bytes], ...]
"""Names in lower case and unquoted values, in order; a value named ``name*`` is ``charset'language'%XX``."""


def is_token(value: bytes) -> bool:
    """Say whether a value is a token: RFC 2045 section 5.1."""
    return _TOKEN.fullmatch(value) is not None


def parse_parameters(value: bytes) -> tuple[bytes, Parameters]:
    """
    Split an unfolded value into what stands before the first semicolon, in lower case, and its parameters.

    Continuations (``name*0``, ``name*1*``) are joined to one parameter, whose name ends in ``*`` when any piece of it
    was percent-encoded; pieces after a gap stay as they are. Of two parameters of one name the first counts.
    """
    stop = value.find(b";")
    head = value if stop < 0 else value[:stop]
    comments = _find_comments(value)
    if b"(" in head:
        stop = _find_semicolon(value, head.find(b"("), comments)
        head = without_comments(value if stop < 0 else value[:stop])
    head = head.strip(b" \t\r").lower()
    if stop < 0:
        return head, ()
    pairs = _split(value, stop + 1, comments)
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


def _find_comments(value: bytes) -> Mapping[int, int]:
    """
    Find the comments outside of quoted strings, all at once: RFC 5322 section 3.2.2.

    Returns:
        For each parenthesis that opens one, where what follows begins, after other comments and white space; none
        for one that is never closed.
    """
    if b"(" not in value:
        return {}
    ends: list[tuple[int, int]] = []
    opened: list[int] = []
    quoted = False
    for found in _COMMENT_MARK.finditer(value):
        mark = found[0]
        if mark == b'"':
            quoted = not opened and not quoted
        elif quoted:
            continue
        elif mark == b"(":
            opened.append(found.start())
        elif mark == b")" and opened:
            ends.append((opened.pop(), found.end()))
    following: dict[int, int] = {}
    for start, end in sorted(ends, reverse=True):
        position = _past_blanks(value, end)
        following[start] = following.get(position, position)
    return following


def _past_blanks(value: bytes, position: int) -> int:
    found = _BLANKS.match(value, position)
    return found.end() if found else position


def _past_space(value: bytes, position: int, comments: Mapping[int, int]) -> int:
    """Pass over white space and comments."""
    position = _past_blanks(value, position)
    return comments.get(position, position)


def _find_semicolon(value: bytes, position: int, comments: Mapping[int, int]) -> int:
    """Find a semicolon that is not within a comment; -1 when there is none."""
    found = value.find(b";", position)
    while True:
        comment = value.find(b"(", position, found if found >= 0 else len(value))
        position = comments.get(comment, -1)
        if position < 0:
            return found
        if 0 <= found < position:
            found = value.find(b";", position)


def _split(value: bytes, position: int, comments: Mapping[int, int]) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    if comments:
        position = _past_space(value, position, comments)
    for _ in range(PARAMETERS_MAX):
        equals = value.find(b"=", position)
        if equals < 0:
            break
        name = value[position:equals].rpartition(b";")[2]
        if b"(" in name:
            name = without_comments(name)
        name = name.strip(b" \t\r").lower()
        position = equals + 1
        if value[position : position + 1] in _SPACE:
            position = _past_space(value, position, comments)
        if value[position : position + 1] == b'"':
            text, position = read_quoted(value, position)
            stop = _find_semicolon(value, position, comments)
        else:
            text, stop = _read_unquoted(value, position, comments)
        if name:
            pairs.append((name, text))
        if stop < 0:
            break
        position = stop + 1
        if comments:
            position = _past_space(value, position, comments)
    return pairs


def _read_unquoted(value: bytes, start: int, comments: Mapping[int, int]) -> tuple[bytes, int]:
    """
    Read what should be a token but may be anything up to a semicolon: ``filename=report (1).pdf``.

    Returns:
        The text without comments after it, and where its semicolon stands; -1 when none does.
    """
    stop = value.find(b";", start)
    text = value[start:] if stop < 0 else value[start:stop]
    blank = text.find(b" (") if comments else -1
    while blank >= 0:
        end = comments.get(start + blank + 1, -1)
        if end == len(value):
            return text[:blank].strip(b" \t\r"), -1
        if value[end : end + 1] == b";":
            return text[:blank].strip(b" \t\r"), end
        blank = text.find(b" (", blank + 1)
    return text.strip(b" \t\r"), stop


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
        if name not in pieces or text:
            joined.append((name, text))
            continue
        numbered = pieces.pop(name)
        count = next(number for number in range(len(numbered) + 1) if number not in numbered)
        if count:
            joined.append(_join(name, [numbered[number] for number in range(count)]))
        for number in sorted(numbered):
            if number > count:
                encoded, piece = numbered[number]
                joined.append((b"%b*%d%b" % (name, number, b"*" if encoded else b""), piece))
    return joined


def _join(name: bytes, texts: list[tuple[bool, bytes]]) -> tuple[bytes, bytes]:
    if not any(encoded for encoded, _ in texts):
        return name, b"".join(text for _, text in texts)
    opening = b"" if texts[0][0] else b"''"
    return name + b"*", opening + b"".join(
        text if encoded else text.replace(b"%", b"%25").replace(b"'", b"%27") for encoded, text in texts
    )
