"""
What a conversation is about: a subject without what replies, forwards and mailing lists add to it.

RFC 5256 section 2.1.
"""

import hashlib
import re

import attrs

from mailsuite.message.collation import casemap
from mailsuite.message.words import decode_words

SUBJECT_MAX_OCTETS = 4096
"""More than this of a subject is not looked at."""

TEXT_MAX_CHARACTERS = 256
"""What is longer is compared by its beginning, and else by a hash: a subject takes no more memory than that."""

_SPACES = re.compile(r"[ \t\r\n]+")
_BLOB = re.compile(r"\[[^\[\]]*+\] *+")
_REPLY_OR_FORWARD = re.compile(r"(?:re|fwd?) *+(?:\[[^\[\]]*+\] *+)?+:", re.IGNORECASE | re.ASCII)
_TRAILER = "(fwd)"
_FORWARD = "[fwd:"


@attrs.frozen
class Subject:
    """
    A subject as threads see it.

    Args:
        base: to be compared; empty when there is none.
        is_reply: something was removed that says that it is a reply or a forward (RFC 5256 section 2.1).
    """

    base: str
    is_reply: bool


NO_SUBJECT = Subject("", is_reply=False)


def read_subject(value: bytes | None) -> Subject:
    """Read the unfolded value of a Subject field."""
    if not value:
        return NO_SUBJECT
    base, is_reply = base_subject(decode_words(value[:SUBJECT_MAX_OCTETS]))
    base = casemap(base)
    if len(base) > TEXT_MAX_CHARACTERS:
        rest = base[TEXT_MAX_CHARACTERS:].encode("utf-8", "surrogatepass")
        base = base[:TEXT_MAX_CHARACTERS] + hashlib.blake2b(rest, digest_size=16).hexdigest()
    return Subject(base, is_reply)


def base_subject(text: str) -> tuple[str, bool]:
    """
    Remove what does not belong to the subject; each character is looked at a few times, whatever there is.

    Args:
        text: with encoded words decoded.

    Returns:
        The base subject as it is written, and whether the subject is that of a reply or a forward.
    """
    text = _SPACES.sub(" ", text)  # (1)
    start, end = 0, len(text)
    is_reply = False
    while True:
        end, trailed = _without_trailers(text, start, end)  # (2)
        start, led = _without_leaders(text, start, end)  # (3) to (5)
        is_reply = is_reply or trailed or led
        rest = text[start : start + len(_FORWARD)].lower()
        if rest != _FORWARD or end - start <= len(_FORWARD) or text[end - 1] != "]":
            return text[start:end], is_reply
        start += len(_FORWARD)  # (6)
        end -= 1
        is_reply = True


def _without_trailers(text: str, start: int, end: int) -> tuple[int, bool]:
    """Find where the subject ends before ``(fwd)`` and spaces, and say whether there was a ``(fwd)``."""
    found = False
    while end > start:
        if text[end - 1] == " ":
            end -= 1
        elif end - start >= len(_TRAILER) and text[end - len(_TRAILER) : end].lower() == _TRAILER:
            end -= len(_TRAILER)
            found = True
        else:
            break
    return end, found


def _without_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """
    Find where the subject begins after ``Re:`` and its like and after ``[blobs]``, and say whether there was a ``Re:``.

    Blobs belong to a ``Re:`` that follows them. Others go as long as something is left, which may be the last of them.
    """
    found = False
    while True:
        while start < end and text[start] == " ":
            start += 1
        last, after = start, start
        while (blob := _BLOB.match(text, after, end)) is not None:
            last, after = after, blob.end()
        leader = _REPLY_OR_FORWARD.match(text, after, end)
        if leader is None:
            return (after if after < end else last), found
        start = leader.end()
        found = True
