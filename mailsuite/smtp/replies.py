"""
Every reply that the server gives, each with the section that defines it, and the table from failures to replies.

RFC 5321 section 4.2 defines the codes, RFC 3463 the enhanced ones, RFC 2034 where they stand.
"""

import re
from collections.abc import Mapping

import attrs

from mailsuite.errors import Kind, MailError, ProtocolError

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
TEXT_MAX_OCTETS = 480  # with code, enhanced code and CRLF a reply line stays below 512: RFC 5321 section 4.5.3.1.5


def clean(text: str) -> str:
    """Make any text, a peer's as well, fit for one reply line: printable ASCII, of bounded length."""
    return _UNPRINTABLE.sub("?", text)[:TEXT_MAX_OCTETS]


def clean_utf8(text: str) -> str:
    """Do the same for a peer that wants UTF-8 (RFC 6531 section 3.7.4.2)."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in text)
    return printable.encode("utf-8")[:TEXT_MAX_OCTETS].decode("utf-8", "ignore")


@attrs.frozen
class Reply:
    """
    One reply, of one or more lines.

    Args:
        code: three digits.
        enhanced: RFC 3463 code, put before the text of each line; empty where RFC 2034 section 4 wants none.
        lines: at least one; cleaned here, so anything may be given.
        utf8: the peer asked for UTF-8 instead of ASCII.
        encoded: the octets for the wire, made once.
    """

    code: int
    enhanced: str
    lines: tuple[str, ...]
    utf8: bool = attrs.field(default=False, kw_only=True)
    encoded: bytes = attrs.field(init=False, eq=False, repr=False)

    @encoded.default
    def _encode(self) -> bytes:
        prefix = f"{self.enhanced} " if self.enhanced else ""
        fit = clean_utf8 if self.utf8 else clean
        if len(self.lines) == 1:
            return f"{self.code} {prefix}{fit(self.lines[0])}\r\n".encode()
        last = len(self.lines) - 1
        return "".join(
            f"{self.code}{'-' if index < last else ' '}{prefix}{fit(line)}\r\n" for index, line in enumerate(self.lines)
        ).encode()

    @property
    def text(self) -> str:
        """The words of all lines, for logs."""
        return " ".join(self.lines)

    @property
    def is_positive(self) -> bool:
        """Whether the command was taken: 2yz or 3yz."""
        return self.code < 400  # noqa: PLR2004 - RFC 5321 section 4.2.1: the first digit decides

    @property
    def is_permanent(self) -> bool:
        """Whether the peer should not try this again: 5yz."""
        return self.code >= 500  # noqa: PLR2004 - likewise

    def times(self, count: int) -> "Reply":
        """Give a reply that is sent so many times, for as many recipients (RFC 2033 section 4.2)."""
        reply = attrs.evolve(self)
        object.__setattr__(reply, "encoded", self.encoded * count)
        return reply

    def plain(self) -> "Reply":
        """The same without its enhanced code: a greeting, or an answer to HELO or EHLO (RFC 2034 section 4)."""
        return attrs.evolve(self, enhanced="") if self.enhanced else self

    def saying(self, text: str) -> "Reply":
        """The same codes with other words; with an empty text the reply itself."""
        return Reply(self.code, self.enhanced, (text,)) if text else self


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """A receiver or a policy answers with a reply of its own instead of a `MailError`."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self.reply = reply


