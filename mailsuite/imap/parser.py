"""
From the octets of a command to its value (RFC 3501 section 9).

`parse_command` reads what `mailsuite.imap.wire.CommandAssembler` gives; `parse_append` reads what stands before the
first message of an APPEND, and `parse_append_part` what stands before a further one.
"""

import binascii
import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from mailsuite.errors import ProtocolError
from mailsuite.imap import commands
from mailsuite.imap.commands import Command
from mailsuite.imap.fetch_grammar import parse_fetch_items
from mailsuite.imap.modifiers import parse_fetch_modifiers, parse_select_parameters, parse_unchanged_since
from mailsuite.imap.names import SEPARATOR, canonical_name, check_name, decode_name, decode_pattern, decode_utf7
from mailsuite.imap.search_grammar import MONTHS, SearchKey, parse_search, parse_search_criteria
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.sort_grammar import parse_sort_criteria
from mailsuite.imap.threads import ThreadAlgorithm
from mailsuite.imap.tokens import BadCommandError, Tokens
from mailsuite.interfaces.storage import SpecialUse, StoreMode

ARGUMENTS_MAX = 10_000
KEYWORD_MAX_OCTETS = 50
ID_PAIRS_MAX = 30  # RFC 2971 section 3.3
ID_FIELD_MAX_OCTETS = 30
ID_VALUE_MAX_OCTETS = 1024
SYSTEM_FLAGS = ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")

T = TypeVar("T")

