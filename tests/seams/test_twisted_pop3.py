"""What we rely on in ``twisted.mail.pop3`` and in Twisted's transports; an upgrade that moves it fails here."""

import datetime as dt
import io
import poplib
import ssl

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.interfaces import ITLSTransport
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import Clock
from twisted.internet.tcp import Server
from twisted.internet.threads import deferToThread
from twisted.mail.interfaces import IMailboxPOP3
from twisted.mail.pop3 import POP3
from twisted.protocols.policies import TimeoutMixin
from zope.interface import implementer

from mailsuite.pop3 import POP3Factory, POP3Settings


def test_the_shell_has_the_methods_that_we_override():
    for name in ("connectionMade", "connectionLost", "dataReceived", "timeoutConnection", "callLater", "setTimeout"):
        assert callable(getattr(POP3, name)), name
    assert issubclass(POP3, TimeoutMixin)
    assert ITLSTransport.implementedBy(Server)


def test_timeouts_run_by_the_clock_that_we_give():
    clock = Clock()

    class Timed(POP3):
        expired = False

        def callLater(self, period, func):
            return clock.callLater(period, func)

        def timeoutConnection(self):
            self.expired = True

    timed = Timed()
    timed.setTimeout(10)
    clock.advance(9)
    timed.setTimeout(10)
    clock.advance(9)
    assert not timed.expired
    clock.advance(1)
    assert timed.expired
    assert clock.getDelayedCalls() == []


def test_stock_capabilities_lack_stls_and_hold_jokes():
    # The reason for a CAPA of our own.
    found = POP3().listCapabilities()
    assert b"STLS" not in found
    assert b"CELERITY" in found


class Mailbox:
    """A mailbox of one large message."""

    message = b"Subject: large\r\n\r\n" + (b".line of text\r\n..\r\n\r\n" * 100_000)

    def listMessages(self, i=None):
        return [len(self.message)] if i is None else len(self.message)

    def getMessage(self, i):
        return io.BytesIO(self.message)

    def getUidl(self, i):
        return b"unique"

    def deleteMessage(self, i):
        pass

    def sync(self):
        pass


@implementer(IRealm)
class Realm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        return IMailboxPOP3, Mailbox(), lambda: None


@pytest.fixture(scope="module")
def context():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made = PrivateCertificate.loadPEM(pem)
    return CertificateOptions(privateKey=made.privateKey.original, certificate=made.original)


def trusting():
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


def drain_mailbox(client):
    try:
        talk(client)
    finally:
        client.close()


def talk(client):
    client.user("alice")
    client.pass_("secret")
    assert client.stat() == (1, len(Mailbox.message))
    _, lines, _ = client.retr(1)
    assert b"\r\n".join(lines) + b"\r\n" == Mailbox.message
    assert client.top(1, 0)[1] == [b"Subject: large", b""]
    assert client.uidl()[1] == [b"1 unique"]
    client.dele(1)
    client.quit()


@pytest.mark.parametrize("way", ["clear", "stls", "implicit"])
@pytest_twisted.inlineCallbacks
def test_the_standard_client_reads_a_large_message_over_real_sockets(context, way):
    from twisted.internet import reactor

    checker = InMemoryUsernamePasswordDatabaseDontUse(alice=b"secret")
    checker.addUser(b"alice", b"secret")
    factory = POP3Factory(
        Portal(Realm(), [checker]),
        settings=POP3Settings(allow_cleartext=way == "clear"),
        context_factory=context,
        reactor=reactor,
    )
    if way == "implicit":
        port = reactor.listenSSL(0, factory, context, interface="127.0.0.1")
    else:
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")

    def client():
        number = port.getHost().port
        if way == "implicit":
            drain_mailbox(poplib.POP3_SSL("127.0.0.1", number, timeout=30, context=trusting()))
            return
        made = poplib.POP3("127.0.0.1", number, timeout=30)
        if way == "stls":
            assert "STLS" in made.capa()
            made.stls(trusting())
            assert "USER" in made.capa()
        drain_mailbox(made)

    yield deferToThread(client)
    yield port.stopListening()
    yield factory.drain()
