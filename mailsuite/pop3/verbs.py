"""What each command does. A verb takes the session and its argument and returns an answer, or raises."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, cast

import attrs
from twisted.cred.error import LoginFailed, Unauthorized
from twisted.internet.defer import Deferred
from twisted.mail.interfaces import IMailboxPOP3

from mailsuite.errors import Kind, MailError, ProtocolError
from mailsuite.interfaces import IMailAccount
from mailsuite.pop3.grammar import (
    Stuffer,
    Top,
    encode_error,
    encode_lines,
    encode_ok,
    parse_number,
    parse_top,
)
from mailsuite.pop3.maildrop import AccountMaildrop, ForeignMaildrop, Maildrop
from mailsuite.pop3.session import After, Answer, Reply, Session, State, Stream
from mailsuite.sasl import Challenge, Done, Exchange, PasswordLogin, encode_challenge, find_mechanism

REFUSED = "name or password is wrong"

# What a neutral failure is called here: a response code (RFC 2449 section 8, RFC 3206) before the text.
CODES: Mapping[Kind, str] = {
    Kind.NOT_FOUND: "",
    Kind.EXISTS: "SYS/PERM",
    Kind.DENIED: "SYS/PERM",
    Kind.OVER_QUOTA: "SYS/PERM",
    Kind.TOO_LARGE: "SYS/PERM",
    Kind.INVALID: "SYS/PERM",
    Kind.CONFLICT: "IN-USE",
    Kind.EXPUNGED: "",
    Kind.UNAVAILABLE: "SYS/TEMP",
}


def reply_to(error: MailError) -> Reply:
    """Say a neutral failure in POP3's words."""
    return Reply(encode_error(error.detail, CODES[error.kind]))


async def _pause(session: Session, seconds: float) -> None:
    waiting: Deferred[None] = Deferred()
    session.clock.callLater(seconds, waiting.callback, None)
    await waiting


# Before the login.


async def capa(session: Session, argument: bytes) -> Answer:
    """CAPA (RFC 2449 section 5)."""
    _ensure_empty(argument)
    return Reply(encode_lines("capabilities follow", session.capabilities()))


async def stls(session: Session, argument: bytes) -> Answer:
    """STLS (RFC 2595 section 4)."""
    _ensure_empty(argument)
    if session.encrypted:
        return Reply(encode_error("TLS is on already"))
    if not session.tls_offered:
        return Reply(encode_error("TLS is not offered here"))
    return Reply(encode_ok("begin TLS"), After.START_TLS)


async def user(session: Session, argument: bytes) -> Answer:
    """USER (RFC 1939 section 7): any name may go on."""
    session.user = None
    if not session.may_log_in:
        return _needs_tls()
    if not argument:
        raise ProtocolError("USER needs a name")
    session.user = argument
    return Reply(encode_ok("send PASS"))


async def pass_(session: Session, argument: bytes) -> Answer:
    """PASS (RFC 1939 section 7): the password may hold spaces."""
    if not session.may_log_in:
        return _needs_tls()
    name, session.user = session.user, None
    if name is None:
        return Reply(encode_error("send USER first"))
    return await _log_in(session, PasswordLogin(username=name, password=argument, protocol="pop3", ip=session.peer.ip))


async def auth(session: Session, argument: bytes) -> Answer:
    """AUTH (RFC 5034 section 4); without a mechanism, the list of them (RFC 1734)."""
    if not argument:
        return Reply(encode_lines("mechanisms follow", session.mechanisms if session.may_log_in else []))
    if not session.may_log_in:
        return _needs_tls()
    name, _, initial = argument.partition(b" ")
    mechanism = find_mechanism(name, session.mechanisms, protocol="pop3", ip=session.peer.ip)
    if mechanism is None:
        return Reply(encode_error("that mechanism is not offered"))
    exchange = Exchange(mechanism)
    return await _go_on(session, exchange, exchange.start(initial or None))


async def auth_line(session: Session, line: bytes) -> Answer:
    """Take a line of an AUTH exchange."""
    exchange, session.exchange = session.exchange, None
    assert exchange is not None
    return await _go_on(session, exchange, exchange.next(line))


async def _go_on(session: Session, exchange: Exchange, step: Challenge | Done) -> Answer:
    if isinstance(step, Challenge):
        session.exchange = exchange
        return Reply(b"+ " + encode_challenge(step) + b"\r\n")
    return await _log_in(session, step.credentials)


async def _log_in(session: Session, credentials: PasswordLogin) -> Answer:
    name = credentials.username.decode("utf-8", "replace")
    try:
        interface, avatar, logout = await session.portal.login(credentials, session.peer, IMailAccount, IMailboxPOP3)
    except (Unauthorized, LoginFailed):
        return await _login_failed(session, name)
    if session.closed:
        logout()
        return Reply(b"", After.CLOSE)
    session.logout = logout
    account = str(getattr(avatar, "email", name))
    if not session.join(account):
        _log_out(session)
        return Reply(encode_error("too many connections of this account", "IN-USE"), After.CLOSE)
    try:
        maildrop: Maildrop
        if interface is IMailAccount:
            prefetch = session.settings.prefetch_octets
            maildrop = await AccountMaildrop.open_(cast("IMailAccount", avatar), prefetch_octets=prefetch)
        else:
            maildrop = await ForeignMaildrop.open_(cast("IMailboxPOP3", avatar))
    except BaseException:
        _log_out(session)
        raise
    if session.closed:
        maildrop.close()
        return Reply(b"", After.CLOSE)
    session.maildrop = maildrop
    session.peer = attrs.evolve(session.peer, account=account)
    session.log = session.log.bind(account=account)
    session.log.emit("pop3.login.succeeded", messages=len(maildrop.sizes))
    session.state = State.TRANSACTION
    return Reply(encode_ok(f"{len(maildrop.sizes)} messages ({sum(maildrop.sizes)} octets)"))


