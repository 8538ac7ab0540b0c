"""
What each command does: from a session and an argument to a reply.

A verb changes the session and returns the reply; the server sends it and acts on its code (354 begins the content,
220 TLS, 221 and 421 end the connection). RFC 5321 section 4.1.1.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import attrs
from twisted.cred.error import LoginFailed
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.mail.interfaces import IMessageDelivery, IMessageDeliveryFactory

from mailsuite.envelope import Sender
from mailsuite.errors import Kind, MailError, ProtocolError
from mailsuite.interfaces import IMailReceiver
from mailsuite.sasl import (
    AuthorizationRefusedError,
    Challenge,
    Done,
    Exchange,
    ExchangeCancelledError,
    PasswordLogin,
    ResponseTooLongError,
    encode_challenge,
    find_mechanism,
)
from mailsuite.smtp import grammar, replies
from mailsuite.smtp.bridge import receiver_from_avatar
from mailsuite.smtp.replies import Refused, Reply
from mailsuite.smtp.session import Session
from mailsuite.smtp.xclient import parse_xclient

Answer = Reply | Coroutine[Deferred[Any], Any, Reply]
Verb = Callable[[Session, bytes], Answer]


def helo(session: Session, argument: bytes) -> Reply:
    """HELO: RFC 5321 section 4.1.1.1."""
    session.greet(grammar.parse_hostname(argument), esmtp=False)
    return session.count_junk(Reply(250, "", (session.hostname,)))


def ehlo(session: Session, argument: bytes) -> Reply:
    """EHLO: RFC 5321 section 4.1.1.1."""
    session.greet(grammar.parse_hostname(argument), esmtp=True)
    return session.count_junk(Reply(250, "", (session.hostname, *session.announce())))


async def mail(session: Session, argument: bytes) -> Reply:
    """MAIL: RFC 5321 section 4.1.1.2."""
    refused = session.check_mail()
    if refused is not None:
        return refused
    sender = grammar.parse_mail(argument, esmtp=session.peer.esmtp, holding=session.holding)
    refused = session.check_sender(sender)
    if refused is not None:
        return refused
    receiver = session.receiver or session.strangers
    assert receiver is not None  # check_mail saw to it
    try:
        transaction = await receiver.begin(session.peer, sender)
    except (MailError, Refused) as error:
        reply = replies.reply_to(error, invalid=replies.SENDER_INVALID)
        session.log.emit("smtp.mail.refused", sender=str(sender.path or "<>"), code=reply.code, text=reply.text)
        return reply
    session.open_transaction(transaction, sender)
    return replies.SENDER_OK


async def rcpt(session: Session, argument: bytes) -> Reply:
    """RCPT: RFC 5321 section 4.1.1.3."""
    refused = session.check_rcpt()
    if refused is not None:
        return refused
    transaction, sender = session.transaction, session.sender
    assert transaction is not None  # check_rcpt saw to it
    assert sender is not None
    recipient = grammar.parse_rcpt(argument, smtputf8=sender.smtputf8, esmtp=session.peer.esmtp)
    try:
        waiting = transaction.add_recipient(recipient)
        if waiting is not None:
            await waiting
    except (MailError, Refused) as error:
        reply = replies.reply_to(error, invalid=replies.RECIPIENT_INVALID)
        session.log.emit(
            "smtp.rcpt.refused",
            queue_id=session.queue_id,
            sender=str(sender.path or "<>"),
            recipient=str(recipient.path),
            code=reply.code,
            text=reply.text,
        )
        unknown = isinstance(error, MailError) and error.kind is Kind.NOT_FOUND
        return session.count_unknown_recipient(reply) if unknown else reply
    session.recipients += 1
    session.forward_paths.append(recipient.path)
    return replies.RECIPIENT_OK


def data(session: Session, argument: bytes) -> Reply:
    """DATA: RFC 5321 section 4.1.1.4."""
    if argument:
        return replies.NO_PARAMETERS
    refused = session.check_data()
    if refused is not None:
        return refused
    assert session.transaction is not None  # check_data saw to it
    try:
        session.transaction.begin_data()
    except (MailError, Refused) as error:
        session.end_transaction()
        reply = replies.reply_to(error)
        session.tell_refused(reply)
        return reply
    return replies.SEND_CONTENT


async def commit(session: Session) -> Reply:
    """The end mark came and nothing was wrong: RFC 5321 section 4.5.3.2.6."""
    transaction = session.take_transaction()
    assert transaction is not None  # content follows only on DATA
    session.messages += 1
    session.junk_commands = 0
    try:
        receipt = await transaction.commit()
    except (MailError, Refused) as error:
        reply = replies.reply_to(error)
        session.tell_refused(reply)
        return reply
    return replies.OK.saying(f"queued as {receipt.queue_id}{f', {receipt.note}' if receipt.note else ''}")


def rset(session: Session, argument: bytes) -> Reply:
    """RSET: RFC 5321 section 4.1.1.5."""
    if argument:
        return replies.NO_PARAMETERS
    session.end_transaction()
    return session.count_junk(replies.RESET)


def noop(session: Session, _argument: bytes) -> Reply:
    """NOOP, whatever follows it: RFC 5321 section 4.1.1.9."""
    return session.count_junk(replies.OK)


def quit_(_session: Session, _argument: bytes) -> Reply:
    """QUIT: RFC 5321 section 4.1.1.10."""
    return replies.BYE


def help_(session: Session, _argument: bytes) -> Reply:
    """HELP: RFC 5321 section 4.1.1.8."""
    return session.count_junk(replies.HELP)


async def vrfy(session: Session, argument: bytes) -> Reply:
    """VRFY: RFC 5321 section 3.5; an answer only where the operator wants to give one (section 7.3)."""
    if not argument:
        return session.count_junk(replies.SYNTAX)
    receiver = session.receiver or session.strangers
    if not session.settings.vrfy or receiver is None or session.check_mail() is not None:
        return session.count_junk(replies.CANNOT_VERIFY)
    recipient, utf8 = grammar.parse_vrfy(argument)
    try:
        transaction = await receiver.begin(session.peer, Sender(path=None, smtputf8=utf8))
        try:
            waiting = transaction.add_recipient(recipient)
            if waiting is not None:
                await waiting
        finally:
            transaction.abort()
    except (MailError, Refused) as error:
        return session.count_junk(session.count_unknown_recipient(replies.reply_to(error)))
    return session.count_junk(Reply(250, "2.0.0", (f"<{recipient.path}>",), utf8=utf8))


def expn(session: Session, _argument: bytes) -> Reply:
    """EXPN: RFC 5321 section 3.5."""
    return session.count_junk(replies.EXPN_OFF)


def starttls(session: Session, argument: bytes) -> Reply:
    """STARTTLS: RFC 3207 section 4."""
    if argument:
        return replies.NO_PARAMETERS
    refused = session.check_starttls()
    return replies.TLS_READY if refused is None else refused


def auth(session: Session, argument: bytes) -> Answer:
    """AUTH: RFC 4954 section 4."""
    refused = session.check_auth()
    if refused is not None:
        return refused
    name, _, initial = argument.partition(b" ")
    mechanism = find_mechanism(name, session.settings.mechanisms, protocol="smtp", ip=session.peer.ip)
    if mechanism is None:
        return replies.UNKNOWN_MECHANISM
    exchange = session.exchange = Exchange(mechanism)
    return _advance(session, lambda: exchange.start(initial.strip() or None))


def auth_response(session: Session, line: bytes) -> Answer:
    """Take a line of the authentication dialogue."""
    assert session.exchange is not None  # only then is a line a response
    exchange = session.exchange
    return _advance(session, lambda: exchange.next(line))


def _advance(session: Session, step: Callable[[], Challenge | Done]) -> Answer:
    try:
        result = step()
    except ExchangeCancelledError:
        session.exchange = None
        return replies.LOGIN_CANCELLED
    except ResponseTooLongError:
        session.exchange = None
        return replies.RESPONSE_TOO_LONG
    except AuthorizationRefusedError:
        session.exchange = None
        return _fail_login(session, "")
    except ProtocolError as error:
        session.exchange = None
        return replies.BAD_BASE64.saying(error.detail)
    if isinstance(result, Challenge):
        return Reply(334, "", (encode_challenge(result).decode("ascii"),))
    session.exchange = None
    return _log_in(session, result.credentials)


async def _log_in(session: Session, credentials: PasswordLogin) -> Reply:
    assert session.portal is not None  # check_auth saw to it
    name = credentials.username.decode("utf-8", "replace")
    try:
        _, avatar, logout = await session.portal.login(
            credentials, session.peer, IMailReceiver, IMessageDeliveryFactory, IMessageDelivery
        )
    except LoginFailed:
        return await _fail_login(session, name)
    except MailError as error:
        if error.kind is Kind.UNAVAILABLE:
            return replies.LOGIN_UNAVAILABLE
        return await _fail_login(session, name)
    name = str(getattr(avatar, "email", "") or name)  # as the directory writes it, where the avatar tells
    if session.ended or not session.join(name):
        logout()
        return replies.TOO_MANY_CONNECTIONS
    session.receiver = receiver_from_avatar(avatar, session.hostname)
    session.logout = logout
    session.junk_commands = 0
    session.peer = attrs.evolve(session.peer, account=name)
    session.log = session.log.bind(account=name)
    session.log.emit("smtp.login.succeeded")
    return replies.LOGGED_IN


async def _fail_login(session: Session, name: str) -> Reply:
    """Answer late, and the same whatever was wrong, so that guessing is slow and teaches nothing."""
    session.failed_logins += 1
    session.log.emit("smtp.login.refused", username=name)
    await deferLater(session.clock, session.settings.failed_login_delay_seconds + session.jitter())
    if session.failed_logins >= session.settings.failed_logins_max:
        return replies.TOO_MANY_FAILED_LOGINS
    return replies.LOGIN_FAILED


def xclient(session: Session, argument: bytes) -> Reply:
    """XCLIENT: a trusted proxy says for whom it speaks, and is greeted again."""
    refused = session.check_xclient()
    if refused is not None:
        return refused
    if not session.speak_for(parse_xclient(argument)):
        return replies.TOO_MANY_CONNECTIONS
    return Reply(220, "", (session.greeting,))


VERBS: Mapping[bytes, Verb] = {
    b"HELO": helo,
    b"EHLO": ehlo,
    b"MAIL": mail,
    b"RCPT": rcpt,
    b"DATA": data,
    b"RSET": rset,
    b"NOOP": noop,
    b"QUIT": quit_,
    b"HELP": help_,
    b"VRFY": vrfy,
    b"EXPN": expn,
    b"STARTTLS": starttls,
    b"AUTH": auth,
    b"XCLIENT": xclient,
}
"""All but BDAT, behind which octets come whatever it is worth: see `mailsuite.smtp.content`."""
