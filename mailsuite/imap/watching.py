"""
What a client wants to hear of after NOTIFY, and when it is told: as it happens, while no command runs.

RFC 5465. The change bus says that something happened; what it was is found by looking, and comparing with what the
client was told last.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from mailsuite.errors import Kind, MailError
from mailsuite.imap import responses
from mailsuite.imap.capabilities import CONDSTORE
from mailsuite.imap.changed_names import changed_names
from mailsuite.imap.commands import StatusItem
from mailsuite.imap.names import SEPARATOR
from mailsuite.imap.notify_commands import MESSAGE_EVENTS, METADATA_EVENTS, EventGroup, MailboxFilter, NotifyEvent
from mailsuite.imap.selected import Selected
from mailsuite.imap.session import Session
from mailsuite.imap.standings import NEW, Standing, Standings
from mailsuite.imap.tree import Tree, attributes_of
from mailsuite.imap.verbs.fetch import write_messages
from mailsuite.interfaces import ANY_MAILBOX, IRightsAccount, ISubscription, MailboxChange, MailboxEntry, MailboxStatus

NO_ACCESS = "\\NoAccess"
WATCHED_MAX = 1000  # mailboxes whose messages are told of
NOTHING = EventGroup(MailboxFilter.SELECTED_DELAYED, (), frozenset())
_SELECTED = (MailboxFilter.SELECTED, MailboxFilter.SELECTED_DELAYED)


class WatchedTooMuchError(Exception):
    """More is to be told than we look at (RFC 5465 section 5.8)."""


class Watching:
    """
    One session between NOTIFY and the next one.

    Args:
        groups: what was asked for; none means nothing.

    Attributes:
        selected_group: what is told of the selected mailbox.
    """

    def __init__(self, session: Session, groups: Sequence[EventGroup]) -> None:
        self._session = session
        self._groups = [group for group in groups if group.filter not in _SELECTED and group.events]
        self.selected_group = next((group for group in groups if group.filter in _SELECTED), NOTHING)
        self._entries: dict[int, MailboxEntry] = {}
        self._ids: dict[str, int] = {}
        self._tree = Tree((), ())
        self._subscribed: frozenset[str] = frozenset()
        self._watched: dict[int, frozenset[NotifyEvent]] = {}
        self._standings = Standings()
        self._denied: set[int] = set()
        self._due: set[int] = set()
        self._names_due = False
        self._own_names: set[str] = set()
        self._told_uid = 0
        self._own_uids: set[int] = set()
        self._followed: dict[int, ISubscription] = {}
        account = session.avatar
        self._rights: IRightsAccount | None = IRightsAccount(account, None)
        self._subscription = account.changes.subscribe(account.account_id, self._changed) if self._groups else None
        if session.selected is not None:
            self.selected(session.selected)

    async def begin(self, *, status: bool) -> None:
        """
        Learn where everything stands.

        Args:
            status: tell the client of it (RFC 5465 section 3.1).

        Raises:
            WatchedTooMuchError: these are too many mailboxes.
        """
        if not self._groups:
            return
        if any(group.events & METADATA_EVENTS for group in self._groups):
            await self._session.watch_annotations()
        self._take_names(await self._session.avatar.list_mailboxes())
        for mailbox_id, events in self._watched.items():
            entry = self._entries[mailbox_id]
            counts = await self._counts(entry)
            self._tell_access(entry, counts)
            if isinstance(counts, MailboxStatus):
                self._standings.know(mailbox_id, Standing.of(counts))
                self._due.discard(mailbox_id)
                if status and not self._is_selected(mailbox_id):
                    self._write_status(entry.name, counts, self._first_items(events))
            await self._session.connection.drained()

    def _first_items(self, events: frozenset[NotifyEvent]) -> Iterator[StatusItem]:
        yield from (StatusItem.MESSAGES, StatusItem.UIDNEXT, StatusItem.UIDVALIDITY)
        if NotifyEvent.FLAG_CHANGE in events and self._session.avatar.remembers:
            yield StatusItem.HIGHESTMODSEQ

    def close(self) -> None:
        """Stop listening; may be called twice."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.cancel()
        self._follow(())

    def _follow(self, mailbox_ids: Collection[int]) -> None:
        """Hear of these mailboxes of others, and of no others."""
        for mailbox_id in set(self._followed).difference(mailbox_ids):
            self._followed.pop(mailbox_id).cancel()
        if self._rights is None:
            return
        for mailbox_id in mailbox_ids:
            following = None if mailbox_id in self._followed else self._rights.follow(mailbox_id)
            if following is not None:
                self._followed[mailbox_id] = following

    # what happens

    def _changed(self, change: MailboxChange) -> None:
        if change.mailbox_id in {0, ANY_MAILBOX}:
            self._names_due = True
        if change.mailbox_id == ANY_MAILBOX:
            self._due.update(self._watched)
        elif change.mailbox_id in self._watched:
            self._due.add(change.mailbox_id)
        if self.is_behind:
            self._session.connection.announce()

    @property
    def is_behind(self) -> bool:
        """Whether there is something to look at."""
        return self._names_due or bool(self._due)

    def own(self, *names: str) -> None:
        """Note that the client makes, renames, removes or subscribes these itself: it need not be told."""
        if self._subscription is not None:
            self._own_names.update(names)

    def own_messages(self, name: str, uids: Sequence[int]) -> None:
        """
        Note a change that the client has made to a mailbox itself (RFC 5465 section 5).

        Args:
            uids: of messages that it has put there; none when it has changed something else.
        """
        selected = self._session.selected
        if selected is not None and selected.mailbox.name == name:
            if self.selected_group.items:
                self._own_uids.update(uids)
        elif (mailbox_id := self._ids.get(name)) in self._due:  # of what was changed there has been a notice
            self._standings.note_own(mailbox_id, added=len(uids))

    def own_removal(self, mailbox_id: int, count: int) -> None:
        """Note that the client has expunged so many messages as it left a mailbox."""
        if count and mailbox_id in self._due:
            self._standings.note_own(mailbox_id, removed=count)

    def selected(self, selected: Selected) -> None:
        """Begin to tell of a mailbox as the selected one."""
        self._told_uid = selected.view.uidnext - 1
        self._own_uids.clear()
        self._due.discard(selected.mailbox.mailbox_id)

    def unselected(self, selected: Selected) -> None:
        """Begin to tell of it as one of the others; what it was told until now it knows."""
        mailbox_id = selected.mailbox.mailbox_id
        if mailbox_id in self._watched:
            view = selected.view
            self._standings.know(
                mailbox_id,
                Standing(
                    messages=len(view),
                    uidnext=view.uidnext,
                    uidvalidity=view.uidvalidity,
                    unseen=None,
                    modseq=view.modseq,
                ),
            )
            self._due.add(mailbox_id)

    # what the client is told

    async def announce(self, *, idling: bool = False) -> None:
        """
        Tell what happened; stop as soon as the client speaks.

        Args:
            idling: within IDLE, which lets sequence numbers change (RFC 5465 section 6.1.2).

        Raises:
            MailError: something cannot be looked at now; NOT_FOUND when the selected mailbox is gone.
        """
        await self._tell_selected(expunge=idling or self.selected_group.filter is MailboxFilter.SELECTED)
        try:
            await self._tell_names()
            await self._tell_standings()
            await self._session.tell_annotations(pushing=True)
        except WatchedTooMuchError:
            connection = self._session.connection
            connection.write(responses.untagged(responses.OK, "too many mailboxes", responses.NOTIFICATIONOVERFLOW))
            self._groups.clear()
            self._watched.clear()
            self._due.clear()
            self._names_due = False
            self.selected_group = NOTHING
            self.close()

    async def _tell_selected(self, *, expunge: bool) -> None:
        selected, group = self._session.selected, self.selected_group
        if selected is None:
            return
        if not group.events:
            await selected.meet_rights()  # who may no longer read it has it no longer
            return
        connection = self._session.connection
        await selected.synchronise()
        if not self._may_speak(selected):
            return
        connection.write(selected.notices(expunge=expunge, uid=True, flags=NotifyEvent.FLAG_CHANGE in group.events))
        code = selected.take_modseq_code()
        if code:
            connection.write(responses.untagged(responses.OK, "highest MODSEQ", code))
        view = selected.view
        fresh = [uid for uid in view.uids[: view.told_exists] if uid > self._told_uid] if group.items else []
        if fresh and group.items is not None:
            self._told_uid = fresh[-1]
            wanted = [uid for uid in fresh if uid not in self._own_uids and not view.is_gone(uid)]
            self._own_uids.difference_update(fresh)
            items = group.items.with_uid() if selected.shows_uid else group.items
            await write_messages(self._session, items, wanted)

    def _may_speak(self, selected: Selected | None = None) -> bool:
        session = self._session
        return session.connection.pushing and (selected is None or session.selected is selected)

    async def _tell_names(self) -> None:
        if not self._names_due:
            return
        self._names_due = False
        entries = await self._session.avatar.list_mailboxes()
        if not self._may_speak():
            self._names_due = True
            return
        before, subscribed = self._entries, self._subscribed
        self._take_names(entries)
        by_name = {entry.name: entry for entry in entries}
        lines = {
            event.name: self._list_line(event.name, by_name.get(event.name), event.former)
            for event in changed_names(before, self._entries, self._hears_of_name)
        }
        for name in sorted(subscribed ^ self._subscribed):
            if NotifyEvent.SUBSCRIPTION_CHANGE in self._events(name) and name not in lines:
                lines[name] = self._list_line(name, by_name.get(name))
        own, self._own_names = self._own_names, set()
        for name, line in lines.items():
            if name not in own:
                self._session.connection.write(line)
        await self._session.connection.drained()

    def _list_line(self, name: str, entry: MailboxEntry | None, former: str = "") -> bytes:
        r"""Write all that LIST tells, and ``\NoAccess`` where it is due (RFC 5465 section 3.1)."""
        shown = self._session.shown
        entry = entry or MailboxEntry(name=name, mailbox_id=0, selectable=False, subscribed=name in self._subscribed)
        attributes = attributes_of(entry, self._tree, extended=True, subscribed=True)
        return responses.list_line(
            [NO_ACCESS, *attributes] if entry.mailbox_id in self._denied else attributes,
            shown(name),
            old_name=shown(former) if former else b"",
        )

    async def _tell_standings(self) -> None:
        for mailbox_id in sorted(self._due):
            self._due.discard(mailbox_id)
            entry = self._entries.get(mailbox_id)
            if entry is None or self._is_selected(mailbox_id):
                continue
            counts = await self._counts(entry)
            if not self._may_speak():
                self._due.add(mailbox_id)
                return
            self._tell_access(entry, counts)
            if not isinstance(counts, MailboxStatus):
                continue
            modseqs = CONDSTORE in self._session.enabled
            items = list(self._standings.news(mailbox_id, Standing.of(counts), self._watched, modseqs=modseqs))
            if items:
                self._write_status(entry.name, counts, items)
                await self._session.connection.drained()

    def _tell_access(self, entry: MailboxEntry, counts: MailboxStatus | Kind) -> None:
        """
        Tell of a mailbox that may be looked up but not read, and when it may be read after all.

        It is watched all the same: the right may be given, which is then seen (RFC 5465 section 5.9).
        """
        mailbox_id, denied = entry.mailbox_id, counts is Kind.DENIED
        if counts is Kind.NOT_FOUND or denied == (mailbox_id in self._denied):
            return
        self._denied ^= {mailbox_id}
        if not denied and not self._standings.is_known(mailbox_id):
            self._standings.know(mailbox_id, NEW)
        self._session.connection.write(self._list_line(entry.name, entry))

    def _write_status(self, name: str, counts: MailboxStatus, items: Iterable[StatusItem]) -> None:
        known = {
            StatusItem.MESSAGES: counts.messages,
            StatusItem.UIDNEXT: counts.uidnext,
            StatusItem.UIDVALIDITY: counts.uidvalidity,
            StatusItem.UNSEEN: counts.unseen,
            StatusItem.HIGHESTMODSEQ: counts.highest_modseq,
        }
        values = {item: b"%d" % known[item] for item in items}
        self._session.connection.write(responses.status_line(self._session.shown(name), values))

    # which mailboxes these are

    def _is_selected(self, mailbox_id: int) -> bool:
        selected = self._session.selected
        return selected is not None and selected.mailbox.mailbox_id == mailbox_id

    async def _counts(self, entry: MailboxEntry) -> MailboxStatus | Kind:
        """Count; NOT_FOUND when the name is gone, or another mailbox's by now, DENIED when it may not be read."""
        try:
            counts = await self._session.avatar.status(entry.name)
        except MailError as error:
            if error.kind not in {Kind.NOT_FOUND, Kind.DENIED}:
                raise
            return error.kind
        return counts if counts.mailbox_id == entry.mailbox_id else Kind.NOT_FOUND

    def _take_names(self, entries: Sequence[MailboxEntry]) -> None:
        """Take in what there is, and find out again what is watched."""
        fresh = {entry.mailbox_id for entry in entries} - set(self._entries) if self._entries else set()
        self._entries = {entry.mailbox_id: entry for entry in entries if entry.mailbox_id}
        self._ids = {entry.name: mailbox_id for mailbox_id, entry in self._entries.items()}
        self._tree = Tree(entries, ())
        self._subscribed = frozenset(entry.name for entry in entries if entry.subscribed)
        watched = {}
        for mailbox_id, entry in self._entries.items():
            events = self._events(entry.name) & MESSAGE_EVENTS if entry.selectable else frozenset()
            if events:
                watched[mailbox_id] = events
                if mailbox_id in fresh:
                    self._standings.know(mailbox_id, NEW)
                if mailbox_id not in self._watched:
                    self._due.add(mailbox_id)
        if len(watched) > WATCHED_MAX:
            raise WatchedTooMuchError
        self._watched = watched
        self._follow(watched)
        self._standings.keep(watched)
        self._due &= set(watched)
        self._denied &= set(watched)

    def hears_of_annotations(self, name: str) -> bool:
        """Whether the client is told of annotations of a mailbox, or of the server (RFC 5465 sections 5.6 and 5.7)."""
        if not name:
            return any(NotifyEvent.SERVER_METADATA_CHANGE in group.events for group in self._groups)
        return NotifyEvent.MAILBOX_METADATA_CHANGE in self._events(name)

    def _hears_of_name(self, name: str) -> bool:
        return NotifyEvent.MAILBOX_NAME in self._events(name)

    def _events(self, name: str) -> frozenset[NotifyEvent]:
        """Say what is wanted to be told of a mailbox: all groups that name it count (RFC 5465 section 6)."""
        return frozenset(event for group in self._groups if self._is_in(name, group) for event in group.events)

    def _is_in(self, name: str, group: EventGroup) -> bool:
        if group.filter is MailboxFilter.SUBSCRIBED:
            return name in self._subscribed or NotifyEvent.SUBSCRIPTION_CHANGE in group.events
        if group.filter is MailboxFilter.MAILBOXES:
            return name in group.mailboxes
        if group.filter is MailboxFilter.SUBTREE:
            return any(name == top or name.startswith(top + SEPARATOR) for top in group.mailboxes)
        # PERSONAL and INBOXES: what is below the name of other users is not personal (RFC 5465 section 6).
        return self._rights is None or not f"{name}{SEPARATOR}".startswith(f"{self._rights.others}{SEPARATOR}")
