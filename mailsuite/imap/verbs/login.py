"""STARTTLS, AUTHENTICATE and LOGIN: from a stranger to an account; and UNAUTHENTICATE, the way back."""

from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.mail.interfaces import IAccountIMAP

from mailsuite.envelope import Peer
from mailsuite.errors import MailError, ProtocolError
from mailsuite.imap import commands, responses
from mailsuite.imap.bridge import TwistedAccount
from mailsuite.imap.capabilities import UNAUTHENTICATE, is_off
from mailsuite.imap.session import NOTHING_TOLD, ConnectionGone, Reply, Session, State
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import InputRefused, RawLine
from mailsuite.interfaces import IMailAccount
from mailsuite.sasl import (
    RESPONSE_MAX_OCTETS,
    AuthorizationRefusedError,
    Challenge,
    PasswordLogin,
    decode_response,
    encode_challenge,
    find_mechanism,
)

CANCEL = b"*"  # RFC 3501 section 6.2.2
IN_CLEARTEXT = Reply("a password may only be sent inside TLS", status=b"NO", code=b"PRIVACYREQUIRED")  # RFC 5530


async def start_tls(session: Session, command: commands.StartTLS) -> None:
    """
    Begin TLS; it answers by itself, since everything after the answer is encrypted.

    What came behind STARTTLS in the clear may be somebody else's: the connection ends without an answer.
    """
    if session.tls or not session.can_start_tls:
        raise BadCommandError("TLS is active already" if session.tls else "TLS is not available", tag=command.tag)
    if session.connection.assembler.buffered_octets:
        session.log.emit("imap.starttls.refused")
        session.connection.hang_up()
        raise ConnectionGone
    session.connection.write(responses.tagged(command.tag, responses.OK, "begin TLS negotiation now"))
    session.client = NOTHING_TOLD  # it may have been somebody else's
    session.look_for_quirks()
    session.connection.start_tls()


async def log_in(session: Session, command: commands.Login) -> Reply:
    """LOGIN (RFC 3501 section 6.2.3)."""
    if not session.may_log_in:
        return IN_CLEARTEXT
    return await enter(
        session,
        PasswordLogin(username=command.username, password=command.password, protocol="imap", ip=session.ip),
    )


async def authenticate(session: Session, command: commands.Authenticate) -> Reply:
    """AUTHENTICATE, with or without an initial response (RFC 3501 section 6.2.2, RFC 4959)."""
    if not session.may_log_in:
        return IN_CLEARTEXT
    mechanism = find_mechanism(
        command.mechanism.encode("ascii"), session.settings.mechanisms, protocol="imap", ip=session.ip
    )
    if mechanism is None:
        return Reply("that mechanism is not offered", status=b"NO", code=b"CANNOT")
    try:
        step = mechanism.start(command.initial_response)
        while isinstance(step, Challenge):
            step = mechanism.next(await _ask(session, step))
    except BadCommandError:
        raise
    except AuthorizationRefusedError as error:
        await session.connection.sleep(session.settings.failed_login_seconds)
        return Reply(error.detail, status=b"NO", code=b"AUTHORIZATIONFAILED")
    except ProtocolError as error:
        raise BadCommandError(error.detail, tag=command.tag, close=error.close) from error
    return await enter(session, step.credentials)


async def _ask(session: Session, challenge: Challenge) -> bytes:
    session.connection.write(responses.challenge(encode_challenge(challenge)))
    session.connection.assembler.expect_line(RESPONSE_MAX_OCTETS)
    event = await session.connection.next_event()
    if isinstance(event, InputRefused):
        raise ProtocolError(event.fault.value, close=event.close)
    if not isinstance(event, RawLine):
        raise ProtocolError("expected a response")
    if event.octets == CANCEL:
        raise ProtocolError("authentication cancelled")
    return decode_response(event.octets)


async def enter(session: Session, credentials: PasswordLogin) -> Reply:
    """
    Ask the portal, our own interface first and Twisted's second.

    Raises:
        MailError: nobody can log in now.
    """
    mind = Peer(session=session.session_id, ip=session.ip, tls="TLS" if session.tls else "")
    try:
        interface, avatar, logout = await session.portal.login(credentials, mind, IMailAccount, IAccountIMAP)
    except (UnauthorizedLogin, UnhandledCredentials):
        session.log.emit("imap.login.refused", username=credentials.username.decode("utf-8", "replace"))
        await session.connection.sleep(session.settings.failed_login_seconds)
        return Reply("wrong name or password", status=b"NO", code=b"AUTHENTICATIONFAILED")
    except MailError as error:
        session.log.emit(
            "imap.login.failed", username=credentials.username.decode("utf-8", "replace"), reason=error.kind.value
        )
        raise
    account: IMailAccount
    if interface is IMailAccount:
        account = IMailAccount(avatar)
    else:
        account = TwistedAccount(IAccountIMAP(avatar), credentials.username.decode("utf-8", "replace"))
    session.account = account
    session.logout = logout
    if not session.connection.logged_in(account.email):
        session.end()
        session.connection.write(responses.bye("too many connections of this account", responses.LIMIT))
        session.connection.hang_up()
        raise ConnectionGone
    session.state = State.AUTHENTICATED
    session.log.emit("imap.login.succeeded")
    session.look_for_quirks()
    return Reply("logged in", code=responses.capability_code(session.capabilities()))


async def unauthenticate(session: Session, command: commands.Unauthenticate) -> None:
    """
    UNAUTHENTICATE (RFC 8437 section 3): a stranger again, on the same connection; only TLS and ID stay.

    It answers by itself, since nothing after the answer is compressed, and never with NO.
    """
    if is_off(UNAUTHENTICATE, session.off):
        raise BadCommandError("UNAUTHENTICATE is switched off", tag=command.tag)
    await session.connection.end_deflate()
    session.unauthenticate()
    session.log.emit("imap.login.ended")
    session.connection.write(responses.tagged(command.tag, responses.OK, "logged out; somebody else may log in"))
    session.connection.logged_out()
