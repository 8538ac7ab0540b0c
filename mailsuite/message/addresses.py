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

_DIFFICULT = re.compile(rb'["(\\;:\[]')
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
    if _DIFFICULT.search(value) is None:
        return _parse_easy(value)
    return _AddressReader(value).read()


def _parse_easy(value: bytes) -> list[MailboxField]:
    """Read a list without quotes, comments, groups, routes or literals, as nearly all are."""
    entries: list[MailboxField] = []
    for piece in value.split(b",", ADDRESSES_MAX)[:ADDRESSES_MAX]:
        before, angle, rest = piece.partition(b"<")
        address = rest.partition(b">")[0] if angle else before
        local, at, host = address.rpartition(b"@")
        if not at:
            local, host = host, b""
        name = b" ".join(before.split()) if angle else b""
        local = b"".join(local.split())
        host = b"".join(host.split())
        if local or host or name:
            entries.append(MailboxField(name or None, None, local, host))
    return entries


class _AddressReader:
    """Reads a list with everything that the grammar allows, one token at a time."""

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.entries: list[MailboxField] = []
        self.in_group = False
        self._start()

    def _start(self) -> None:
        self.words: list[bytes] = []  # words of a phrase, or pieces of a local part
        self.phrase: list[bytes] | None = None  # what stood before "<"
        self.route: list[bytes] = []
        self.domain: list[bytes] | None = None  # what stands after "@"
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
            elif octet == b"[":
                stop = value.find(b"]", position)
                stop = end if stop < 0 else stop + 1
                self._word(value[position:stop])
                position = stop
            else:
                position += 1
                if not octet.isspace():
                    self._special(octet)
        self._finish()
        if self.in_group:
            self.entries.append(GROUP_END)
        return self.entries

    def _word(self, text: bytes) -> None:
        if self.domain is not None:
            self.domain.append(text)
        else:
            self.words.append(text)

    def _special(self, octet: bytes) -> None:
        if octet == b"<":
            self._open_angle()
        elif octet == b">":
            self.in_angle = False
        elif octet == b"@":
            if self.domain is not None:  # a@b@c: the last one divides
                self.words.extend((b"@", *self.domain))
            self.domain = []
        elif octet == b":":
            self._colon()
        elif octet == b",":
            self._comma()
        elif octet == b";":
            self._finish()
            if self.in_group:
                self.entries.append(GROUP_END)
                self.in_group = False
        else:
            self._word(octet)

    def _open_angle(self) -> None:
        if not self.in_angle:
            self.phrase = [*self.words, *(self.domain or ())]
            self.words, self.domain = [], None
            self.in_angle = True

    def _comma(self) -> None:
        if self.in_angle and not self.words and self.domain is not None:  # <@a,@b:c@d>
            self.route.append(b"@" + b"".join(self.domain))
            self.domain = None
        else:
            self._finish()

    def _colon(self) -> None:
        if self.in_angle:
            if self.domain is not None and not self.words:
                self.route.append(b"@" + b"".join(self.domain))
            self.domain = None
        elif self.in_group:
            self._word(b":")
        else:
            name = b" ".join([*self.words, *(self.domain or ())])
            self._start()
            self.entries.append(MailboxField(None, None, name, None))
            self.in_group = True

    def _finish(self) -> None:
        name = b" ".join(self.phrase) if self.phrase else self.comment
        if self.words or self.domain is not None or self.phrase:
            if self.domain is None and self.phrase is None and len(self.words) > 1 and not self.in_angle:
                local = b" ".join(self.words)
            else:
                local = b"".join(self.words)
            host = b"".join(self.domain) if self.domain is not None else b""
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
