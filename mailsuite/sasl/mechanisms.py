"""
The server's side of PLAIN and LOGIN, without base64 and without a connection.

RFC 4422 section 3, RFC 4616; LOGIN as in draft-murchison-sasl-login-00.
"""

import abc
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from mailsuite.errors import ProtocolError
from mailsuite.sasl.credentials import PasswordLogin

RESPONSE_MAX_OCTETS = 12_288  # RFC 4954 section 4

USERNAME_PROMPT = b"Username:"
PASSWORD_PROMPT = b"Password:"


class AuthorizationRefusedError(ProtocolError):
    """The client asked to act as somebody else."""


class ResponseTooLongError(ProtocolError):
    """A response is longer than any mechanism needs (RFC 4954 section 4: ``500 5.5.6``)."""


@attrs.frozen
class Challenge:
    """The server wants a response to these octets; they may be empty."""

    octets: bytes


@attrs.frozen
class Done:
    """The client has said everything; the portal decides."""

    credentials: PasswordLogin


class Mechanism(Protocol):
    """One exchange on the server's side: `start` once, then `next` while the answer is a `Challenge`."""

    def start(self, initial: bytes | None) -> Challenge | Done:
        """
        Begin.

        Args:
            initial: the initial response, decoded; None when the client sent none, which is not an empty one.

        Raises:
            ProtocolError: the exchange has failed.
        """

    def next(self, response: bytes) -> Challenge | Done:
        """
        Take the response to the last challenge, decoded.

        Raises:
            ProtocolError: the exchange has failed.
        """


@attrs.define(kw_only=True)
class PasswordMechanism(abc.ABC):
    """
    What PLAIN and LOGIN share.

    Args:
        protocol: ``smtp``, ``imap`` or ``pop3``, for the credentials.
        ip: of the peer, for the credentials.
        may_act_for_others: let an authorization identity differ from the authentication identity.
    """

    protocol: str = ""
    ip: str = ""
    may_act_for_others: bool = False

    @abc.abstractmethod
    def next(self, response: bytes) -> Challenge | Done:
        """Take the response to the last challenge."""

    def finish(self, username: bytes, password: bytes, authorization_id: bytes = b"") -> Done:
        """Check what was said and make credentials of it."""
        for field in (username, password, authorization_id):
            check_text(field)
        if not username or not password:
            raise ProtocolError("name and password must not be empty")
        if authorization_id and authorization_id != username and not self.may_act_for_others:
            raise AuthorizationRefusedError("acting as another user is not allowed")
        return Done(
            PasswordLogin(
                username=username,
                password=password,
                authorization_id=authorization_id,
                protocol=self.protocol,
                ip=self.ip,
            )
        )


@attrs.define(kw_only=True)
class Plain(PasswordMechanism):
    """PLAIN: everything in one response (RFC 4616 section 2)."""

    def start(self, initial: bytes | None) -> Challenge | Done:
        """Begin; without an initial response, an empty challenge asks for it."""
        return Challenge(b"") if initial is None else self.next(initial)

    def next(self, response: bytes) -> Challenge | Done:
        """Take ``[authzid] NUL authcid NUL passwd``."""
        check_length(response)
        fields = response.split(b"\0")
        if len(fields) != 3:  # noqa: PLR2004 - the three fields of the message
            raise ProtocolError("a PLAIN response has three fields with NUL between them")
        authorization_id, username, password = fields
        return self.finish(username, password, authorization_id)


@attrs.define(kw_only=True)
class Login(PasswordMechanism):
    """LOGIN: the name, then the password; an initial response is the name."""

    _username: bytes | None = attrs.field(default=None, init=False, repr=False)

    def start(self, initial: bytes | None) -> Challenge | Done:
        """Begin; ask for the name if it did not come along."""
        return Challenge(USERNAME_PROMPT) if initial is None else self.next(initial)

    def next(self, response: bytes) -> Challenge | Done:
        """Take the name or the password."""
        check_length(response)
        if self._username is None:
            if not response:
                raise ProtocolError("name and password must not be empty")
            check_text(response)
            self._username = response
            return Challenge(PASSWORD_PROMPT)
        return self.finish(self._username, response)


MECHANISMS: Mapping[str, Callable[..., Mechanism]] = {"PLAIN": Plain, "LOGIN": Login}
"""Every mechanism by its registered name; each is made with the keyword arguments of `PasswordMechanism`."""


def check_length(response: bytes) -> None:
    """
    Refuse what no mechanism needs.

    Raises:
        ResponseTooLongError: it is longer than 12,288 octets.
    """
    if len(response) > RESPONSE_MAX_OCTETS:
        raise ResponseTooLongError("the response is too long")


def check_text(field: bytes) -> None:
    """
    Refuse what is not UTF-8 text without NUL (RFC 4616 section 2).

    Raises:
        ProtocolError: it is not.
    """
    if b"\0" in field:
        raise ProtocolError("NUL is not allowed in a name or password")
    try:
        field.decode("utf-8")
    except UnicodeDecodeError:
        raise ProtocolError("name and password must be UTF-8") from None
