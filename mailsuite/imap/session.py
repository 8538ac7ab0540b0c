"""What is allowed now: states and commands; and what a verb may ask of its connection."""

import enum
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import attrs
from twisted.cred.portal import Portal

from mailsuite.imap import acl_commands, capabilities, commands, responses
from mailsuite.imap.capabilities import CONDSTORE, QRESYNC
from mailsuite.imap.selected import Selected
from mailsuite.imap.settings import IMAPSettings
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import CommandAssembler, Event
from mailsuite.interfaces import IMailAccount, IRightsAccount
from mailsuite.observe import EventLog


class State(enum.Enum):
    """RFC 3501 section 3."""

    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


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
    commands.Compress: _AFTER_LOGIN,
    commands.GetQuota: _AFTER_LOGIN,
    commands.GetQuotaRoot: _AFTER_LOGIN,
    commands.Idle: _AFTER_LOGIN,
    commands.Check: _SELECTED,
    commands.Close: _SELECTED,
    commands.Unselect: _SELECTED,
    commands.Expunge: _SELECTED,
    commands.Search: _SELECTED,
    commands.Sort: _SELECTED,
    commands.Thread: _SELECTED,
    commands.Fetch: _SELECTED,
    commands.Store: _SELECTED,
    commands.Copy: _SELECTED,
    commands.Move: _SELECTED,
    acl_commands.SetACL: _AFTER_LOGIN,
    acl_commands.DeleteACL: _AFTER_LOGIN,
    acl_commands.GetACL: _AFTER_LOGIN,
    acl_commands.ListRights: _AFTER_LOGIN,
    acl_commands.MyRights: _AFTER_LOGIN,
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

    def push(self, announce: Callable[[], Coroutine[Any, Any, None]] | None) -> None:
        """Call `announce` whenever the selected mailbox changes, and now and then without that; None ends it."""

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
        command: the last one that could be read.
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
    enabled: set[bytes] = attrs.Factory(set)
    off: frozenset[bytes] = frozenset()
    logout: Callable[[], None] | None = None
    command: str = ""
    began: float = attrs.field(init=False)

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
        return capabilities.without(words, self.off)

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
            self.enabled.add(CONDSTORE)
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
    def mailbox(self) -> Selected:
        """The selected mailbox; only in the selected state."""
        if self.selected is None:
            raise RuntimeError("no mailbox is selected")
        return self.selected

    def select(self, selected: Selected) -> None:
        """Enter the selected state."""
        self.selected = selected
        self.state = State.SELECTED

    def unselect(self) -> None:
        """Give the selected mailbox back, if there is one."""
        if self.selected is not None:
            self.selected.close()
            self.selected = None
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    def end(self) -> None:
        """Give everything back; may be called twice."""
        self.unselect()
        self.state = State.LOGOUT
        logout, self.logout = self.logout, None
        if self.account is not None:
            self.account = None
        if logout is not None:
            logout()
