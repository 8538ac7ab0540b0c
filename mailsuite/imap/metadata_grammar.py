"""GETMETADATA, SETMETADATA, and what LIST asks of annotations (RFC 5464 section 5, RFC 9590 section 5)."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

from mailsuite.imap import metadata_commands
from mailsuite.imap.commands import Command, MetadataRequest
from mailsuite.imap.names import decode_name
from mailsuite.imap.tokens import BadCommandError, Tokens
from mailsuite.interfaces.annotations import Depth

ENTRY_MAX_OCTETS = 255
ENTRIES_MAX = 256

T = TypeVar("T")

_IN_NO_ENTRY = re.compile(rb"[^\x20-\x7e]|[*%]")
_DEPTH = re.compile(rb"(?i)0|1|infinity")
_BEGINS_ENTRY = frozenset((b"/", b'"', b"{", b"~"))


@attrs.frozen
class _Options:
    """Options of GETMETADATA (RFC 5464 sections 4.2.1 and 4.2.2); None was not given."""

    max_octets: int | None = None
    depth: Depth | None = None


def take_entry(tokens: Tokens) -> str:
    """
    Take the name of an entry (RFC 5464 section 3.2).

    Raises:
        BadCommandError: it cannot be one; as NO with LIMIT, when it is too long.
    """
    octets = tokens.astring("the name of an entry")
    if not octets.startswith(b"/") or octets.endswith(b"/") or b"//" in octets or _IN_NO_ENTRY.search(octets):
        raise BadCommandError("that cannot be the name of an entry")
    if len(octets) > ENTRY_MAX_OCTETS:
        raise BadCommandError("the name of an entry is too long", status=b"NO", code=b"LIMIT")
    return octets.decode("ascii")


def _take_rest(tokens: Tokens, read: Callable[[Tokens], T]) -> list[T]:
    """Read ``a b c)``."""
    values = [read(tokens)]
    while not tokens.accept(b")"):
        if len(values) == ENTRIES_MAX:
            raise BadCommandError("too many entries")
        tokens.space()
        values.append(read(tokens))
    return values


def _take_options(tokens: Tokens, options: _Options) -> _Options:
    """Read ``MAXSIZE 100 DEPTH 1)``; each option may be given once."""
    while True:
        word = tokens.word("an option")
        tokens.space()
        if word == b"MAXSIZE" and options.max_octets is None:
            options = attrs.evolve(options, max_octets=tokens.number())
        elif word == b"DEPTH" and options.depth is None:
            options = attrs.evolve(options, depth=Depth(tokens.take(_DEPTH, "0, 1 or infinity").decode().lower()))
        else:
            raise BadCommandError("unknown option of GETMETADATA, or the same twice")
        if tokens.accept(b")"):
            return options
        tokens.space()


def take_request(tokens: Tokens, options: _Options | None = None) -> MetadataRequest:
    """
    Take the entries that are asked for, and options before them.

    Raises:
        BadCommandError: they cannot be read.
    """
    options = options or _Options()
    opened = tokens.accept(b"(")
    if opened and tokens.peek() not in _BEGINS_ENTRY:
        options = _take_options(tokens, options)
        tokens.space()
        opened = tokens.accept(b"(")
    entries = _take_rest(tokens, take_entry) if opened else [take_entry(tokens)]
    return MetadataRequest(tuple(entries), options.max_octets, options.depth or Depth.ENTRY)


def merge_requests(requests: Sequence[MetadataRequest]) -> MetadataRequest:
    """
    Make one request of several: an option that is given twice counts once (RFC 5258 section 3).

    Raises:
        BadCommandError: they ask for too much.
    """
    if len(requests) == 1:
        return requests[0]
    entries: dict[str, str] = {}
    for request in requests:
        for entry in request.entries:
            entries.setdefault(entry.lower(), entry)
    if len(entries) > ENTRIES_MAX:
        raise BadCommandError("too many entries")
    sizes = [request.max_octets for request in requests if request.max_octets is not None]
    return MetadataRequest(
        tuple(entries.values()),
        max(sizes) if len(sizes) == len(requests) else None,
        max((request.depth for request in requests), key=list(Depth).index),
    )


def _take_mailbox(tokens: Tokens) -> str:
    """Take the name of a mailbox; the empty one stands for the server (RFC 5464 section 4.2)."""
    octets = tokens.astring("a mailbox name")
    return decode_name(octets, utf8=tokens.utf8) if octets else ""


def read_get_metadata(tag: bytes, tokens: Tokens) -> Command:
    """GETMETADATA (RFC 5464 section 4.2); its options stand before the mailbox, or, with some clients, behind it."""
    tokens.space()
    options = _Options()
    if tokens.accept(b"("):
        options = _take_options(tokens, options)
        tokens.space()
    mailbox = _take_mailbox(tokens)
    tokens.space()
    return metadata_commands.GetMetadata(tag, mailbox, take_request(tokens, options))


def read_set_metadata(tag: bytes, tokens: Tokens) -> Command:
    """SETMETADATA (RFC 5464 section 4.3)."""
    tokens.space()
    mailbox = _take_mailbox(tokens)
    tokens.space()
    tokens.expect(b"(")
    return metadata_commands.SetMetadata(tag, mailbox, _latest(_take_rest(tokens, _take_entry_and_value)))


def _take_entry_and_value(tokens: Tokens) -> tuple[str, bytes | None]:
    entry = take_entry(tokens)
    tokens.space()
    return entry, tokens.nstring()


def _latest(pairs: list[tuple[str, bytes | None]]) -> Mapping[str, bytes | None]:
    """Keep of entries that are the same but for their case what was written last."""
    latest = {entry.lower(): (entry, value) for entry, value in pairs}
    return dict(latest.values())
