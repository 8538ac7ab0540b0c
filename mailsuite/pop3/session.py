"""What a POP3 connection knows, and which commands it may use now (RFC 1939 sections 4 to 6)."""

import enum
from collections.abc import AsyncGenerator, Callable, Mapping

import attrs
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime

from mailsuite.envelope import Peer
from mailsuite.observe import EventLog
from mailsuite.pop3.grammar import encode_error
from mailsuite.pop3.maildrop import Maildrop
from mailsuite.pop3.settings import POP3Settings
from mailsuite.sasl import MECHANISMS, Exchange


class State(enum.Enum):
    """The states of RFC 1939 section 3, and the end."""

    AUTHORIZATION = "authorization"
    TRANSACTION = "transaction"
    UPDATE = "update"


class After(enum.Enum):
    """What follows a reply."""

    NOTHING = "nothing"
    CLOSE = "close"
    START_TLS = "start TLS"


@attrs.frozen
class Reply:
    """A whole reply, with its line ends."""

    octets: bytes
    after: After = After.NOTHING


@attrs.frozen
class Stream:
    """
    A reply whose message comes in pieces, already stuffed and ended.

    Args:
        first: the status line; sent when the first piece is there.
        pieces: fails before its first piece with the error to be answered instead.
    """

    first: bytes
    pieces: AsyncGenerator[bytes, None]


Answer = Reply | Stream

_BOTH = frozenset({State.AUTHORIZATION, State.TRANSACTION})
_LOGIN = frozenset({State.AUTHORIZATION})
_MAIL = frozenset({State.TRANSACTION})

ALLOWED: Mapping[bytes, frozenset[State]] = {
    b"CAPA": _BOTH,
    b"QUIT": _BOTH,
    b"USER": _LOGIN,
    b"PASS": _LOGIN,
    b"AUTH": _LOGIN,
    b"STLS": _LOGIN,
    b"STAT": _MAIL,
    b"LIST": _MAIL,
    b"RETR": _MAIL,
    b"DELE": _MAIL,
    b"NOOP": _MAIL,
    b"RSET": _MAIL,
    b"TOP": _MAIL,
    b"UIDL": _MAIL,
}


@attrs.define(kw_only=True)
class Session:
    """
    One connection's state.

    Args:
        join: counts a login of an account; False when it has too many.
        user: what USER said, until PASS.
        exchange: of an AUTH under way.
        deleted: indices that DELE marked.
        logout: ends the avatar's session.
        verb: the last known one.
    """

    portal: Portal
    settings: POP3Settings
    clock: IReactorTime
    log: EventLog
    peer: Peer
    jitter: Callable[[], float]
    join: Callable[[str], bool]
    encrypted: bool = False
    tls_offered: bool = False
    state: State = State.AUTHORIZATION
    user: bytes | None = attrs.field(default=None, repr=False)
    exchange: Exchange | None = None
    maildrop: Maildrop | None = None
    logout: Callable[[], None] | None = None
    deleted: set[int] = attrs.field(factory=set)
    failures: int = 0
    bad_commands: int = 0
    retrieved: int = 0
    closed: bool = False
    verb: bytes = b""
    began: float = attrs.field(init=False)

    @began.default
    def _begin(self) -> float:
        return self.clock.seconds()

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be sent now."""
        return self.encrypted or self.settings.allow_cleartext

    def forbids(self, verb: bytes) -> Reply | None:
        """Say why a known command may not be used now; None when it may."""
        if self.state in ALLOWED[verb]:
            return None
        if self.state is State.AUTHORIZATION:
            return Reply(encode_error("log in first"))
        return Reply(encode_error("you are logged in already"))

    def capabilities(self) -> list[str]:
        """What CAPA lists now (RFC 2449 section 5)."""
        lines = [
            "TOP",
            "UIDL",
            "RESP-CODES",
            "AUTH-RESP-CODE",
            "PIPELINING",
            "EXPIRE NEVER",
            "IMPLEMENTATION mailsuite",
        ]
        if self.state is State.AUTHORIZATION:
            if self.tls_offered and not self.encrypted:
                lines.append("STLS")
            if self.may_log_in:
                lines.append("USER")
                if self.mechanisms:
                    lines.append(f"SASL {' '.join(self.mechanisms)}")
        return lines

    @property
    def mechanisms(self) -> list[str]:
        """SASL mechanisms that can be used here."""
        return [name for name in self.settings.mechanisms if name in MECHANISMS]

    def forget(self) -> None:
        """Forget what was said in the clear (RFC 2595 section 4)."""
        self.user = None
        self.exchange = None

    def close(self) -> None:
        """End it; nothing that DELE marked is removed."""
        if self.closed:
            return
        self.closed = True
        self.forget()
        self.log.emit(
            "pop3.session.closed", account=self.peer.account, retrieved=self.retrieved, state=self.state.value
        )
        maildrop, self.maildrop = self.maildrop, None
        if maildrop is not None:
            maildrop.close()
        logout, self.logout = self.logout, None
        if logout is not None:
            logout()
