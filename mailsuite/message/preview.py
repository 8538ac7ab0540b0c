"""
What a message begins with, for a list of messages: some words of its text, without what it answers (RFC 8970).

Pure. Whoever sends mail decides what stands in it: everything here costs what its octets cost, and no more of them is
looked at than the limits say.
"""

import html
import re
from collections.abc import Iterator

from mailsuite.message.header import Content, first_value
from mailsuite.message.mime import MESSAGE_TYPES, Part, Scan
from mailsuite.message.text import part_text

PREVIEW_MAX_CHARACTERS = 200  # RFC 8970 section 3.3
PREVIEW_READ_MAX_OCTETS = 256 * 1024
"""So much of a message is looked at, from its beginning; a text that begins behind it is not found."""
TEXT_MAX_CHARACTERS = 64 * 1024
CANDIDATES_MAX = 8
QUOTES_MAX = 8  # in one tag, with a ">" between them
_ENOUGH_CHARACTERS = 4 * PREVIEW_MAX_CHARACTERS  # that are no blanks; some of them may be invisible

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,20}+)")
_UPPER = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}
_INLINE = frozenset(
    (
        "a",
        "abbr",
        "acronym",
        "b",
        "big",
        "cite",
        "code",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "ins",
        "kbd",
        "mark",
        "o",
        "q",
        "s",
        "samp",
        "small",
        "span",
        "strike",
        "strong",
        "sub",
        "sup",
        "tt",
        "u",
        "var",
        "wbr",
    )
)
_UNSEEN = frozenset(("script", "style", "template", "title"))
# What is there to be invisible: soft hyphens, joiners, marks of direction; senders fill the beginning with them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SIGNATURE = "-- "  # RFC 3676 section 4.3
_ORIGINAL = re.compile(r"-{3,}+ ?(?:Original|Urspr|Forwarded|Weitergeleitete|Message d)", re.IGNORECASE)


def make_preview(content: Content) -> str:
    """
    Give the first words of a message: one line, at most `PREVIEW_MAX_CHARACTERS`; empty when there are none.

    Args:
        content: the message, or its beginning.
    """
    for _, part in zip(range(CANDIDATES_MAX), _texts(Scan(content).run()[0])):  # noqa: B905 - the shorter one ends it
        text = _beginning(content, part)
        own, quoted = _from_html(text) if part.content_type == "text/html" else _from_plain(text)
        preview = _one_line(own) or _one_line(quoted)
        if preview:
            return preview
    return ""


def _texts(root: Part) -> Iterator[Part]:
    """Find the parts that people read, those of messages within last."""
    waiting = [root]
    within: list[Part] = []
    while waiting:
        part = waiting.pop()
        if part.content_type in MESSAGE_TYPES:
            within += part.children
        elif part.content_type == "multipart/encrypted":
            continue
        elif part.children:
            waiting += reversed(part.children)
        elif part.content_type in {"text/plain", "text/html"} and not _is_attached(part):
            yield part
        if not waiting and within:
            waiting.append(within.pop(0))


def _is_attached(part: Part) -> bool:
    disposition = first_value(part.fields, b"content-disposition")
    return disposition is not None and disposition.strip().lower().startswith(b"attachment")


def _beginning(content: Content, part: Part) -> str:
    pieces: list[str] = []
    room = TEXT_MAX_CHARACTERS
    for piece in part_text(content, part):
        pieces.append(piece[:room])
        room -= len(pieces[-1])
        if not room:
            break
    return "".join(pieces)


def _one_line(text: str) -> str:
    """Write everything in one line, without what cannot be seen."""
    return " ".join(_INVISIBLE.sub("", text).split())[:PREVIEW_MAX_CHARACTERS].rstrip()


def _from_plain(text: str) -> tuple[str, str]:
    """Give what somebody wrote, and what they answered."""
    own: list[str] = []
    quoted: list[str] = []
    answered = False  # all that follows is what somebody answered
    seen = 0
    for line in text.splitlines():
        if line.startswith(">"):
            if own and not quoted:
                _drop_attribution(own)
            quoted.append(line.lstrip("> "))
        elif line == _SIGNATURE:
            break
        elif answered or _ORIGINAL.match(line):
            answered = True
            quoted.append("" if _ORIGINAL.match(line) else line)
        else:
            own.append(line)
            seen += len(line.strip())
        if seen > _ENOUGH_CHARACTERS:
            break
    return "\n".join(own), "\n".join(quoted)


def _drop_attribution(lines: list[str]) -> None:
    """Leave out who wrote what is quoted next: ``On Monday X wrote:``, in one line or two."""
    at = len(lines) - 1
    while at >= 0 and not lines[at].strip():
        at -= 1
    if at < 0 or not lines[at].rstrip().endswith(":"):
        return
    del lines[at:]
    if lines and lines[-1].strip():
        lines.pop()


def _from_html(text: str) -> tuple[str, str]:
    """Give what is seen, and what of it is quoted."""
    lower = text.translate(_UPPER)
    own: list[str] = []
    quoted: list[str] = []
    depth = seen = position = 0
    while seen < _ENOUGH_CHARACTERS:
        start = text.find("<", position)
        words = html.unescape(text[position : start if start >= 0 else len(text)])
        (quoted if depth else own).append(words)
        seen += 0 if depth else len(words.strip())
        if start < 0:
            break
        found = _TAG.match(text, start)
        if found is None:
            position = _after_other(text, start)
            if position == start + 1:
                own.append("<")
        else:
            closing, name = found.group(1), found.group(2).lower()
            position = _tag_end(text, found.end()) + 1
            if name == "blockquote":
                depth = max(0, depth - 1) if closing else depth + 1
            elif name in _UNSEEN and not closing:
                position = max(lower.find("</" + name, position), 0) if position else 0
            if name not in _INLINE:
                (quoted if depth else own).append(" ")
        if not position:
            break
    return "".join(own), "".join(quoted)


def _after_other(text: str, start: int) -> int:
    """Go behind a comment, a declaration, or a ``<`` that is none of these; 0 when it does not end."""
    if text.startswith("<!--", start):
        end = text.find("-->", start + 4)
        return end + 3 if end >= 0 else 0
    if text.startswith(("<!", "<?", "</"), start):
        return text.find(">", start) + 1
    return start + 1


def _tag_end(text: str, start: int) -> int:
    """Find the ``>`` of a tag, which stands in no quotes; -1 when there is none."""
    end = text.find(">", start)
    for _ in range(QUOTES_MAX):
        if end < 0 or not text.count('"', start, end) % 2:
            break
        closing = text.find('"', end)
        further = text.find(">", closing) if closing >= 0 else -1
        if further < 0:
            break
        end = further
    return end
