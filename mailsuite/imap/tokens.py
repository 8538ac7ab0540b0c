"""
The tokens of IMAP's grammar, taken one after another from a command's line and literal octets.

RFC 3501 section 9. Nothing here recurses or looks back: a command costs what its octets cost.
"""

import re
from collections.abc import Set as AbstractSet

from mailsuite.errors import ProtocolError
from mailsuite.imap.capabilities import reads_utf8

NUMBER_MAX = 2**32 - 1  # RFC 3501 section 9, "number"
NUMBER64_MAX = 2**63 - 1  # RFC 9051 section 9, "number64"
MODSEQ_MAX = 2**63 - 1  # RFC 7162 section 7, "mod-sequence-value"
TAG_MAX_OCTETS = 64
NESTING_MAX = 32

_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_ASTRING_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_LIST_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')
_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]+')
_QUOTED = re.compile(rb'"([^"\\\x00\r\n]*)"')
_QUOTED_ESCAPED = re.compile(rb'"((?:[^"\\\x00\r\n]++|\\["\\])*+)"')
_LITERAL_MARK = re.compile(rb"~?\{[0-9]+\+?\}")
_NUMBER = re.compile(rb"[0-9]+")
_DIGITS_MAX = 19


class BadCommandError(ProtocolError):
    """
    A command that cannot be read, with all that its answer needs.

    Args:
        tag: None when it could not be read; the answer is then untagged.
        status: ``BAD``, or ``NO`` where the syntax is right and a value is refused.
        code: a response code without its brackets, or empty.
        forgets: what the last search saved is forgotten (RFC 5182 section 2.1).
        unselects: no mailbox is selected any more (RFC 9051 section 6.3.2).
    """

    def __init__(
        self,
        detail: str,
        *,
        tag: bytes | None = None,
        status: bytes = b"BAD",
        code: bytes = b"",
        close: bool = False,
        forgets: bool = False,
        unselects: bool = False,
    ) -> None:
        super().__init__(detail, close=close)
        self.tag = tag
        self.status = status
        self.code = code
        self.forgets = forgets
        self.unselects = unselects


