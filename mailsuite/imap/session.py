"""What is allowed now: states and commands; and what a verb may ask of its connection."""

import enum
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import attrs
from twisted.cred.portal import Portal

from mailsuite.imap import (
    acl_commands,
    capabilities,
    commands,
    finding_commands,
    metadata_commands,
    notify_commands,
    quirks,
    quota_commands,
    responses,
)
from mailsuite.imap.annotations import AnnotationWatch
from mailsuite.imap.capabilities import CONDSTORE, METADATA, QRESYNC, UIDONLY
from mailsuite.imap.search_keys import Numbered, leaves
from mailsuite.imap.selected import Selected
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.settings import IMAPSettings
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import CommandAssembler, Event
from mailsuite.interfaces import IAnnotatedAccount, IMailAccount, IQuotaAdministrator, IRightsAccount
from mailsuite.observe import EventLog

if TYPE_CHECKING:
    from mailsuite.imap.watching import Watching


class State(enum.Enum):
    """RFC 3501 section 3."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


_NUMBERED = (
    commands.Copy,
    commands.Fetch,
    commands.Move,
    commands.Replace,
    finding_commands.Search,
    finding_commands.Sort,
    commands.Store,
    finding_commands.Thread,
)
NOTHING_TOLD: Mapping[str, str] = MappingProxyType({})
_ANY = frozenset((State.NOT_AUTHENTICATED, State.AUTHENTICATED, State.SELECTED))
_BEFORE_LOGIN = frozenset((State.NOT_AUTHENTICATED,))
_AFTER_LOGIN = frozenset((State.AUTHENTICATED, State.SELECTED))
_SELECTED = frozenset((State.SELECTED,))

ALLOWED: dict[type[commands.Command], frozenset[State]] = {
    commands.Capability: _ANY,
    commands.Noop: _ANY,
    commands.Logout: _ANY,
    commands.Id: _ANY,
    commands.StartTLS: _BEFORE_LOGIN,
    commands.Authenticate: _BEFORE_LOGIN,
    commands.Login: _BEFORE_LOGIN,
    commands.Enable: _AFTER_LOGIN,
    commands.Unauthenticate: _AFTER_LOGIN,
    commands.Select: _AFTER_LOGIN,
    commands.Examine: _AFTER_LOGIN,
    commands.Create: _AFTER_LOGIN,
    commands.Delete: _AFTER_LOGIN,
    commands.Rename: _AFTER_LOGIN,
    commands.Subscribe: _AFTER_LOGIN,
    commands.Unsubscribe: _AFTER_LOGIN,
    commands.List: _AFTER_LOGIN,
    commands.Lsub: _AFTER_LOGIN,
    commands.Namespace: _AFTER_LOGIN,
    commands.Status: _AFTER_LOGIN,
    commands.Append: _AFTER_LOGIN,
    commands.Replace: _SELECTED,
    commands.Compress: _AFTER_LOGIN,
    metadata_commands.GetMetadata: _AFTER_LOGIN,
    metadata_commands.SetMetadata: _AFTER_LOGIN,
    notify_commands.Notify: _AFTER_LOGIN,
    commands.Idle: _AFTER_LOGIN,
    commands.Check: _SELECTED,
    commands.Close: _SELECTED,
    commands.Unselect: _SELECTED,
    commands.Expunge: _SELECTED,
    finding_commands.Search: _SELECTED,
    finding_commands.Sort: _SELECTED,
    finding_commands.Thread: _SELECTED,
    commands.Fetch: _SELECTED,
    commands.Store: _SELECTED,
    commands.Copy: _SELECTED,
    commands.Move: _SELECTED,
    acl_commands.SetACL: _AFTER_LOGIN,
    acl_commands.DeleteACL: _AFTER_LOGIN,
    acl_commands.GetACL: _AFTER_LOGIN,
    acl_commands.ListRights: _AFTER_LOGIN,
    acl_commands.MyRights: _AFTER_LOGIN,
    quota_commands.GetQuota: _AFTER_LOGIN,
    quota_commands.GetQuotaRoot: _AFTER_LOGIN,
    quota_commands.SetQuota: _AFTER_LOGIN,
}
"""In which states each command may be given (RFC 3501 section 6)."""


@attrs.frozen
class Reply:
    """
    How a command ended.

    Args:
        text: for people; ASCII, one line.
        status: ``OK``, ``NO`` or ``BAD``.
        code: a response code without its brackets.
    """

    text: str
    status: bytes = b"OK"
    code: bytes = b""


def uses_numbers(command: commands.Command) -> bool:
    """Whether a command names messages by sequence numbers, or wants to be told them (RFC 9586 section 3.2)."""
    if isinstance(command, _NUMBERED) and not command.uid:
        return True
    if isinstance(command, commands.Select | commands.Examine):
        return command.resync is not None and command.resync.known_pairs is not None
    return isinstance(command, finding_commands.Search | finding_commands.Sort | finding_commands.Thread) and any(
        isinstance(leaf, Numbered) and not leaf.uid and leaf.messages.has_numbers for leaf in leaves(command.key)
    )


class ConnectionGone(Exception):  # noqa: N818 - nobody's error: the peer hung up while a verb waited for it
    """The connection ended while a verb waited for the client."""


class Connection(Protocol):
    """What a verb may ask of its connection."""

    assembler: CommandAssembler

    def write(self, octets: bytes) -> None:
        """Send octets, at the latest when the command ends."""

    async def drained(self) -> None:
        """Send what was written, and wait while the transport has too much of it. Raises ConnectionGone."""

    async def next_event(self) -> Event:
        """Wait for the client. Raises ConnectionGone."""

    async def sleep(self, seconds: float) -> None:
        """Wait; 0 lets other connections have their turn. Raises ConnectionGone."""

    def start_deflate(self) -> None:
        """Send what was written; what follows is compressed, both ways."""

    def start_tls(self) -> None:
        """Begin TLS; octets that came after STARTTLS are refused before."""

    def logged_in(self, email: str) -> bool:
        """Other limits hold from now on; False when the account has too many connections."""

    async def end_deflate(self) -> None:
        """Wait for the end of what the client has compressed; what follows is not. Raises ConnectionGone."""

    def logged_out(self) -> None:
        """The limits from before the login hold again; what was written is sent, and nothing is compressed any more."""

    def repeat(self, seconds: float, line: Callable[[], bytes]) -> Callable[[], None]:
        """Send a line every so many seconds, first after as many, until what this gives is called."""

    def announce(self) -> None:
        """Tell now what happened, if something may be told now."""

    @property
    def pushing(self) -> bool:
        """Whether something may be told now: no command runs, and the client idles or has given NOTIFY."""

    def hang_up(self) -> None:
        """Close when what was written is sent."""


@attrs.define(kw_only=True, eq=False)
class Session:
    """
    One client's conversation.

    Args:
        ip: of the client; empty for a unix socket.
        tls: the connection is encrypted.
        compressed: COMPRESS is active.
        can_start_tls: STARTTLS would work.
        enabled: what ENABLE switched on.
        off: capabilities that this client is not to use.
        annotation_watch: there once the client wants to hear of annotations.
        client: what it has told of itself by ID: fields, names in lower case.
        command: the last one that could be read.
        watching: what it is told of; None before NOTIFY.
        idling: the tag of the IDLE that has not ended.
    """

    connection: Connection
    portal: Portal
    settings: IMAPSettings
    log: EventLog
    seconds: Callable[[], float]
    session_id: str = ""
    ip: str = ""
    tls: bool = False
    compressed: bool = False
    can_start_tls: bool = False
    state: State = State.NOT_AUTHENTICATED
    account: IMailAccount | None = None
    selected: Selected | None = None
    enabled: frozenset[bytes] = frozenset()
    off: frozenset[bytes] = attrs.field(init=False)
    client: Mapping[str, str] = NOTHING_TOLD
    annotation_watch: AnnotationWatch | None = None
    logout: Callable[[], None] | None = None
    command: str = ""
    watching: "Watching | None" = None
    idling: bytes | None = None
    began: float = attrs.field(init=False)
    _told: frozenset[str] = attrs.field(init=False, default=frozenset())

    @off.default
    def _off_for_all(self) -> frozenset[bytes]:
        return quirks.judge(self.settings).off

    @began.default
    def _begin(self) -> float:
        return self.seconds()

    @property
    def doing(self) -> str:
        """The state, the selected mailbox and the last command, for people."""
        selected = f" {self.selected.mailbox.name}" if self.selected is not None else ""
        return f"{self.state.value}{selected}{f': {self.command}' if self.command else ''}"

    def allow(self, command: commands.Command) -> None:
        """
        Check that a command may be given now.

        Raises:
            BadCommandError: not in this state.
        """
        if self.state not in ALLOWED[type(command)]:
            raise BadCommandError(f"{command.name} is not allowed in the {self.state.value} state", tag=command.tag)
        if UIDONLY in self.enabled and uses_numbers(command):
            raise BadCommandError("UIDs only, please", tag=command.tag, code=responses.UIDREQUIRED)

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be sent over this connection (RFC 3501 section 11.1)."""
        return self.tls or self.settings.allow_cleartext

    def capabilities(self) -> list[bytes]:
        """List what can be used now (RFC 3501 section 6.1.1)."""
        words = list(capabilities.ALWAYS)
        if self.state is State.NOT_AUTHENTICATED:
            words.append(b"SASL-IR")
            if self.can_start_tls and not self.tls:
                words.append(b"STARTTLS")
            if self.may_log_in:
                words += [b"AUTH=" + mechanism.encode("ascii") for mechanism in self.settings.mechanisms]
            else:
                words.append(b"LOGINDISABLED")
        else:
            words += capabilities.AFTER_LOGIN
            if not self.compressed:
                words.append(b"COMPRESS=DEFLATE")
            words.append(b"APPENDLIMIT=%d" % self.settings.literal_max_octets)
            if self.account is not None and self.account.remembers:
                words += capabilities.REMEMBERED
            if IRightsAccount.providedBy(self.account):
                words += capabilities.SHARING
            if self.annotated is not None:
                words += capabilities.ANNOTATED
            if IQuotaAdministrator.providedBy(self.account):
                words += capabilities.ADMINISTERING
        return capabilities.without(words, self.off)

    def look_for_quirks(self) -> bool:
        """
        Switch off what this client and this account are better off without; what is enabled stays.

        Returns:
            Whether something else is off now.
        """
        before = self.off
        verdict = quirks.judge(self.settings, self.client, self.account.email if self.account is not None else "")
        self.off = verdict.off
        for row in verdict.rows:
            whom = quirks.describe(row)
            if whom not in self._told:
                self._told |= {whom}
                self.log.emit("imap.quirk.matched", whom=whom, off=list(row.off), reason=row.reason, source=row.source)
        return self.off != before

    def enable(self, capabilities: AbstractSet[bytes]) -> None:
        """Switch on what the client asked for, in upper case (RFC 5161)."""
        self.enabled |= capabilities
        if self.selected is not None:
            self.selected.enabled = self.enabled

    @property
    def is_rev2(self) -> bool:
        """Whether the client has switched to IMAP4rev2 (RFC 9051 appendix A)."""
        return capabilities.REV2 in self.enabled

    def shown(self, mailbox: str) -> bytes:
        """Write the name of a mailbox as this client reads names."""
        return responses.mailbox(mailbox, utf8=capabilities.reads_utf8(self.enabled))

    def use_modseq(self, tag: bytes) -> None:
        """
        Take note that the client knows MODSEQs: it is told them from now on (RFC 7162 section 3.1).

        Raises:
            BadCommandError: the mailboxes of this account keep none (RFC 7162 section 3.1.2.2).
        """
        if not self.avatar.remembers:
            raise BadCommandError("the mailbox keeps no MODSEQs", tag=tag)
        if CONDSTORE not in self.enabled:
            self.enable({CONDSTORE})
            if self.selected is not None:
                self.connection.write(responses.highest_modseq_line(self.selected.view.told_modseq))

    def need_qresync(self, tag: bytes) -> None:
        """
        Check that the client has switched QRESYNC on.

        Raises:
            BadCommandError: it has not (RFC 7162 section 3.2.3).
        """
        if QRESYNC not in self.enabled:
            raise BadCommandError("ENABLE QRESYNC comes first", tag=tag)

    @property
    def avatar(self) -> IMailAccount:
        """The account of who logged in; only in states that follow a login."""
        if self.account is None:
            raise RuntimeError("no account before login")
        return self.account

    @property
    def annotated(self) -> IAnnotatedAccount | None:
        """The account, if it keeps annotations."""
        return IAnnotatedAccount(self.account, None)

    async def watch_annotations(self) -> None:
        """Tell the client from now on what others do to annotations (RFC 5464 section 4.1). Raises MailError."""
        account = self.annotated
        if account is None or self.annotation_watch is not None:
            return
        watch = AnnotationWatch(account, self.connection.announce)
        try:
            await watch.begin()
        except BaseException:
            watch.close()
            raise
        self.annotation_watch = watch

    async def tell_annotations(self, *, pushing: bool = False) -> None:
        """
        Tell which annotations others changed, if the client wants to hear it.

        Args:
            pushing: no command runs; once the client speaks, it is told with the answer.

        Raises:
            MailError: the store cannot say.
        """
        watch = self.annotation_watch
        if watch is None:
            return
        told = await watch.take()
        if pushing and not self.connection.pushing:
            watch.put_back(told)
            return
        for mailbox, entries in told.items():
            if self._hears_of_annotations(mailbox):
                self.connection.write(responses.metadata_names_line(self.shown(mailbox), entries))

    def _hears_of_annotations(self, mailbox: str) -> bool:
        if METADATA in self.enabled:
            return True
        return self.watching is not None and self.watching.hears_of_annotations(mailbox)

    @property
    def mailbox(self) -> Selected:
        """The selected mailbox; only in the selected state."""
        if self.selected is None:
            raise RuntimeError("no mailbox is selected")
        return self.selected

    def refuse_beyond(self, messages: SequenceSet, *, uid: bool) -> Reply | None:
        """
        Refuse sequence numbers that no message has, with BAD (RFC 9051 section 9, "seq-number").

        It is no bad command like those that end a connection: two clients that share a mailbox need only be unlucky.
        """
        view = self.mailbox.view
        if uid or not view.goes_beyond(messages):
            return None
        count = view.told_exists
        there = (
            "are no messages" if not count else "is only one message" if count == 1 else f"are only {count} messages"
        )
        return Reply(f"there {there}", status=responses.BAD)

    def watch(self, watching: "Watching | None") -> None:
        """Tell other things from now on."""
        if self.watching is not None:
            self.watching.close()
        self.watching = watching

    @property
    def wants_pushes(self) -> bool:
        """Whether the client is to be told of changes while no command runs."""
        return self.idling is not None or self.watching is not None

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell, or to learn, while no command runs."""
        selected = self._told_of
        return self.is_behind or (selected is not None and selected.view.has_notices(expunge=True))

    @property
    def is_behind(self) -> bool:
        """Whether a notice came of something that was not looked at."""
        heard_of = (self._told_of, self.watching, self.annotation_watch)
        return any(each is not None and each.is_behind for each in heard_of)

    @property
    def _told_of(self) -> Selected | None:
        """The selected mailbox, unless the client wants to hear nothing of it."""
        return self.selected if self.watching is None or self.watching.selected_group.events else None

    def select(self, selected: Selected) -> None:
        """Enter the selected state."""
        self.selected = selected
        self.state = State.SELECTED
        if self.watching is not None:
            self.watching.selected(selected)

    def unselect(self) -> None:
        """Give the selected mailbox back, if there is one."""
        selected, self.selected = self.selected, None
        if selected is not None:
            selected.close()
            if self.watching is not None:
                self.watching.unselected(selected)
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    def end(self) -> None:
        """Give everything back; may be called twice."""
        self.watch(None)
        self.unselect()
        self.state = State.LOGOUT
        self._leave_account()

    def unauthenticate(self) -> None:
        """Become a stranger's again: nothing is left of who was logged in (RFC 8437 section 4.1)."""
        self.watch(None)
        self.unselect()
        self.state = State.NOT_AUTHENTICATED
        self.enabled = frozenset()
        self._leave_account()
        self.look_for_quirks()

    def _leave_account(self) -> None:
        if self.annotation_watch is not None:
            self.annotation_watch.close()
            self.annotation_watch = None
        logout, self.logout = self.logout, None
        self.account = None
        if logout is not None:
            logout()
