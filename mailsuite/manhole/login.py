"""Public keys as the only way in, and who came in by which."""

from typing import Any

from twisted.conch.error import IgnoreAuthentication, ValidPublicKey
from twisted.conch.ssh.common import getNS
from twisted.conch.ssh.keys import BadKeyError, Key
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.manhole.keys import SIGNATURES, PublicKey, fingerprint, load_keys
from mailsuite.observe import EventLog

ATTEMPTS_MAX = 6
NAME_MAX = 64  # characters of what a stranger says that the log shows
KEY = b"publickey"


@implementer(ICredentialsChecker)
class KeyChecker:
    """
    Takes whoever holds a configured key, under any user name; a changed file is noticed at the next login.

    Args:
        configured: the name of a file, or keys.
    """

    credentialInterfaces = (ISSHPrivateKey,)

    def __init__(self, configured: str | tuple[str, ...], log: EventLog) -> None:
        self._configured = configured
        self._log = log

    def requestAvatarId(self, credentials: Any) -> bytes:  # type: ignore[override]  # Portal takes both
        """
        Say whose key this is.

        Raises:
            ValidPublicKey: it is one of ours, and the client has not yet proved that it holds it.
            UnauthorizedLogin: it is not, or the proof is none.
        """
        key = self._find(credentials.blob)
        if key is None or credentials.algName not in _signatures(key):
            raise UnauthorizedLogin("this key is not known")
        if not credentials.signature:
            raise ValidPublicKey
        try:
            proved = getNS(credentials.signature)[0] in _signatures(key) and Key.fromString(credentials.blob).verify(
                credentials.signature, credentials.sigData
            )
        except Exception as error:  # whatever the client sent in place of a signature
            raise UnauthorizedLogin("the signature cannot be read") from error
        if not proved:
            raise UnauthorizedLogin("the signature is wrong")
        return key.who.encode("utf-8")

    def load(self) -> list[PublicKey]:
        """Read the keys; none, and the reason in the log, when they cannot be read."""
        try:
            return load_keys(self._configured)
        except (OSError, ValueError) as error:
            self._log.emit("manhole.keys.unreadable", reason=str(error))
            return []

    def _find(self, blob: bytes) -> PublicKey | None:
        return next((key for key in self.load() if key.blob == blob), None)


def _signatures(key: PublicKey) -> list[bytes]:
    return [name.encode("ascii") for name in SIGNATURES[key.kind]]


class KeyLogin(SSHUserAuthServer):
    """Login on one connection, in the log."""

    attemptsBeforeDisconnect = ATTEMPTS_MAX
    transport: Any

    def serviceStarted(self) -> None:
        """Begin; the connection itself watches the time."""
        self.clock = self.transport.factory.clock
        self.loginTimeout = self.transport.factory.settings.login_seconds
        super().serviceStarted()  # type: ignore[no-untyped-call]  # Twisted's is not annotated

    def tryAuth(self, kind: bytes, user: bytes, data: bytes) -> Any:
        """Try to log in, and write down how that ended."""
        trying: Deferred[Any] = super().tryAuth(kind, user, data)
        if kind == b"none":
            return trying  # asks only what there is
        name = user.decode("utf-8", "replace")[:NAME_MAX]
        return trying.addCallbacks(self._accepted, self._refused, (name,), {}, (kind, name, data))

    def _accepted(self, result: Any, username: str) -> Any:
        avatar = result[1]
        avatar.peer = self.transport.ip
        self.transport.accepted()
        self.transport.log.emit("manhole.login.succeeded", who=avatar.who, username=username)
        return result

    def _refused(self, failure: Failure, kind: bytes, username: str, data: bytes) -> Failure:
        if failure.check(IgnoreAuthentication) is None:
            key = fingerprint(getNS(data[1:], 2)[1]) if kind == KEY else ""
            method = kind.decode("ascii", "replace")[:NAME_MAX]
            self.transport.log.emit("manhole.login.refused", username=username, method=method, key=key)
        if failure.check(BadKeyError):
            return Failure(UnauthorizedLogin("the key cannot be read"))
        return failure
