"""
Address lists of header fields.

RFC 5322 sections 3.4 and 4.4: mailboxes, groups, source routes, comments, and what people write instead.
"""

import re
from collections.abc import Sequence

import attrs

from mailsuite.message.parameters import read_quoted
from mailsuite.message.words import decode_words

ADDRESSES_MAX = 1000
"""Addresses of one field beyond this number are not looked at."""

TOKENS_MAX = 32_000
"""Words, marks and spaces of one field beyond this number are not looked at."""

_DIFFICULT = re.compile(rb'["()\\;:\[]')
_ATOM = re.compile(rb'[^\s"(),:;<>@\[\\]+')


@attrs.frozen
class MailboxField:
    r"""
    One entry of an address list, in the four parts of RFC 3501 section 7.4.2.

    The beginning of a group has a `mailbox` (the group's name) and no `host`; its end has neither.

    Args:
        name: display name as written, without quotes, RFC 2047 words undecoded.
        route: obsolete source route, for example ``@a,@b``.
        mailbox: local part without quotes.
        host: domain; empty when the address has none.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None

    @property
    def display_name(self) -> str:
        """The name for people to read."""
        return decode_words(self.name) if self.name else ""

    @property
    def address(self) -> str:
        """``local@host`` as text; empty for the ends of groups."""
        if self.mailbox is None or self.host is None:
            return ""
        text = self.mailbox + b"@" + self.host if self.host else self.mailbox
        return text.decode("utf-8", "replace")


GROUP_END = MailboxField(None, None, None, None)


def parse_addresses(value: bytes) -> Sequence[MailboxField]:
    """Read an unfolded address list; what is no address gives the nearest thing to one, and nothing raises."""
    if _DIFFICULT.search(value) is None and value.count(b"@") <= value.count(b",") + 1:
        return _parse_easy(value)
    return _AddressReader(value).read()


def _parse_easy(value: bytes) -> list[MailboxField]:
    """Read a list without quotes, comments, groups, routes or literals, as nearly all are."""
    entries: list[MailboxField] = []
    for piece in value.split(b",", ADDRESSES_MAX)[:ADDRESSES_MAX]:
        before, angle, rest = piece.partition(b"<")
        address = (rest.lstrip(b"< \t") if angle else before).partition(b">")[0]
        local, at, host = address.rpartition(b"@")
        if not at:
            local, host = host, b""
        name = before.split() if angle else []
        words, domain = local.split(), host.split()
        if len(words) > 1 or len(domain) > 1:
            outside, local, host = _divide(_spaced(words), _spaced(domain) if at else None)
            name = name or outside
        else:
            local, host = b"".join(words), b"".join(domain)
        if local or host or name:
            entries.append(MailboxField(b" ".join(name) or None, None, local, host))
    return entries


def _spaced(words: Sequence[bytes]) -> list[bytes | None]:
    """Put marks of the white space between words."""
    return [piece for word in words for piece in (None, word)][1:]


def _divide(words: Sequence[bytes | None], domain: Sequence[bytes | None] | None) -> tuple[list[bytes], bytes, bytes]:
    """
    Find the address among words with white space between (None).

    White space may stand around the dots of an address (RFC 5322 section 4.4). What is beyond other white space was
    meant for a name; without a domain all of it is the local part.

    Returns:
        Words that are not of the address, its local part and its domain.
    """
    if domain is None:
        return [], b" ".join(_joined(words)), b""
    *before, local = _joined(words) or [b""]
    host, *after = _joined(domain) or [b""]
    return [*before, *after], local, host


def _joined(words: Sequence[bytes | None]) -> list[bytes]:
    """Join what no white space divides, or a dot connects."""
    if len(words) == 1 and words[0] is not None:
        return [words[0]]
    pieces: list[list[bytes]] = []
    divided = True
    for word in words:
        if word is None:
            divided = True
            continue
        if divided and not (pieces and (word[:1] == b"." or pieces[-1][-1][-1:] == b".")):
            pieces.append([])
        pieces[-1].append(word)
        divided = False
    return [b"".join(piece) for piece in pieces]


class _AddressReader:
    """Reads a list with everything that the grammar allows, one token at a time."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.entries: list[MailboxField] = []
        self.in_group = False
        self._start()

    def _start(self) -> None:
        self.words: list[bytes | None] = []  # of a phrase, or pieces of a local part; None is white space
        self.phrase: list[bytes] | None = None  # what stood before "<"
        self.route: list[bytes] = []
        self.domain: list[bytes | None] | None = None  # what stands after "@"
        self.comment = b""
        self.in_angle = False

    def read(self) -> list[MailboxField]:
        value = self.value
        position, end = 0, len(value)
        for _ in range(TOKENS_MAX):
            if position >= end or len(self.entries) >= ADDRESSES_MAX:
                break
            atom = _ATOM.match(value, position)
            if atom is not None:
                self._word(atom.group())
                position = atom.end()
                continue
            octet = value[position : position + 1]
            if octet == b'"':
                text, position = read_quoted(value, position)
                self._word(text)
            elif octet == b"(":
                self.comment, position = _read_comment(value, position)
                self._space()
            elif octet == b"[":
                stop = value.find(b"]", position)
                stop = end if stop < 0 else stop + 1
                self._word(value[position:stop])
                position = stop
            else:
                position += 1
                if octet.isspace():
                    self._space()
                else:
                    self._special(octet)
        self._finish()
        if self.in_group:
            self.entries.append(GROUP_END)
        return self.entries

    def _word(self, text: bytes | None) -> None:
        (self.words if self.domain is None else self.domain).append(text)

    def _space(self) -> None:
        words = self.words if self.domain is None else self.domain
        if words and words[-1] is not None:
            words.append(None)

    def _phrase(self) -> list[bytes]:
        """Give all that was read as the words of a name."""
        words = [word for word in self.words if word is not None]
        if self.domain is None:
            return words
        domain = [word for word in self.domain if word is not None]
        at = b"".join((*words[-1:], b"@", *domain[:1]))
        return [*words[:-1], at, *domain[1:]]

    def _special(self, octet: bytes) -> None:
        if octet == b"<":
            self._open_angle()
        elif octet == b">":
            self.in_angle = False
            self._space()
        elif octet == b"@":
            self._at()
        elif octet == b":":
            self._colon()
        elif octet == b",":
            self._comma()
        elif octet == b";":
            self._finish()
            if self.in_group:
                self.entries.append(GROUP_END)
                self.in_group = False
        elif octet != b")":  # which closes nothing
            self._word(octet)

    def _at(self) -> None:
        if self.domain is not None:
            pieces = _joined(self.domain)
            if len(pieces) > 1 and not self.in_angle:  # a@b c@d: they forgot the comma
                self.domain = _spaced(pieces[:-1])
                self._finish()
                self.words.append(pieces[-1])
            else:  # a@b@c: the last one divides
                self.words.extend((b"@", *self.domain))
        self.domain = []

    def _open_angle(self) -> None:
        if not self.in_angle:
            if self.phrase is not None:  # <a@b> <c@d>: they forgot the comma
                self._finish()
            self.phrase = self._phrase()
            self.words, self.domain = [], None
            self.in_angle = True

    def _comma(self) -> None:
        if self.in_angle and not self.words and (self.route or self.domain is not None):  # <@a,,@b:c@d>
            self._end_hop()
        else:
            self._finish()

    def _end_hop(self) -> None:
        """End a domain of a source route (RFC 5322 section 4.4)."""
        if self.domain is not None and not self.words:
            self.route.append(b"@" + b"".join(_joined(self.domain)))
        self.domain = None

    def _colon(self) -> None:
        if self.in_angle or (self.domain is not None and not self.words):
            self._end_hop()
        elif self.in_group:
            self._word(b":")
        else:
            name = b" ".join(self._phrase())
            self._start()
            self.entries.append(MailboxField(None, None, name, None))
            self.in_group = True

    def _finish(self) -> None:
        if self.words or self.domain is not None or self.phrase:
            outside, local, host = _divide(self.words, self.domain)
            name = b" ".join(self.phrase or outside) or self.comment
            route = b",".join(self.route) or None
            self.entries.append(MailboxField(name or None, route, local, host))
        self._start()


def _read_comment(value: bytes, start: int) -> tuple[bytes, int]:
    """Read a comment, nested ones as part of it; one that is not closed ends with the value."""
    depth = 0
    kept = bytearray()
    position = start
    end = len(value)
    while position < end:
        octet = value[position]
        position += 1
        if octet == 0x5C:  # noqa: PLR2004 - backslash
            kept += value[position : position + 1]
            position += 1
            continue
        if octet == 0x28:  # noqa: PLR2004 - opening parenthesis
            depth += 1
            if depth == 1:
                continue
        elif octet == 0x29:  # noqa: PLR2004 - closing parenthesis
            depth -= 1
            if not depth:
                break
        kept.append(octet)
    return bytes(kept).strip(), position