_SET = re.compile(rb"[0-9*:,]+|\$")
_DATE_TIME = re.compile(
    rb'"([ 0-9]?[0-9])-([A-Za-z]{3})-([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_SYSTEM_FLAG = re.compile(rb'\\[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_STORE_ITEM = re.compile(rb"[+-]?[A-Za-z.]+")
_RETURN = re.compile(rb"(?:RETURN (?=\())?", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}|=")
_MINUTES_OF_HOUR = 60
_HOURS_OF_ZONE = 24

_FLAGS = {flag.lower().encode("ascii"): flag for flag in SYSTEM_FLAGS}
_SPECIAL_USES = {use.value.lower().encode("ascii"): use for use in SpecialUse}
_STATUS_ITEMS = {item.value: item for item in commands.StatusItem}
_LIST_SELECTIONS = {selection.value: selection for selection in commands.ListSelection}
_LIST_RETURNS = {returned.value: returned for returned in commands.ListReturn}
_SEARCH_RETURNS = {returned.value: returned for returned in commands.SearchReturn}
_THREAD_ALGORITHMS = {algorithm.value: algorithm for algorithm in ThreadAlgorithm}
_STORE_ITEMS = {
    mode.value.encode("ascii") + suffix: (mode, bool(suffix)) for mode in StoreMode for suffix in (b"", b".SILENT")
}


def parse_command(pieces: tuple[bytes, ...]) -> Command:
    """
    Read a whole command.

    Raises:
        BadCommandError: it cannot be read; with its tag if that can.
    """
    tokens = Tokens(pieces)
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
        raise _tagged(error, tag) from error
    return command


def parse_append(head: tuple[bytes, ...]) -> commands.Append:
    """
    Read what stands before the first message of an APPEND.

    Args:
        head: of `mailsuite.imap.wire.BeginMessageLiteral`.

    Raises:
        BadCommandError: it cannot be read; with its tag if that can.
    """
    tokens = Tokens(head)
    tag: bytes | None = None
    try:
        tag = tokens.tag()
        tokens.space()
        if tokens.word("a command") != b"APPEND":
            raise BadCommandError("unknown command")
        mailbox = _mailbox(tokens)
        part = _append_part(tokens)
    except ProtocolError as error:
        raise _tagged(error, tag) from error
    return commands.Append(tag, mailbox, part)


def parse_append_part(head: tuple[bytes, ...], tag: bytes) -> commands.AppendPart:
    """
    Read what stands between two messages of an APPEND (RFC 3502).

    Raises:
        BadCommandError: it cannot be read.
    """
    try:
        return _append_part(Tokens(head))
    except ProtocolError as error:
        raise _tagged(error, tag) from error


def _tagged(error: ProtocolError, tag: bytes | None) -> BadCommandError:
    if isinstance(error, BadCommandError):
        return BadCommandError(
            error.detail,
            tag=tag,
            status=error.status,
            code=error.code,
            close=error.close,
            forgets=error.forgets,
        )
    return BadCommandError(error.detail, tag=tag, close=error.close)


def _append_part(tokens: Tokens) -> commands.AppendPart:
    """Read flags and date, up to the announcement of the message."""
    flags: frozenset[str] = frozenset()
    date = None
    tokens.space()
    if tokens.peek() == b"(":
        flags = _flag_list(tokens)
        tokens.space()
    if tokens.peek() == b'"':
        date = _date_time(tokens)
        tokens.space()
    tokens.announcement()
    return commands.AppendPart(flags, date)


def _mailbox(tokens: Tokens) -> str:
    tokens.space()
    return decode_name(tokens.astring("a mailbox name"))


def _new_mailbox(tokens: Tokens) -> str:
    """Read a name to be made; a separator at its end only says that there will be others below."""
    tokens.space()
    octets = tokens.astring("a mailbox name")
    name = canonical_name(decode_utf7(octets))
    if len(name) > 1:
        name = name.removesuffix(SEPARATOR)
    check_name(name)
    return name


def _flag(tokens: Tokens) -> str:
    if tokens.peek() == b"\\":
        flag = _FLAGS.get(tokens.take(_SYSTEM_FLAG, "a flag").lower())
        if flag is None:
            raise BadCommandError("unknown system flag")
        return flag
    keyword = tokens.atom("a flag")
    if len(keyword) > KEYWORD_MAX_OCTETS:
        raise BadCommandError("the keyword is too long", status=b"NO", code=b"LIMIT")
    return keyword.decode("ascii")


def _parenthesised(tokens: Tokens, read: Callable[[Tokens], T], *, empty: bool = False) -> list[T]:
    """Read ``(a b c)``."""
    tokens.expect(b"(")
    values: list[T] = []
    if empty and tokens.accept(b")"):
        return values
    while True:
        values.append(read(tokens))
        if len(values) > ARGUMENTS_MAX:
            raise BadCommandError("too many arguments")
        if tokens.accept(b")"):
            return values
        tokens.space()


def _flag_list(tokens: Tokens) -> frozenset[str]:
    return frozenset(_parenthesised(tokens, _flag, empty=True))


def _date_time(tokens: Tokens) -> int:
    found = _DATE_TIME.fullmatch(tokens.take(_DATE_TIME, "a date and time"))
    if found is None:  # it has just matched
        raise BadCommandError("expected a date and time")
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
    offset = dt.timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    if int(zone_minutes) >= _MINUTES_OF_HOUR or int(zone_hours) >= _HOURS_OF_ZONE:
        raise BadCommandError("there is no such time zone")
    try:
        moment = dt.datetime(
            int(year),
            MONTHS[month.upper()],
            int(day),
            int(hour),
            int(minute),
            min(int(second), 59),  # a leap second (RFC 5322 section 3.3) has no place of its own in the epoch
            tzinfo=dt.timezone(-offset if sign == b"-" else offset),
        )
    except (KeyError, ValueError) as error:
        raise BadCommandError("there is no such date") from error
    return int(moment.timestamp())


def _messages(tokens: Tokens) -> SequenceSet:
    tokens.space()
    return SequenceSet.parse(tokens.take(_SET, "a message set"))


def _id(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    if tokens.peek() != b"(":
        if tokens.nstring() is not None:
            raise BadCommandError("expected a list or NIL")
        return commands.Id(tag, {})
    words = _parenthesised(tokens, Tokens.nstring, empty=True)
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


def _select(tag: bytes, tokens: Tokens) -> Command:
    mailbox = _mailbox(tokens)
    parameters = parse_select_parameters(tokens)
    return commands.Select(tag, mailbox, parameters.condstore, parameters.resync)


def _examine(tag: bytes, tokens: Tokens) -> Command:
    mailbox = _mailbox(tokens)
    parameters = parse_select_parameters(tokens)
    return commands.Examine(tag, mailbox, parameters.condstore, parameters.resync)


def _create(tag: bytes, tokens: Tokens) -> Command:
    name = _new_mailbox(tokens)
    uses: list[SpecialUse] = []
    if not tokens.at_end():
        tokens.space()
        tokens.expect(b"(")
        if tokens.word("a parameter") != b"USE":
            raise BadCommandError("unknown parameter of CREATE")
        tokens.space()
        uses = _parenthesised(tokens, _special_use, empty=True)
        tokens.expect(b")")
    return commands.Create(tag, name, frozenset(uses))


def _special_use(tokens: Tokens) -> SpecialUse:
    use = _SPECIAL_USES.get(tokens.take(_SYSTEM_FLAG, "a special use").lower())
    if use is None:
        raise BadCommandError("unknown special use", status=b"NO", code=b"USEATTR")
    return use


def _rename(tag: bytes, tokens: Tokens) -> Command:
    return commands.Rename(tag, _mailbox(tokens), _new_mailbox(tokens))


def _status_item(tokens: Tokens) -> commands.StatusItem:
    item = _STATUS_ITEMS.get(tokens.word("a status item"))
    if item is None:
        raise BadCommandError("unknown status item")
    return item


def _status_items(tokens: Tokens) -> tuple[commands.StatusItem, ...]:
    return tuple(dict.fromkeys(_parenthesised(tokens, _status_item)))


def _status(tag: bytes, tokens: Tokens) -> Command:
    mailbox = _mailbox(tokens)
    tokens.space()
    return commands.Status(tag, mailbox, _status_items(tokens))


def _list_selection(tokens: Tokens) -> commands.ListSelection:
    selection = _LIST_SELECTIONS.get(tokens.word("a selection option"))
    if selection is None:
        raise BadCommandError("unknown selection option of LIST")
    return selection


def _pattern(tokens: Tokens) -> str:
    return decode_pattern(tokens.list_mailbox())


def _list(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    extended = False
    selection: frozenset[commands.ListSelection] = frozenset()
    if tokens.peek() == b"(":
        extended = True
        selection = frozenset(_parenthesised(tokens, _list_selection, empty=True))
        if selection <= {commands.ListSelection.RECURSIVEMATCH, commands.ListSelection.REMOTE} and (
            commands.ListSelection.RECURSIVEMATCH in selection
        ):
            raise BadCommandError("RECURSIVEMATCH needs another selection option")
        tokens.space()
    reference = decode_pattern(tokens.astring("a reference"))
    tokens.space()
    if tokens.peek() == b"(":
        extended = True
        patterns = _parenthesised(tokens, _pattern)
    else:
        patterns = [_pattern(tokens)]
    returns: frozenset[commands.ListReturn] = frozenset()
    status: tuple[commands.StatusItem, ...] = ()
    if not tokens.at_end():
        extended = True
        returns, status = _list_returns(tokens)
    return commands.List(tag, reference, tuple(patterns), extended, selection, returns, status)


def _list_returns(tokens: Tokens) -> tuple[frozenset[commands.ListReturn], tuple[commands.StatusItem, ...]]:
    """Read ``RETURN (CHILDREN STATUS (MESSAGES))``."""
    status: list[commands.StatusItem] = []

    def read(tokens: Tokens) -> commands.ListReturn | None:
        word = tokens.word("a return option")
        if word == b"STATUS":
            tokens.space()
            status.extend(_status_items(tokens))
            return None
        if word not in _LIST_RETURNS:
            raise BadCommandError("unknown return option of LIST")
        return _LIST_RETURNS[word]

    tokens.space()
    if tokens.word("RETURN") != b"RETURN":
        raise BadCommandError("expected RETURN")
    tokens.space()
    returns = _parenthesised(tokens, read, empty=True)
    return frozenset(filter(None, returns)), tuple(dict.fromkeys(status))


def _lsub(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    reference = decode_pattern(tokens.astring("a reference"))
    tokens.space()
    return commands.Lsub(tag, reference, _pattern(tokens))


def _append(tag: bytes, tokens: Tokens) -> Command:  # noqa: ARG001 - all readers have one form
    raise BadCommandError("APPEND needs a message as a literal")


def _enable(tag: bytes, tokens: Tokens) -> Command:
    capabilities: list[bytes] = []
    while True:
        tokens.space()
        capabilities.append(tokens.word("a capability"))
        if tokens.at_end():
            return commands.Enable(tag, tuple(capabilities))
        if len(capabilities) > ARGUMENTS_MAX:
            raise BadCommandError("too many arguments")


def _search_return(tokens: Tokens) -> commands.SearchReturn:
    returned = _SEARCH_RETURNS.get(tokens.word("a return option"))
    if returned is None:
        raise BadCommandError("unknown return option")
    return returned


def _search_returns(tokens: Tokens) -> frozenset[commands.SearchReturn] | None:
    """Read ``RETURN (MIN MAX)`` and the space after it, if it is there; an empty list asks for ALL."""
    if not tokens.take(_RETURN, "RETURN"):
        return None
    returns = frozenset(_parenthesised(tokens, _search_return, empty=True))
    tokens.space()
    return returns or frozenset((commands.SearchReturn.ALL,))


def _search(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    tokens.space()
    returns = _search_returns(tokens)
    return commands.Search(tag, _search_key(parse_search, tokens, returns), uid, returns)


def _sort(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    tokens.space()
    returns = _search_returns(tokens)
    criteria = parse_sort_criteria(tokens)
    tokens.space()
    return commands.Sort(tag, criteria, _search_key(parse_search_criteria, tokens, returns), uid, returns)


def _thread(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    tokens.space()
    algorithm = _THREAD_ALGORITHMS.get(tokens.word("a threading algorithm"))
    if algorithm is None:
        raise BadCommandError("unknown threading algorithm")
    tokens.space()
    return commands.Thread(tag, algorithm, parse_search_criteria(tokens), uid)


def _search_key(
    parse: Callable[[Tokens], SearchKey], tokens: Tokens, returns: frozenset[commands.SearchReturn] | None
) -> SearchKey:
    """Read what to search for; a refusal with NO empties what the search was to replace (RFC 5182 section 2.1)."""
    try:
        return parse(tokens)
    except BadCommandError as error:
        error.forgets = error.status == b"NO" and returns is not None and commands.SearchReturn.SAVE in returns
        raise


def _fetch(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    messages = _messages(tokens)
    tokens.space()
    items = parse_fetch_items(tokens, uid=uid)
    if tokens.at_end():
        return commands.Fetch(tag, messages, items, uid)
    modifiers = parse_fetch_modifiers(tokens)
    return commands.Fetch(tag, messages, items.with_modseq(), uid, modifiers.changed_since, modifiers.vanished)


def _store(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    messages = _messages(tokens)
    tokens.space()
    unchanged_since = parse_unchanged_since(tokens)
    item = _STORE_ITEMS.get(tokens.take(_STORE_ITEM, "FLAGS, +FLAGS or -FLAGS").upper())
    if item is None:
        raise BadCommandError("expected FLAGS, +FLAGS or -FLAGS")
    mode, silent = item
    tokens.space()
    if tokens.peek() == b"(":
        flags = _flag_list(tokens)
    else:
        listed = [_flag(tokens)]
        while not tokens.at_end():
            tokens.space()
            listed.append(_flag(tokens))
        flags = frozenset(listed)
    return commands.Store(tag, messages, mode, flags, silent, uid, unchanged_since)


def _compress(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    return commands.Compress(tag, tokens.word("a mechanism"))


def _get_quota(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    return commands.GetQuota(tag, tokens.astring("a quota root"))


def _copy(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    return commands.Copy(tag, _messages(tokens), _mailbox(tokens), uid)


def _move(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    return commands.Move(tag, _messages(tokens), _mailbox(tokens), uid)


def _uid(tag: bytes, tokens: Tokens) -> Command:
    tokens.space()
    word = tokens.word("a command")
    if word == b"EXPUNGE":
        return commands.Expunge(tag, _messages(tokens))
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
    return lambda tag, tokens: make(tag, _mailbox(tokens))


_UID_COMMANDS: Mapping[bytes, _ReadsNumbered] = {
    b"COPY": _copy,
    b"FETCH": _fetch,
    b"MOVE": _move,
    b"SEARCH": _search,
    b"SORT": _sort,
    b"STORE": _store,
    b"THREAD": _thread,
}
_COMMANDS: Mapping[bytes, Callable[[bytes, Tokens], Command]] = {
    b"CAPABILITY": _bare(commands.Capability),
    b"NOOP": _bare(commands.Noop),
    b"LOGOUT": _bare(commands.Logout),
    b"ID": _id,
    b"STARTTLS": _bare(commands.StartTLS),
    b"AUTHENTICATE": _authenticate,
    b"LOGIN": _login,
    b"SELECT": _select,
    b"EXAMINE": _examine,
    b"CREATE": _create,
    b"DELETE": _of_mailbox(commands.Delete),
    b"RENAME": _rename,
    b"SUBSCRIBE": _of_mailbox(commands.Subscribe),
    b"UNSUBSCRIBE": _of_mailbox(commands.Unsubscribe),
    b"LIST": _list,
    b"LSUB": _lsub,
    b"STATUS": _status,
    b"APPEND": _append,
    b"ENABLE": _enable,
    b"NAMESPACE": _bare(commands.Namespace),
    b"COMPRESS": _compress,
    b"GETQUOTA": _get_quota,
    b"GETQUOTAROOT": _of_mailbox(commands.GetQuotaRoot),
    b"IDLE": _bare(commands.Idle),
    b"CHECK": _bare(commands.Check),
    b"CLOSE": _bare(commands.Close),
    b"UNSELECT": _bare(commands.Unselect),
    b"EXPUNGE": _bare(commands.Expunge),
    b"SEARCH": _search,
    b"SORT": _sort,
    b"THREAD": _thread,
    b"FETCH": _fetch,
    b"STORE": _store,
    b"COPY": _copy,
    b"MOVE": _move,
    b"UID": _uid,
}