async def _login_failed(session: Session, name: str) -> Answer:
    session.failures += 1
    session.log.emit("pop3.login.refused", username=name[:256])
    await _pause(session, session.settings.failure_delay_seconds + session.jitter())
    last = session.failures >= session.settings.failures_max
    return Reply(encode_error(REFUSED, "AUTH"), After.CLOSE if last else After.NOTHING)


def _log_out(session: Session) -> None:
    logout, session.logout = session.logout, None
    if logout is not None:
        logout()


def _needs_tls() -> Reply:
    return Reply(encode_error("passwords are taken inside TLS only: use STLS or the port for POP3 over TLS", "AUTH"))


# After the login.


async def stat(session: Session, argument: bytes) -> Answer:
    """STAT: count and octets of what is not marked as deleted."""
    _ensure_empty(argument)
    left = [size for index, size in enumerate(_maildrop(session).sizes) if index not in session.deleted]
    return Reply(encode_ok(f"{len(left)} {sum(left)}"))


async def list_(session: Session, argument: bytes) -> Answer:
    """LIST: the octets of one message or of each."""
    return _listing(session, argument, _maildrop(session).sizes)


async def uidl(session: Session, argument: bytes) -> Answer:
    """UIDL: the unique id of one message or of each."""
    return _listing(session, argument, _maildrop(session).unique_ids)


def _listing(session: Session, argument: bytes, values: Any) -> Answer:
    if argument:
        index = _index(session, parse_number(argument))
        return Reply(encode_ok(f"{index + 1} {values[index]}"))
    lines = [f"{index + 1} {value}" for index, value in enumerate(values) if index not in session.deleted]
    return Reply(encode_lines(f"{len(lines)} messages", lines))


async def retr(session: Session, argument: bytes) -> Answer:
    """RETR: a whole message."""
    index = _index(session, parse_number(argument))
    maildrop = _maildrop(session)
    session.retrieved += 1
    return Stream(encode_ok(f"{maildrop.sizes[index]} octets"), _stuffed(maildrop.pieces(index)))


async def top(session: Session, argument: bytes) -> Answer:
    """TOP: the header and some lines of the body."""
    number, lines = parse_top(argument)
    index = _index(session, number)
    return Stream(encode_ok("top of message follows"), _stuffed(_topmost(_maildrop(session).pieces(index), lines)))


async def _stuffed(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    stuffer = Stuffer()
    async with aclosing(pieces):
        async for piece in pieces:
            yield stuffer.feed(piece)
    yield stuffer.finish()


async def _topmost(pieces: AsyncGenerator[bytes, None], lines: int) -> AsyncGenerator[bytes, None]:
    cut = Top(lines)
    async with aclosing(pieces):
        async for piece in pieces:
            yield cut.feed(piece)
            if cut.done:
                return


async def dele(session: Session, argument: bytes) -> Answer:
    """DELE: mark a message; it goes at QUIT."""
    index = _index(session, parse_number(argument))
    session.deleted.add(index)
    return Reply(encode_ok(f"message {index + 1} marked"))


async def rset(session: Session, argument: bytes) -> Answer:
    """RSET: take all marks back."""
    _ensure_empty(argument)
    session.deleted.clear()
    return Reply(encode_ok())


async def noop(session: Session, argument: bytes) -> Answer:  # noqa: ARG001 - a verb's signature
    """NOOP: say that we are here."""
    _ensure_empty(argument)
    return Reply(encode_ok())


async def quit_(session: Session, argument: bytes) -> Answer:
    """QUIT: remove what is marked, then close (RFC 1939 section 6)."""
    _ensure_empty(argument)
    if session.state is State.TRANSACTION and session.deleted:
        session.state = State.UPDATE
        count = len(session.deleted)
        try:
            await _maildrop(session).remove(session.deleted)
        except MailError as error:
            session.log.emit("pop3.removal.failed", count=count, reason=error.detail)
            return Reply(encode_error("some messages were not removed", CODES[error.kind]), After.CLOSE)
        session.log.emit("pop3.messages.removed", count=count)
    return Reply(encode_ok("goodbye"), After.CLOSE)


def _maildrop(session: Session) -> Maildrop:
    assert session.maildrop is not None
    return session.maildrop


def _index(session: Session, number: int) -> int:
    if number > len(_maildrop(session).sizes):
        raise MailError(Kind.NOT_FOUND, "there is no such message")
    if number - 1 in session.deleted:
        raise MailError(Kind.NOT_FOUND, "the message is marked as deleted")
    return number - 1


def _ensure_empty(argument: bytes) -> None:
    if argument.strip(b" "):
        raise ProtocolError("that command has no argument")


Verb = Callable[[Session, bytes], Awaitable[Answer]]

VERBS: Mapping[bytes, Verb] = {
    b"CAPA": capa,
    b"STLS": stls,
    b"USER": user,
    b"PASS": pass_,
    b"AUTH": auth,
    b"STAT": stat,
    b"LIST": list_,
    b"UIDL": uidl,
    b"RETR": retr,
    b"TOP": top,
    b"DELE": dele,
    b"RSET": rset,
    b"NOOP": noop,
    b"QUIT": quit_,
}
