"""
From the octets of a command to its value (RFC 3501 section 9).

`parse_command` reads what `mailsuite.imap.wire.CommandAssembler` gives, but for APPEND and REPLACE: those are read by
`mailsuite.imap.append_grammar`.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

from mailsuite.errors import ProtocolError
from mailsuite.imap import commands
from mailsuite.imap.acl_grammar import (
    read_delete_acl,
    read_get_acl,
    read_list_rights,
    read_my_rights,
    read_set_acl,
)
from mailsuite.imap.arguments import (
    ARGUMENTS_MAX,
    take_flag,
    take_flag_list,
    take_mailbox,
    take_messages,
    take_parenthesised,
)
from mailsuite.imap.commands import Command
from mailsuite.imap.fetch_grammar import parse_fetch_items
from mailsuite.imap.finding_grammar import read_search, read_sort, read_thread
from mailsuite.imap.mailbox_grammar import (
    read_create,
    read_delete,
    read_examine,
    read_list,
    read_lsub,
    read_rename,
    read_select,
    read_status,
)
from mailsuite.imap.metadata_grammar import read_get_metadata, read_set_metadata
from mailsuite.imap.modifiers import parse_fetch_modifiers, parse_unchanged_since
from mailsuite.imap.notify_grammar import read_notify
from mailsuite.imap.quota_grammar import read_get_quota, read_get_quota_root, read_set_quota
from mailsuite.imap.tokens import BadCommandError, Tokens, tagged
from mailsuite.interfaces import StoreMode

ID_PAIRS_MAX = 30  # RFC 2971 section 3.3
ID_FIELD_MAX_OCTETS = 30
ID_VALUE_MAX_OCTETS = 1024


_STORE_ITEM = re.compile(rb"[+-]?[A-Za-z.]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}|=")

_STORE_ITEMS = {
    mode.value.encode("ascii") + suffix: (mode, bool(suffix)) for mode in StoreMode for suffix in (b"", b".SILENT")
}


def parse_command(pieces: tuple[bytes, ...], enabled: AbstractSet[bytes] = frozenset()) -> Command:
    """
    Read a whole command.

    Args:
        enabled: what the client has switched on.

    Raises:
        BadCommandError: it cannot be read; with its tag if that can.
    """
    tokens = Tokens(pieces, enabled)
    tag: bytes | None = None
    try:
        tag = tokens.tag()
        tokens.space()
        read = _COMMANDS.get(tokens.word("a command"))
        if read is None:
            raise BadCommandError("unknown command")
        command = read(tag, tokens)
        tokens.end()
    except ProtocolError as error:
        raise tagged(error, tag) from error
    return command


def _id(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    if tokens.peek() != b"(":
        if tokens.nstring() is not None:
            raise BadCommandError("expected a list or NIL")
        return commands.Id(tag, {})
    words = take_parenthesised(tokens, Tokens.nstring, empty=True)
    if len(words) % 2 or len(words) > 2 * ID_PAIRS_MAX:
        raise BadCommandError("ID takes up to 30 fields, each with its value")
    parameters: dict[bytes, bytes | None] = {}
    for field, value in zip(words[::2], words[1::2], strict=True):
        if field is None or len(field) > ID_FIELD_MAX_OCTETS or len(value or b"") > ID_VALUE_MAX_OCTETS:
            raise BadCommandError("a field of ID has no name or is too long")
        parameters[field.lower()] = value
    return commands.Id(tag, parameters)


def _authenticate(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    mechanism = tokens.word("a mechanism").decode("ascii")
    if tokens.at_end():
        return commands.Authenticate(tag, mechanism)
    tokens.space()
    return commands.Authenticate(tag, mechanism, decode_base64(tokens.take(_BASE64, "an initial response")))


def decode_base64(text: bytes) -> bytes:
    """
    Read what a client answers in AUTHENTICATE; ``=`` alone is empty (RFC 4959 section 3).

    Raises:
        BadCommandError: it is not base64.
    """
    if text == b"=":
        return b""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise BadCommandError("that is not base64") from error


def _login(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    username = tokens.astring("a user name")
    tokens.space()
    return commands.Login(tag, username, tokens.astring("a password"))


def _enable(tag: bytes, tokens: Tokens) -> Command:
    capabilities: list[bytes] = []
    while True:
        tokens.space()
        capabilities.append(tokens.word("a capability"))
        if tokens.at_end():
            return commands.Enable(tag, tuple(capabilities))
        if len(capabilities) > ARGUMENTS_MAX:
            raise BadCommandError("too many arguments")


def _fetch(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    messages = take_messages(tokens)
    tokens.space()
    items = parse_fetch_items(tokens, uid=uid)
    if tokens.at_end():
        return commands.Fetch(tag, messages, items, uid)
    modifiers = parse_fetch_modifiers(tokens)
    if modifiers.page is not None and not uid:
        raise BadCommandError("PARTIAL is for UID FETCH")  # RFC 9394 section 3.3
    if modifiers.changed_since is not None:
        items = items.with_modseq()
    return commands.Fetch(tag, messages, items, uid, modifiers.changed_since, modifiers.vanished, modifiers.page)


def _store(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    messages = take_messages(tokens)
    tokens.space()
    unchanged_since = parse_unchanged_since(tokens)
    item = _STORE_ITEMS.get(tokens.take(_STORE_ITEM, "FLAGS, +FLAGS or -FLAGS").upper())
    if item is None:
        raise BadCommandError("expected FLAGS, +FLAGS or -FLAGS")
    mode, silent = item
    tokens.space()
    if tokens.peek() == b"(":
        flags = take_flag_list(tokens)
    else:
        listed = [take_flag(tokens)]
        while not tokens.at_end():
            tokens.space()
            listed.append(take_flag(tokens))
        flags = frozenset(filter(None, listed))
    return commands.Store(tag, messages, mode, flags, silent, uid, unchanged_since)


def _compress(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    return commands.Compress(tag, tokens.word("a mechanism"))


def _copy(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    return commands.Copy(tag, take_messages(tokens), take_mailbox(tokens), uid)


def _move(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    return commands.Move(tag, take_messages(tokens), take_mailbox(tokens), uid)


def _uid(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    word = tokens.word("a command")
    if word == b"EXPUNGE":
        return commands.Expunge(tag, take_messages(tokens))
    read = _UID_COMMANDS.get(word)
    if read is None:
        raise BadCommandError("unknown command")
    return read(tag, tokens, uid=True)


class _ReadsNumbered(Protocol):
    def __call__(self, tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command: ...


def _bare(make: Callable[[bytes], Command]) -> Callable[[bytes, Tokens], Command]:
    """Read a command without arguments."""
    return lambda tag, tokens: make(tag)  # noqa: ARG005 - all readers have one form


def _of_mailbox(make: Callable[[bytes, str], Command]) -> Callable[[bytes, Tokens], Command]:
    """Read a command whose one argument is a mailbox."""
    return lambda tag, tokens: make(tag, take_mailbox(tokens))


_UID_COMMANDS: Mapping[bytes, _ReadsNumbered] = {
    b"COPY": _copy,
    b"FETCH": _fetch,
    b"MOVE": _move,
    b"SEARCH": read_search,
    b"SORT": read_sort,
    b"STORE": _store,
    b"THREAD": read_thread,
}
_COMMANDS: Mapping[bytes, Callable[[bytes, Tokens], Command]] = {
    b"CAPABILITY": _bare(commands.Capability),
    b"NOOP": _bare(commands.Noop),
    b"LOGOUT": _bare(commands.Logout),
    b"ID": _id,
    b"STARTTLS": _bare(commands.StartTLS),
    b"AUTHENTICATE": _authenticate,
    b"LOGIN": _login,
    b"SELECT": read_select,
    b"EXAMINE": read_examine,
    b"CREATE": read_create,
    b"DELETE": read_delete,
    b"RENAME": read_rename,
    b"SUBSCRIBE": _of_mailbox(commands.Subscribe),
    b"UNSUBSCRIBE": _of_mailbox(commands.Unsubscribe),
    b"LIST": read_list,
    b"LSUB": read_lsub,
    b"STATUS": read_status,
    b"ENABLE": _enable,
    b"NAMESPACE": _bare(commands.Namespace),
    b"UNAUTHENTICATE": _bare(commands.Unauthenticate),
    b"COMPRESS": _compress,
    b"GETQUOTA": read_get_quota,
    b"GETQUOTAROOT": read_get_quota_root,
    b"SETQUOTA": read_set_quota,
    b"GETMETADATA": read_get_metadata,
    b"SETMETADATA": read_set_metadata,
    b"NOTIFY": read_notify,
    b"IDLE": _bare(commands.Idle),
    b"CHECK": _bare(commands.Check),
    b"CLOSE": _bare(commands.Close),
    b"UNSELECT": _bare(commands.Unselect),
    b"EXPUNGE": _bare(commands.Expunge),
    b"SEARCH": read_search,
    b"SORT": read_sort,
    b"THREAD": read_thread,
    b"FETCH": _fetch,
    b"STORE": _store,
    b"COPY": _copy,
    b"MOVE": _move,
    b"UID": _uid,
    b"SETACL": read_set_acl,
    b"DELETEACL": read_delete_acl,
    b"GETACL": read_get_acl,
    b"LISTRIGHTS": read_list_rights,
    b"MYRIGHTS": read_my_rights,
}
