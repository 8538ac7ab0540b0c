"""What a login brings to the portal."""

import hmac

import attrs
from twisted.cred.credentials import IUsernamePassword
from zope.interface import implementer


@implementer(IUsernamePassword)
@attrs.frozen(kw_only=True)
class PasswordLogin:
    """
    A name and a clear password, as any checker for ``IUsernamePassword`` takes them.

    Args:
        username: UTF-8, as the client sent it (the authentication identity of RFC 4616 section 2).
        password: UTF-8 where the mechanism says so, otherwise as the client sent it.
        authorization_id: whom to act as; empty means the one who logs in.
        protocol: ``smtp``, ``imap``, ``pop3``, ...; for logs and limits.
        ip: textual address of the peer; empty when it has none.
    """

    username: bytes
    password: bytes = attrs.field(repr=False)
    authorization_id: bytes = b""
    protocol: str = ""
    ip: str = ""

    def checkPassword(self, password: bytes) -> bool:
        """Say whether this is the password; takes the same time wherever they differ."""
        return hmac.compare_digest(self.password, password)
