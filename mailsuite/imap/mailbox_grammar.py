"""Commands on mailboxes: SELECT, EXAMINE, CREATE, RENAME, STATUS, LIST and LSUB."""

from mailsuite.imap import commands
from mailsuite.imap.arguments import (
    BACKSLASH_WORD,
    take_mailbox,
    take_mailbox_as_given,
    take_new_mailbox,
    take_parenthesised,
)
from mailsuite.imap.commands import Command
from mailsuite.imap.metadata_grammar import merge_requests, take_request
from mailsuite.imap.modifiers import parse_select_parameters
from mailsuite.imap.names import decode_pattern
from mailsuite.imap.tokens import BadCommandError, Tokens
from mailsuite.interfaces import SpecialUse

_SPECIAL_USES = {use.value.lower().encode("ascii"): use for use in SpecialUse}
_STATUS_ITEMS = {item.value: item for item in commands.StatusItem}
_LIST_SELECTIONS = {selection.value: selection for selection in commands.ListSelection}
_LIST_RETURNS = {returned.value: returned for returned in commands.ListReturn}


def read_select(tag: bytes, tokens: Tokens) -> Command:
    """SELECT (RFC 3501 section 6.3.1, RFC 7162 section 3.1.8)."""
    mailbox, given = _take_mailbox_to_open(tokens)
    parameters = parse_select_parameters(tokens)
    return commands.Select(tag, mailbox, parameters.condstore, parameters.resync, given)


def read_examine(tag: bytes, tokens: Tokens) -> Command:
    """EXAMINE (RFC 3501 section 6.3.2, RFC 7162 section 3.1.8)."""
    mailbox, given = _take_mailbox_to_open(tokens)
    parameters = parse_select_parameters(tokens)
    return commands.Examine(tag, mailbox, parameters.condstore, parameters.resync, given)


def _take_mailbox_to_open(tokens: Tokens) -> tuple[str, str]:
    """Take a name; one that no mailbox can have is refused like one that none has: the last mailbox is left."""
    try:
        return take_mailbox_as_given(tokens)
    except BadCommandError as error:
        error.unselects = error.status == b"NO"
        raise


def read_create(tag: bytes, tokens: Tokens) -> Command:
    """CREATE (RFC 3501 section 6.3.3, RFC 6154 section 3)."""
    name, given = take_new_mailbox(tokens)
    uses: list[SpecialUse] = []
    if not tokens.at_end():
        tokens.space()
        tokens.expect(b"(")
        if tokens.word("a parameter") != b"USE":
            raise BadCommandError("unknown parameter of CREATE")
        tokens.space()
        uses = take_parenthesised(tokens, _special_use, empty=True)
        tokens.expect(b")")
    return commands.Create(tag, name, frozenset(uses), given)


def _special_use(tokens: Tokens) -> SpecialUse:
    use = _SPECIAL_USES.get(tokens.take(BACKSLASH_WORD, "a special use").lower())
    if use is None:
        raise BadCommandError("unknown special use", status=b"NO", code=b"USEATTR")
    return use


def read_rename(tag: bytes, tokens: Tokens) -> Command:
    """RENAME (RFC 3501 section 6.3.5)."""
    name, given = take_mailbox_as_given(tokens)
    new_name, new_given = take_new_mailbox(tokens)
    return commands.Rename(tag, name, new_name, (given or name) if given or new_given else "")


def read_delete(tag: bytes, tokens: Tokens) -> Command:
    """DELETE (RFC 3501 section 6.3.4)."""
    return commands.Delete(tag, *take_mailbox_as_given(tokens))


def _status_item(tokens: Tokens) -> commands.StatusItem:
    item = _STATUS_ITEMS.get(tokens.word("a status item"))
    if item is None:
        raise BadCommandError("unknown status item")
    return item


def _status_items(tokens: Tokens) -> tuple[commands.StatusItem, ...]:
    return tuple(dict.fromkeys(take_parenthesised(tokens, _status_item)))


def read_status(tag: bytes, tokens: Tokens) -> Command:
    """STATUS (RFC 3501 section 6.3.10)."""
    mailbox = take_mailbox(tokens)
    tokens.space()
    return commands.Status(tag, mailbox, _status_items(tokens))


def _list_selection(tokens: Tokens) -> commands.ListSelection:
    selection = _LIST_SELECTIONS.get(tokens.word("a selection option"))
    if selection is None:
        raise BadCommandError("unknown selection option of LIST")
    return selection


def _pattern(tokens: Tokens) -> str:
    return decode_pattern(tokens.list_mailbox(), utf8=tokens.utf8)


def read_list(tag: bytes, tokens: Tokens) -> Command:
    """LIST in both forms (RFC 3501 section 6.3.8, RFC 5258 section 3, RFC 9590 section 5)."""
    tokens.space()
    extended = False
    selection: frozenset[commands.ListSelection] = frozenset()
    if tokens.peek() == b"(":
        extended = True
        selection = frozenset(take_parenthesised(tokens, _list_selection, empty=True))
        # REMOTE and SPECIAL-USE are independent options, not base ones (RFC 5258 section 6, RFC 6154 section 6).
        if commands.ListSelection.RECURSIVEMATCH in selection and commands.ListSelection.SUBSCRIBED not in selection:
            raise BadCommandError("RECURSIVEMATCH needs SUBSCRIBED")
        tokens.space()
    reference = decode_pattern(tokens.astring("a reference"), utf8=tokens.utf8)
    tokens.space()
    if tokens.peek() == b"(":
        extended = True
        patterns = take_parenthesised(tokens, _pattern)
    else:
        patterns = [_pattern(tokens)]
    returns: frozenset[commands.ListReturn] = frozenset()
    status: tuple[commands.StatusItem, ...] = ()
    metadata: commands.MetadataRequest | None = None
    if not tokens.at_end():
        extended = True
        returns, status, metadata = _list_returns(tokens)
    return commands.List(tag, reference, tuple(patterns), extended, selection, returns, status, metadata)


_Returns = tuple[frozenset[commands.ListReturn], tuple[commands.StatusItem, ...], commands.MetadataRequest | None]


def _list_returns(tokens: Tokens) -> _Returns:
    """Read ``RETURN (CHILDREN STATUS (MESSAGES) METADATA (/private/comment))``."""
    status: list[commands.StatusItem] = []
    metadata: list[commands.MetadataRequest] = []

    def read(tokens: Tokens) -> commands.ListReturn | None:
        word = tokens.word("a return option")
        if word == b"STATUS":
            tokens.space()
            status.extend(_status_items(tokens))
            return None
        if word == b"METADATA":
            tokens.space()
            metadata.append(take_request(tokens))
            return None
        if word not in _LIST_RETURNS:
            raise BadCommandError("unknown return option of LIST")
        return _LIST_RETURNS[word]

    tokens.space()
    if tokens.word("RETURN") != b"RETURN":
        raise BadCommandError("expected RETURN")
    tokens.space()
    returns = take_parenthesised(tokens, read, empty=True)
    return (
        frozenset(filter(None, returns)),
        tuple(dict.fromkeys(status)),
        merge_requests(metadata) if metadata else None,
    )


def read_lsub(tag: bytes, tokens: Tokens) -> Command:
    """LSUB (RFC 3501 section 6.3.9)."""
    tokens.space()
    reference = decode_pattern(tokens.astring("a reference"), utf8=tokens.utf8)
    tokens.space()
    return commands.Lsub(tag, reference, _pattern(tokens))