def tagged(error: ProtocolError, tag: bytes | None) -> BadCommandError:
    """Make a refusal of one command out of what its grammar refused."""
    if isinstance(error, BadCommandError):
        return BadCommandError(
            error.detail,
            tag=tag,
            status=error.status,
            code=error.code,
            close=error.close,
            forgets=error.forgets,
            unselects=error.unselects,
        )
    return BadCommandError(error.detail, tag=tag, close=error.close)


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class Tokens:
    """
    A command that is being read from left to right.

    Args:
        pieces: a line, a literal, a line, ... and a line at the end, as `mailsuite.imap.wire.CommandAssembler` gives
            them; each line that a literal follows still ends with its ``{n}``.
        enabled: what the client has switched on, in upper case.
    """

    __slots__ = ("_line", "_next", "_pieces", "_position", "enabled")

    def __init__(self, pieces: tuple[bytes, ...], enabled: AbstractSet[bytes] = frozenset()) -> None:
        self.enabled = enabled
        self._pieces = pieces
        self._line = pieces[0]
        self._next = 1
        self._position = 0

    @property
    def utf8(self) -> bool:
        """Whether mailbox names are UTF-8."""
        return reads_utf8(self.enabled)

    def peek(self) -> bytes:
        """Show the next octet; empty at the end of the command."""
        return self._line[self._position : self._position + 1]

    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self._position == len(self._line) and self._next == len(self._pieces)

    def end(self) -> None:
        """
        Check that nothing follows.

        Raises:
            BadCommandError: something does.
        """
        if not self.at_end():
            raise BadCommandError("unexpected text at the end of the command")

    def accept(self, octets: bytes) -> bool:
        """Take these octets if they are next."""
        if self._line.startswith(octets, self._position):
            self._position += len(octets)
            return True
        return False

    def expect(self, octets: bytes) -> None:
        """
        Take these octets.

        Raises:
            BadCommandError: others are next.
        """
        if not self.accept(octets):
            raise BadCommandError(f"expected {octets.decode('ascii')!r}")

    def space(self) -> None:
        """
        Take one space.

        Raises:
            BadCommandError: there is none.
        """
        if not self._line.startswith(b" ", self._position):
            raise BadCommandError("missing argument" if self.at_end() else "expected a space")
        self._position += 1

    def take(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        """
        Take what a pattern matches here.

        Raises:
            BadCommandError: it does not match.
        """
        found = pattern.match(self._line, self._position)
        if found is None:
            raise BadCommandError(f"expected {what}")
        self._position = found.end()
        return found.group()

    def tag(self) -> bytes:
        """
        Take the tag.

        Raises:
            BadCommandError: there is none, or it is too long.
        """
        tag = self.take(_TAG, "a tag")
        if self.peek() not in {b" ", b""}:
            raise BadCommandError("the tag holds what a tag must not")
        if len(tag) > TAG_MAX_OCTETS:
            raise BadCommandError("the tag is too long")
        return tag

    def atom(self, what: str = "an atom") -> bytes:
        """
        Take an atom.

        Raises:
            BadCommandError: there is none.
        """
        return self.take(_ATOM, what)

    def word(self, what: str = "an atom") -> bytes:
        """
        Take an atom that is compared in any case, and write it in upper case.

        Raises:
            BadCommandError: there is none.
        """
        return self.take(_ATOM, what).upper()

    def number(self) -> int:
        """
        Take a number of up to 32 bits.

        Raises:
            BadCommandError: there is none, or it is too large.
        """
        return self._up_to(NUMBER_MAX, "number")

    def number64(self) -> int:
        """
        Take a number of up to 63 bits (RFC 9051 section 9, "number64").

        Raises:
            BadCommandError: there is none, or it is too large.
        """
        return self._up_to(NUMBER64_MAX, "number")

    def modseq(self) -> int:
        """
        Take a MODSEQ of up to 63 bits (RFC 7162 section 7, "mod-sequence-valzer").

        Raises:
            BadCommandError: there is none, or it is too large.
        """
        return self._up_to(MODSEQ_MAX, "MODSEQ")

    def _up_to(self, most: int, what: str) -> int:
        digits = self.take(_NUMBER, f"a {what}")
        if len(digits) > _DIGITS_MAX or (value := int(digits)) > most:
            raise BadCommandError(f"the {what} is too large")
        return value

    def string(self) -> bytes:
        """
        Take a quoted string or a literal.

        8-bit octets are let through in both; but who said that it writes UTF-8 must do so in quoted strings (RFC 6855
        section 3).

        Raises:
            BadCommandError: there is none, or what is quoted is not UTF-8.
        """
        first = self.peek()
        if first == b'"':
            quoted = self._quoted()
            if not quoted.isascii() and self.utf8 and not _is_utf8(quoted):
                raise BadCommandError("a quoted string is not UTF-8")
            return quoted
        if first in {b"{", b"~"}:
            return self._literal()
        raise BadCommandError("expected a string")

    def _quoted(self) -> bytes:
        found = _QUOTED.match(self._line, self._position)
        if found is not None:
            self._position = found.end()
            return found.group(1)
        found = _QUOTED_ESCAPED.match(self._line, self._position)
        if found is None:
            raise BadCommandError("a quoted string does not end or has a bad escape")
        self._position = found.end()
        # NUL cannot be in it, so it can hold the place of a backslash that stands for itself.
        return found.group(1).replace(b"\\\\", b"\0").replace(b'\\"', b'"').replace(b"\0", b"\\")

    def _literal(self) -> bytes:
        found = _LITERAL_MARK.fullmatch(self._line, self._position)
        if found is None or self._next >= len(self._pieces):
            raise BadCommandError("a literal is not written {n} at the end of a line")
        octets = self._pieces[self._next]
        self._line = self._pieces[self._next + 1]
        self._next += 2
        self._position = 0
        return octets

    def announcement(self) -> None:
        """
        Take the ``{n}`` at the end of a line whose literal is not among the pieces.

        Raises:
            BadCommandError: there is none.
        """
        if not self.accept_announcement():
            raise BadCommandError("a literal is not written {n} at the end of a line")

    def accept_announcement(self) -> bool:
        """Take the ``{n}`` at the end of a line whose literal is not among the pieces, if it is next."""
        if self._next != len(self._pieces) or _LITERAL_MARK.fullmatch(self._line, self._position) is None:
            return False
        self._position = len(self._line)
        return True

    def astring(self, what: str = "an argument") -> bytes:
        """
        Take an atom, a quoted string or a literal.

        Raises:
            BadCommandError: there is none.
        """
        found = _ASTRING_ATOM.match(self._line, self._position)
        if found is not None and not (found.group() == b"~" and self._line.startswith(b"{", found.end())):
            self._position = found.end()
            return found.group()
        if self.peek() in {b'"', b"{", b"~"}:
            return self.string()
        raise BadCommandError(f"expected {what}")

    def nstring(self) -> bytes | None:
        """
        Take a string, or NIL for None.

        Raises:
            BadCommandError: there is neither.
        """
        if self.peek() in {b'"', b"{", b"~"}:
            return self.string()
        if self.word("a string or NIL") != b"NIL":
            raise BadCommandError("expected a string or NIL")
        return None

    def list_mailbox(self) -> bytes:
        """
        Take a mailbox name that may hold ``*`` and ``%``.

        Raises:
            BadCommandError: there is none.
        """
        found = _LIST_ATOM.match(self._line, self._position)
        if found is not None and not (found.group() == b"~" and self._line.startswith(b"{", found.end())):
            self._position = found.end()
            return found.group()
        return self.string()

    def rest_of_line(self) -> bytes | None:
        """Show all that follows; None when there is a literal in it."""
        return self._line[self._position :] if self._next == len(self._pieces) else None

    def take_rest(self) -> None:
        """Take all that `rest_of_line` showed."""
        self._position = len(self._line)
