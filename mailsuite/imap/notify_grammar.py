"""What NOTIFY asks for (RFC 5465 section 8)."""

from mailsuite.imap import notify_commands
from mailsuite.imap.arguments import take_name, take_parenthesised
from mailsuite.imap.commands import Command
from mailsuite.imap.fetch_grammar import FetchItems, parse_fetch_list
from mailsuite.imap.notify_commands import MESSAGE_EVENTS, EventGroup, MailboxFilter, NotifyEvent
from mailsuite.imap.tokens import BadCommandError, Tokens

GROUPS_MAX = 100
MAILBOXES_MAX = 1000  # named in one command

_FILTERS = {each.value: each for each in MailboxFilter}
_EVENTS = {each.value.upper().encode("ascii"): each for each in NotifyEvent}
_SELECTED = frozenset((MailboxFilter.SELECTED, MailboxFilter.SELECTED_DELAYED))
_WITH_NAMES = frozenset((MailboxFilter.SUBTREE, MailboxFilter.MAILBOXES))
_COUNTS = frozenset((NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE))
_BAD_EVENT = b"BADEVENT (" + " ".join(each.value for each in NotifyEvent).encode("ascii") + b")"


def read_notify(tag: bytes, tokens: Tokens) -> Command:
    """NOTIFY (RFC 5465 section 3.1)."""
    tokens.space()
    word = tokens.word("SET or NONE")
    if word == b"NONE":
        return notify_commands.Notify(tag, ())
    if word != b"SET":
        raise BadCommandError("expected SET or NONE")
    tokens.space()
    status = tokens.peek() != b"("
    if status:
        if tokens.word("STATUS") != b"STATUS":
            raise BadCommandError("expected STATUS, or what to tell of")
        tokens.space()
    groups = [_group(tokens)]
    while not tokens.at_end():
        tokens.space()
        groups.append(_group(tokens))
        if len(groups) > GROUPS_MAX:
            raise BadCommandError("too many groups of events")
    if sum(group.filter in _SELECTED for group in groups) > 1:
        raise BadCommandError("the selected mailbox is named twice")  # RFC 5465 section 6.1
    if sum(len(group.mailboxes) for group in groups) > MAILBOXES_MAX:
        raise BadCommandError("too many mailboxes", status=b"NO", code=b"NOTIFICATIONOVERFLOW")
    return notify_commands.Notify(tag, tuple(groups), status)


def _group(tokens: Tokens) -> EventGroup:
    tokens.expect(b"(")
    chosen = _FILTERS.get(tokens.word("which mailboxes"))
    if chosen is None:
        raise BadCommandError("unknown kind of mailboxes")
    mailboxes = _mailboxes(tokens) if chosen in _WITH_NAMES else ()
    tokens.space()
    events: dict[NotifyEvent, FetchItems | None] = {}
    if tokens.peek() == b"(":
        events = dict(take_parenthesised(tokens, _event))
    elif tokens.word("events") != b"NONE":
        raise BadCommandError("expected NONE, or events in parentheses")
    tokens.expect(b")")
    items = events.get(NotifyEvent.MESSAGE_NEW)
    _check(chosen, frozenset(events), items)
    return EventGroup(chosen, mailboxes, frozenset(events), items)


def _mailboxes(tokens: Tokens) -> tuple[str, ...]:
    """Read a space and one name, or several in parentheses."""
    tokens.space()
    names = take_parenthesised(tokens, take_name) if tokens.peek() == b"(" else [take_name(tokens)]
    return tuple(dict.fromkeys(names))


def _event(tokens: Tokens) -> tuple[NotifyEvent, FetchItems | None]:
    event = _EVENTS.get(tokens.word("an event"))
    if event is None:
        raise BadCommandError("unknown event", status=b"NO", code=_BAD_EVENT)
    if event is NotifyEvent.MESSAGE_NEW and tokens.accept(b" ("):
        return event, parse_fetch_list(tokens)
    return event, None


def _check(chosen: MailboxFilter, events: frozenset[NotifyEvent], items: FetchItems | None) -> None:
    """Check what must stand together, and what must not (RFC 5465 sections 5, 6.1 and 8)."""
    counts = events & _COUNTS
    if len(counts) == 1 or (NotifyEvent.FLAG_CHANGE in events and not counts):
        raise BadCommandError("MessageNew and MessageExpunge belong together, and FlagChange needs them")
    if chosen not in _SELECTED and items is not None:
        raise BadCommandError("data items are for the selected mailbox only")
    if chosen in _SELECTED and not events <= MESSAGE_EVENTS:
        raise BadCommandError("of the selected mailbox only events of messages are told")