class BadCommandError(ProtocolError):
    """
    The peer sent what the grammar does not allow.

    Args:
        reply: the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def _reply(code: int, enhanced: str, text: str) -> Reply:
    return Reply(code, enhanced, (text,))


# 2yz: done
HELP = Reply(
    214,
    "2.0.0",
    (
        "HELO EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT",
        "VRFY HELP STARTTLS AUTH",
        "see RFC 5321",
    ),
)  # RFC 5321 section 4.1.1.8
LMTP_HELP = Reply(
    214,
    "2.0.0",
    (
        "LHLO MAIL RCPT DATA BDAT RSET NOOP QUIT",
        "VRFY HELP STARTTLS",
        "see RFC 2033",
    ),
)  # RFC 5321 section 4.1.1.8
TLS_READY = _reply(220, "2.0.0", "ready to start TLS")  # RFC 3207 section 4
BYE = _reply(221, "2.0.0", "goodbye")  # RFC 5321 section 4.1.1.10
LOGGED_IN = _reply(235, "2.7.0", "authentication succeeded")  # RFC 4954 section 4
OK = _reply(250, "2.0.0", "ok")  # RFC 5321 section 4.1.1.9
RESET = _reply(250, "2.0.0", "forgotten")  # RFC 5321 section 4.1.1.5
SENDER_OK = _reply(250, "2.1.0", "sender ok")  # RFC 5321 section 4.1.1.2, RFC 3463 section 3.2
RECIPIENT_OK = _reply(250, "2.1.5", "recipient ok")  # RFC 5321 section 4.1.1.3
CANNOT_VERIFY = _reply(252, "2.5.0", "cannot verify, but will take mail for it and try")  # RFC 5321 section 3.5.3

# 3yz: go on
SEND_CONTENT = _reply(354, "", "end with <CRLF>.<CRLF>")  # RFC 5321 section 4.1.1.4

# 4yz: not now
LOGIN_ENDED = _reply(421, "4.7.0", "this login is no longer valid")
ENDED_BY_OPERATOR = _reply(421, "4.3.2", "the operator ended this connection")
SHUTTING_DOWN = _reply(421, "4.3.2", "shutting down, try again soon")  # RFC 5321 section 3.8
GIVING_UP = _reply(421, "4.3.0", "internal trouble, closing")  # RFC 5321 section 3.8
TIMED_OUT = _reply(421, "4.4.2", "waited too long, closing")  # RFC 5321 section 4.5.3.2.7
TOO_SLOW = _reply(421, "4.4.2", "too slow, closing")  # RFC 5321 section 4.5.3.2.5
TOO_MANY_ERRORS = _reply(421, "4.7.0", "too many errors, closing")  # RFC 5321 section 4.3.2
TOO_MANY_FAILED_LOGINS = _reply(421, "4.7.0", "too many failed logins, closing")  # RFC 4954 section 4
TOO_MANY_UNKNOWN = _reply(421, "4.7.0", "too many unknown recipients, closing")  # RFC 5321 section 7.1
TOO_MANY_CONNECTIONS = _reply(421, "4.7.0", "too many connections from you, try again later")  # RFC 5321 section 7.8
TOO_MANY_MESSAGES = _reply(421, "4.7.0", "enough for this connection, open another")  # RFC 5321 section 7.8
BAD_LINES = _reply(421, "4.5.0", "too many bad lines, closing")  # RFC 5321 section 4.5.3.1.4
UNAVAILABLE = _reply(451, "4.3.0", "temporary trouble here, try again later")  # RFC 5321 section 4.2.3
CONFLICT = _reply(451, "4.3.0", "something changed meanwhile, try again")  # RFC 5321 section 4.2.3
OVER_QUOTA = _reply(452, "4.2.2", "mailbox full")  # RFC 5321 section 4.2.3, RFC 3463 section 3.3
TOO_MANY_RECIPIENTS = _reply(452, "4.5.3", "too many recipients for one message")  # RFC 5321 section 4.5.3.1.10
TLS_UNAVAILABLE = _reply(454, "4.7.0", "TLS is not available now")  # RFC 3207 section 4
LOGIN_UNAVAILABLE = _reply(454, "4.7.0", "cannot check logins now, try again later")  # RFC 4954 section 6

# 5yz: no
UNKNOWN_COMMAND = _reply(500, "5.5.1", "command not recognised")  # RFC 5321 section 4.2.4
LHLO_INSTEAD = _reply(500, "5.5.1", "this is LMTP, say LHLO")  # RFC 2033 section 4.1
BAD_LINE = _reply(500, "5.5.2", "lines end with CRLF and hold no control characters")  # RFC 5321 section 2.3.8
LINE_TOO_LONG = _reply(500, "5.5.2", "line too long")  # RFC 5321 section 4.5.3.1.4
RESPONSE_TOO_LONG = _reply(500, "5.5.6", "authentication exchange line is too long")  # RFC 4954 section 4
BAD_CHUNK = _reply(
    501, "5.5.4", "say BDAT, the number of octets and, for the last ones, LAST; closing"
)  # RFC 3030 section 2
HOLD_OUT_OF_RANGE = _reply(501, "5.5.4", "a message cannot be held until then")  # RFC 4865
SYNTAX = _reply(501, "5.5.4", "syntax error in the parameters")  # RFC 5321 section 4.2.4
NO_PARAMETERS = _reply(501, "5.5.4", "this command takes no parameters")  # RFC 5321 section 4.1.1.4
BAD_HOSTNAME = _reply(501, "5.5.4", "say your host name")  # RFC 5321 section 4.1.1.1
BAD_SENDER = _reply(501, "5.1.7", "that is not an address, write FROM:<name@domain>")  # RFC 3463 section 3.2
BAD_RECIPIENT = _reply(501, "5.1.3", "that is not an address, write TO:<name@domain>")  # RFC 3463 section 3.2
BAD_BASE64 = _reply(501, "5.5.2", "that is not base64")  # RFC 4954 section 4
LOGIN_CANCELLED = _reply(501, "5.7.0", "authentication cancelled")  # RFC 4954 section 4
EXPN_OFF = _reply(502, "5.5.1", "lists are not expanded here")  # RFC 5321 section 3.5.3
NO_STARTTLS = _reply(502, "5.5.1", "TLS is not offered")  # RFC 5321 section 4.2.4
NO_AUTH = _reply(502, "5.5.1", "authentication is not offered")  # RFC 5321 section 4.2.4
HELLO_FIRST = _reply(503, "5.5.1", "say EHLO first")  # RFC 5321 section 4.1.4
SENDER_FIRST = _reply(503, "5.5.1", "say MAIL first")  # RFC 5321 section 4.1.4
ONE_SENDER = _reply(503, "5.5.1", "a transaction is open, RSET ends it")  # RFC 5321 section 4.1.4
RECIPIENT_FIRST = _reply(503, "5.5.1", "no valid recipients")  # RFC 5321 section 3.3
TLS_ALREADY = _reply(503, "5.5.1", "TLS is already on")  # RFC 3207 section 4.2
LOGGED_IN_ALREADY = _reply(503, "5.5.1", "already authenticated")  # RFC 4954 section 4
CONTENT_BEGAN = _reply(503, "5.5.1", "content has come by BDAT, go on with it or say RSET")  # RFC 3030 section 2
BINARY_BY_BDAT = _reply(503, "5.5.1", "BINARYMIME needs BDAT")  # RFC 3030 section 3
NOT_WHILE_MAIL = _reply(503, "5.5.1", "not during a mail transaction")  # RFC 4954 section 4
NOT_AFTER_LOGIN = _reply(503, "5.5.1", "not after authentication")  # RFC 3207 section 4.2
UNKNOWN_MECHANISM = _reply(504, "5.5.4", "authentication mechanism not offered")  # RFC 4954 section 4
TLS_FIRST = _reply(530, "5.7.0", "say STARTTLS first")  # RFC 3207 section 4
REQUIRETLS_IN_CLEAR = _reply(530, "5.7.10", "REQUIRETLS needs TLS here as well")  # RFC 8689 section 2
LOGIN_FIRST = _reply(530, "5.7.0", "authentication required")  # RFC 4954 section 6
LOGIN_FAILED = _reply(535, "5.7.8", "authentication failed")  # RFC 4954 section 6
ENCRYPTION_FIRST = _reply(538, "5.7.11", "encryption required for authentication")  # RFC 4954 section 6
NO_SUCH_MAILBOX = _reply(550, "5.1.1", "no such mailbox")  # RFC 5321 section 4.2.3
BARE_NEWLINE = _reply(550, "5.5.2", "the message holds a bare CR or LF")  # RFC 5321 section 2.3.8
NUL_IN_CONTENT = _reply(550, "5.6.0", "the message holds a NUL octet")  # RFC 5321 section 4.5.2, RFC 5322 section 2.2
SENDER_NEEDS_SMTPUTF8 = _reply(550, "5.6.7", "a non-ASCII address needs SMTPUTF8")  # RFC 6531 section 3.5: of MAIL
ANSWER_NEEDS_SMTPUTF8 = _reply(550, "5.6.8", "the answer needs SMTPUTF8")  # RFC 6531 section 3.7.4.2
DENIED = _reply(550, "5.7.1", "not allowed")  # RFC 5321 section 4.2.3
EXISTS = _reply(550, "5.7.1", "already there")  # RFC 5321 section 4.2.3
INVALID = _reply(550, "5.6.0", "the message is not acceptable")  # RFC 3463 section 3.7
EXPUNGED = _reply(550, "5.2.0", "the mailbox is gone")  # RFC 3463 section 3.3
TOO_LARGE = _reply(552, "5.3.4", "message too big")  # RFC 1870 section 6.1
CHUNK_TOO_LARGE = _reply(552, "5.3.4", "far more than the biggest message, closing")  # RFC 1870 section 6.1
SENDER_INVALID = _reply(553, "5.1.7", "that sender address is not acceptable")  # RFC 5321 section 4.2.3
RECIPIENT_INVALID = _reply(553, "5.1.3", "that recipient address is not acceptable")  # RFC 5321 section 4.2.3
NEEDS_SMTPUTF8 = _reply(553, "5.6.7", "a non-ASCII address needs SMTPUTF8")  # RFC 6531 section 3.5: of RCPT
NO_BINARY = _reply(554, "5.6.1", "BINARYMIME is not taken here")  # RFC 3463 section 3.7
PIPELINING_ABUSE = _reply(554, "5.5.1", "you did not wait for the reply")  # RFC 2920 section 3.1
UNKNOWN_PARAMETER = _reply(555, "5.5.4", "parameter not recognised")  # RFC 5321 section 4.1.1.11


REPLY_FOR_KIND: Mapping[Kind, Reply] = {
    Kind.NOT_FOUND: NO_SUCH_MAILBOX,
    Kind.EXISTS: EXISTS,
    Kind.DENIED: DENIED,
    Kind.OVER_QUOTA: OVER_QUOTA,
    Kind.TOO_LARGE: TOO_LARGE,
    Kind.INVALID: INVALID,
    Kind.CONFLICT: CONFLICT,
    Kind.EXPUNGED: EXPUNGED,
    Kind.UNAVAILABLE: UNAVAILABLE,
}
"""What each neutral failure is called in SMTP."""


def reply_to(error: MailError | Refused, *, invalid: Reply = INVALID) -> Reply:
    """
    The reply for a failure; a `MailError`'s own words stand in it when it has any.

    Args:
        invalid: what INVALID means at this moment, where it is not about the message.
    """
    if isinstance(error, Refused):
        return error.reply
    reply = invalid if error.kind is Kind.INVALID else REPLY_FOR_KIND[error.kind]
    return reply if error.detail == error.kind.value else reply.saying(error.detail)
