"""
Mailbox names: modified UTF-7 or UTF-8 on the wire, NFC text inside, and LIST's patterns.

RFC 3501 sections 5.1 and 5.1.3, RFC 6855 section 3, RFC 9051 section 5.1.
"""

import binascii
import functools
import re
import unicodedata

from mailsuite.imap.tokens import BadCommandError

SEPARATOR = "/"
INBOX = "INBOX"
LEVEL_MAX_OCTETS = 255
LEVELS_MAX = 32
NAME_MAX_OCTETS = 1000
ENCODED_MAX_OCTETS = 8 * NAME_MAX_OCTETS  # decomposed characters take about five times what they take in NFC

IN_NO_NAME = "\0"

_SHIFTED = re.compile(r"&|[^\x20-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LAST_OF_PLANES = "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_NO_CHARACTER = re.compile(rf"\A\ufeff|[\ufdd0-\ufdef{_LAST_OF_PLANES}]")
_WILDCARDS = re.compile(r"[*%]+")


def _refused(detail: str) -> BadCommandError:
    return BadCommandError(detail, status=b"NO", code=b"CANNOT")


def encode_utf7(text: str) -> bytes:
    """
    Write text in modified UTF-7 (RFC 3501 section 5.1.3).

    Raises:
        UnicodeEncodeError: it holds a lone surrogate.
    """
    if text.isascii() and text.isprintable() and "&" not in text:
        return text.encode("ascii")
    return _SHIFTED.sub(_shift, text).encode("ascii")


def _shift(found: re.Match[str]) -> str:
    run = found.group()
    return "&-" if run == "&" else f"&{_base64(run)}-"


def _base64(text: str) -> str:
    octets = binascii.b2a_base64(text.encode("utf-16-be"), newline=False)
    return octets.decode("ascii").rstrip("=").replace("/", ",")


def decode_utf7(octets: bytes) -> str:
    """
    Read modified UTF-7, strictly: each text has one form only.

    Raises:
        BadCommandError: it is not modified UTF-7, or longer than any name can be.
    """
    if len(octets) > ENCODED_MAX_OCTETS:
        raise _refused("the mailbox name is too long")
    try:
        text = octets.decode("ascii")
    except UnicodeDecodeError as error:
        raise _refused("a mailbox name is not modified UTF-7") from error
    if "&" not in text:
        return text
    first, *shifted = text.split("&")
    parts = [first]
    after_run = False
    for piece in shifted:
        run, dash, plain = piece.partition("-")
        if not dash:
            raise _refused("a mailbox name is not modified UTF-7")
        if not run:
            parts.append("&")
            after_run = False
        elif after_run:  # two runs with nothing between them should have been one
            raise _refused("a mailbox name is not modified UTF-7")
        else:
            parts.append(_unshift(run))
            after_run = True
        if plain:
            parts.append(plain)
            after_run = False
    return "".join(parts)


def _unshift(run: str) -> str:
    if "/" in run or "=" in run:
        raise _refused("a mailbox name is not modified UTF-7")
    try:
        octets = binascii.a2b_base64(run.replace(",", "/") + "=" * (-len(run) % 4), strict_mode=True)
        text = octets.decode("utf-16-be")
    except ValueError as error:
        raise _refused("a mailbox name is not modified UTF-7") from error
    # Printable ASCII must stand for itself, and the bits that fill the last sextet must be zero.
    if any(" " <= character <= "~" for character in text) or _base64(text) != run:
        raise _refused("a mailbox name is not modified UTF-7")
    return text


def decode_utf8(octets: bytes) -> str:
    """
    Read UTF-8, in which clients that have said so write names (RFC 6855 section 3).

    Raises:
        BadCommandError: it is not UTF-8; or, as NO with CANNOT, it is longer than any name can be.
    """
    if len(octets) > ENCODED_MAX_OCTETS:
        raise _refused("the mailbox name is too long")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadCommandError("a mailbox name is not UTF-8") from error


def decode_given(octets: bytes, *, utf8: bool) -> str:
    """Read a name as a client wrote it, in the encoding that it uses. Raises BadCommandError."""
    return decode_utf8(octets) if utf8 else decode_utf7(octets)


def canonical_name(text: str) -> str:
    """Give a name the one form that is compared: NFC, and INBOX in upper case."""
    text = unicodedata.normalize("NFC", text)
    head, separator, below = text.partition(SEPARATOR)
    if head.upper() == INBOX and head.isascii():
        return INBOX + separator + below
    return text


def other_form(given: str, name: str) -> str:
    """Say what a client wrote where that is not the name itself; in INBOX the case does not count."""
    head = given.partition(SEPARATOR)[0]
    return "" if given == name or INBOX + given[len(head) :] == name else given


def decode_name(octets: bytes, *, utf8: bool = False) -> str:
    """
    Read the name of a mailbox.

    Args:
        utf8: written in UTF-8, not in modified UTF-7.

    Raises:
        BadCommandError: as NO with CANNOT, when no mailbox can have that name.
    """
    name = canonical_name(decode_given(octets, utf8=utf8))
    check_name(name)
    return name


def check_name(name: str) -> None:
    """
    Check that a mailbox can have a name.

    Raises:
        BadCommandError: as NO with CANNOT, when it cannot.
    """
    if _CONTROL.search(name):
        raise _refused("a mailbox name must not hold control characters")
    if _NO_CHARACTER.search(name):  # RFC 5198 section 2 and appendix B
        raise _refused("a mailbox name must not begin with a byte order mark or hold what is no character")
    if len(name.encode("utf-8", "surrogatepass")) > NAME_MAX_OCTETS:
        raise _refused("the mailbox name is too long")
    levels = name.split(SEPARATOR)
    if len(levels) > LEVELS_MAX:
        raise _refused("the mailbox name has too many levels")
    for level in levels:
        if level in {"", ".", ".."}:
            raise _refused("a mailbox name has an empty level")
        if len(level.encode("utf-8", "surrogatepass")) > LEVEL_MAX_OCTETS:
            raise _refused("a level of the mailbox name is too long")


def decode_pattern(octets: bytes, *, utf8: bool = False) -> str:
    """
    Read a reference or a pattern of LIST.

    One that no name can be written like, or that is longer than two names, matches nothing, and is no reason to refuse
    the command, whose other patterns count (RFC 5258 section 3).

    Args:
        utf8: written in UTF-8, not in modified UTF-7.

    Raises:
        BadCommandError: it is not the UTF-8 that it has to be.
    """
    if len(octets) > 2 * NAME_MAX_OCTETS:
        return IN_NO_NAME
    if utf8:
        return unicodedata.normalize("NFC", decode_utf8(octets))
    try:
        return unicodedata.normalize("NFC", decode_utf7(octets))
    except BadCommandError:
        return IN_NO_NAME


class ListPattern:
    """
    A pattern of LIST: ``*`` stands for any characters, ``%`` for any but the separator (RFC 3501 section 6.3.8).

    All positions of a name that the pattern so far can end at are one integer's bits, so that a name costs one step
    for each character of the pattern, whatever the wildcards.
    """

    __slots__ = ("_literals", "_plain", "_prefix", "_text")

    def __init__(self, pattern: str) -> None:
        self._text = _WILDCARDS.sub(lambda run: "*" if "*" in run.group() else "%", pattern)
        head = self._text.rstrip("*%")
        self._literals = len(self._text) - self._text.count("*") - self._text.count("%")
        self._plain = self._literals == len(self._text)
        self._prefix = head if len(head) == self._literals and len(self._text) == len(head) + 1 else None

    def matches(self, name: str) -> bool:
        """Say whether the pattern matches the whole of a name; INBOX, at the top, in any case."""
        if self._literals > len(name):
            return False
        inbox = name == INBOX or name.startswith(INBOX + SEPARATOR)
        if not inbox or not self._literals:
            if self._plain:
                return name == self._text
            if self._prefix is not None:
                return name.startswith(self._prefix) and (
                    self._text.endswith("*") or SEPARATOR not in name[len(self._prefix) :]
                )
        return self._step_through(name, inbox=inbox)

    def _step_through(self, name: str, *, inbox: bool) -> bool:
        where: dict[str, int] = {}
        for position, character in enumerate(name):
            where[character] = where.get(character, 0) | 1 << position
        if inbox:
            for position, character in enumerate(INBOX.lower()):
                where[character] = where.get(character, 0) | 1 << position
        everywhere = (1 << len(name) + 1) - 1
        in_level = (1 << len(name)) - 1 & ~where.get(SEPARATOR, 0)
        reached = 1
        for character in self._text:
            if character == "*":
                reached = everywhere & -(reached & -reached)
            elif character == "%":  # the carry of the sum runs through each level from where it was reached
                reached |= ((reached & in_level) + in_level) ^ in_level
            else:
                reached = (reached & where.get(character, 0)) << 1
            if not reached:
                return False
        return bool(reached >> len(name) & 1)


@functools.lru_cache(maxsize=64)
def _compiled(pattern: str) -> ListPattern:
    return ListPattern(pattern)


def matches_pattern(name: str, pattern: str) -> bool:
    """Say whether a pattern, after its reference, matches the whole of a name; see `ListPattern`."""
    return _compiled(pattern).matches(name)
