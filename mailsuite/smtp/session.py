"""
What one connection has said so far, and so what is allowed now.

RFC 5321 sections 3 and 4.1.4. Nothing here writes to the peer: verbs read and change a session and give a reply.
"""

from collections.abc import Callable

import attrs
from twisted.cred.portal import Portal
from twisted.internet.interfaces import IReactorTime

from mailsuite.address import Address
from mailsuite.envelope import Body, Peer, Sender
from mailsuite.interfaces import IBinaryMailReceiver, IMailReceiver, IMailTransaction
from mailsuite.observe import EventLog
from mailsuite.sasl import Exchange
from mailsuite.smtp import replies
from mailsuite.smtp.extensions import keywords
from mailsuite.smtp.parameters import Holding
from mailsuite.smtp.replies import Reply
from mailsuite.smtp.settings import SMTPSettings
from mailsuite.smtp.xclient import Origin

_MISUSE = frozenset((500, 501, 502, 503, 504, 530, 538, 555))  # replies to what no working client says


@attrs.define(kw_only=True)
class Session:
    """
    The state of one connection.

    Args:
        strangers: takes mail from who has not logged in; None when nobody may.
        join: told the account when somebody logs in; False when it has too many connections.
        peer: remade when HELO, TLS or AUTH changes it.
        tls_offered: STARTTLS could be done on this transport.
        logout: of the avatar; called when the connection ends.
        xclient: the peer may say for whom it speaks.
        moved: told the address that the peer speaks for; False when it has too many connections.
        queue_id: of the transaction or of the last one, as are the paths, for the log.
        verb: the last known one.
        in_chunks: content of the transaction has come by BDAT.
        refusal: of the content that is coming in, or of a message whose further chunks may follow.
    """

    hostname: str
    settings: SMTPSettings
    strangers: IMailReceiver | None
    portal: Portal | None
    clock: IReactorTime
    jitter: Callable[[], float]
    log: EventLog
    peer: Peer
    join: Callable[[str], bool] = attrs.field(default=lambda _account: True)
    moved: Callable[[str], bool] = attrs.field(default=lambda _ip: True)
    xclient: bool = False
    tls_offered: bool = False
    encrypted: bool = False

    receiver: IMailReceiver | None = attrs.field(default=None, init=False)
    logout: Callable[[], object] | None = attrs.field(default=None, init=False)
    exchange: Exchange | None = attrs.field(default=None, init=False)
    sender: Sender | None = attrs.field(default=None, init=False)
    transaction: IMailTransaction | None = attrs.field(default=None, init=False)
    queue_id: str = attrs.field(default="", init=False)
    reverse_path: Address | None = attrs.field(default=None, init=False)
    forward_paths: list[Address] = attrs.field(factory=list, init=False)
    verb: bytes = attrs.field(default=b"", init=False)
    recipients: int = attrs.field(default=0, init=False)
    in_chunks: bool = attrs.field(default=False, init=False)
    refusal: Reply | None = attrs.field(default=None, init=False)
    holding: Holding | None = attrs.field(init=False)

    began: float = attrs.field(init=False)
    ended: bool = attrs.field(default=False, init=False)
    broken: bool = attrs.field(default=False, init=False)
    messages: int = attrs.field(default=0, init=False)
    errors: int = attrs.field(default=0, init=False)
    bad_lines: int = attrs.field(default=0, init=False)
    bare_newlines: int = attrs.field(default=0, init=False)
    junk_commands: int = attrs.field(default=0, init=False)
    unknown_commands: int = attrs.field(default=0, init=False)
    unknown_recipients: int = attrs.field(default=0, init=False)
    failed_logins: int = attrs.field(default=0, init=False)

    @began.default
    def _begin(self) -> float:
        return self.clock.seconds()

    @holding.default
    def _hold(self) -> Holding | None:
        seconds = self.settings.future_release_seconds
        return Holding(self.clock.seconds, seconds) if seconds and self.settings.require_auth else None

    @property
    def greeting(self) -> str:
        """What stands after the 220: the host's name and the banner (RFC 5321 section 4.3.1)."""
        return f"{self.hostname} {self.settings.banner}"

    @property
    def authenticated(self) -> bool:
        """Whether somebody has logged in."""
        return self.receiver is not None

    @property
    def auth_offered(self) -> bool:
        """Whether AUTH would be taken now."""
        return self.portal is not None and not self.authenticated and (self.encrypted or self.settings.allow_cleartext)

    def announce(self) -> tuple[str, ...]:
        """List the extensions for EHLO."""
        return keywords(
            self.settings,
            starttls=self.tls_offered and not self.encrypted and not self.authenticated,
            auth=self.auth_offered,
            encrypted=self.encrypted,
            binary=self.takes_binary,
            holding=self.holding,
            xclient=self.xclient,
        )

    @property
    def takes_binary(self) -> bool:
        """Whether content may be no text at all, as far as that is known before a login."""
        receiver = self.receiver or self.strangers
        return self.settings.binarymime and (receiver is None or IBinaryMailReceiver.providedBy(receiver))

    def check_sender(self, sender: Sender) -> Reply | None:
        """Say why a message with these parameters of MAIL is not taken now, or None."""
        if sender.size_octets > self.settings.message_max_octets:
            return replies.TOO_LARGE
        if sender.require_tls and not self.encrypted:
            return replies.REQUIRETLS_IN_CLEAR
        if sender.body is Body.BINARY_MIME and not self.takes_binary:
            return replies.NO_BINARY
        return None

    def check_mail(self) -> Reply | None:
        """Say why MAIL is not allowed now, or None."""
        if not self.peer.helo:
            return replies.HELLO_FIRST
        if self.settings.require_tls and not self.encrypted:
            return replies.TLS_FIRST
        if not self.authenticated and (self.settings.require_auth or self.strangers is None):
            return replies.LOGIN_FIRST
        if self.transaction is not None:
            return replies.ONE_SENDER
        if self.settings.rates and self.messages >= self.settings.messages_per_connection_max:
            return replies.TOO_MANY_MESSAGES
        return None

    def check_rcpt(self) -> Reply | None:
        """Say why RCPT is not allowed now, or None."""
        if self.transaction is None:
            return replies.SENDER_FIRST
        if self.in_chunks:
            return replies.CONTENT_BEGAN
        if self.recipients >= self.settings.recipients_max:
            return replies.TOO_MANY_RECIPIENTS
        return None

    def check_data(self) -> Reply | None:
        """Say why DATA is not allowed now, or None."""
        if self.transaction is None or self.sender is None:
            return replies.SENDER_FIRST
        if self.in_chunks:
            return replies.CONTENT_BEGAN
        if self.sender.body is Body.BINARY_MIME:
            return replies.BINARY_BY_BDAT
        return None if self.recipients else replies.RECIPIENT_FIRST

    def check_bdat(self) -> Reply | None:
        """Say why the octets of BDAT are read over, or None (RFC 3030 section 2)."""
        if self.transaction is None:
            return self.refusal or replies.SENDER_FIRST
        return None if self.recipients else replies.RECIPIENT_FIRST

    def check_starttls(self) -> Reply | None:
        """Say why STARTTLS is not allowed now, or None."""
        if self.encrypted:
            return replies.TLS_ALREADY
        if not self.tls_offered:
            return replies.NO_STARTTLS
        return replies.NOT_AFTER_LOGIN if self.authenticated else None

    def check_auth(self) -> Reply | None:
        """Say why AUTH is not allowed now, or None."""
        if not self.peer.esmtp:
            return replies.HELLO_FIRST
        if self.portal is None:
            return replies.NO_AUTH
        if self.authenticated:
            return replies.LOGGED_IN_ALREADY
        if self.transaction is not None:
            return replies.NOT_WHILE_MAIL
        if not self.encrypted and self.settings.require_tls:
            return replies.TLS_FIRST
        if not self.auth_offered:
            return replies.ENCRYPTION_FIRST
        return None

    def check_xclient(self) -> Reply | None:
        """Say why XCLIENT is not allowed now, or None; only its own peer may say it, so only once."""
        if not self.xclient:
            return replies.UNKNOWN_COMMAND
        if self.authenticated:
            return replies.NOT_AFTER_LOGIN
        return None if self.transaction is None else replies.NOT_WHILE_MAIL

    def speak_for(self, origin: Origin) -> bool:
        """From now on the peer is somebody else, who has said nothing yet; False when there are too many of them."""
        ip = self.peer.ip if origin.ip is None else origin.ip
        if not self.moved(ip):
            return False
        self.end_transaction()
        self.exchange = None
        self.xclient = False
        local_port = self.peer.local_port if origin.local_port is None else origin.local_port
        self.peer = attrs.evolve(
            self.peer, ip=ip, port=origin.port or 0, local_port=local_port, helo=origin.helo, esmtp=origin.esmtp
        )
        self.log.emit("smtp.xclient.taken", client=ip)
        self.log = self.log.bind(peer=ip or "unix")
        return True

    def greet(self, helo: str, *, esmtp: bool) -> None:
        """HELO or EHLO was said: an open transaction is over (RFC 5321 section 4.1.4)."""
        self.end_transaction()
        self.peer = attrs.evolve(self.peer, helo=helo, esmtp=esmtp)

    def forget_everything(self) -> None:
        """TLS begins: nothing that came in the clear counts (RFC 3207 section 4.2)."""
        self.end_transaction()
        self.exchange = None
        self.peer = attrs.evolve(self.peer, helo="", esmtp=False)
        self.encrypted = True

    def open_transaction(self, transaction: IMailTransaction, sender: Sender) -> None:
        """MAIL was taken."""
        self.transaction = transaction
        self.queue_id = transaction.queue_id
        self.reverse_path = sender.path
        self.forward_paths = []
        self.sender = sender
        self.recipients = 0
        self.refusal = None

    def take_transaction(self) -> IMailTransaction | None:
        """Give the transaction away: whoever asked commits or aborts it, and the session is free for the next."""
        transaction, self.transaction = self.transaction, None
        self.sender = None
        self.recipients = 0
        self.in_chunks = False
        self.refusal = None
        return transaction

    def end_transaction(self) -> None:
        """Abort the transaction, if there is one."""
        transaction = self.take_transaction()
        if transaction is not None:
            try:
                transaction.abort()
            except Exception:  # noqa: BLE001 - a receiver's bug must not keep the connection from ending
                self.log.failure("smtp.session.failed", doing="abort")

    def tell_refused(self, reply: Reply) -> None:
        """Log that the message of the last transaction was refused."""
        self.log.emit(
            "smtp.message.refused",
            queue_id=self.queue_id,
            sender=str(self.reverse_path or "<>"),
            recipients=[str(path) for path in self.forward_paths],
            code=reply.code,
            text=reply.text,
        )

    def close(self) -> None:
        """The connection is gone: forget the message, leave the avatar."""
        self.ended = True
        self.exchange = None
        if self.transaction is not None and self.recipients:
            self.log.emit(
                "smtp.message.abandoned",
                queue_id=self.queue_id,
                sender=str(self.reverse_path or "<>"),
                recipients=[str(path) for path in self.forward_paths],
            )
        self.end_transaction()
        logout, self.logout = self.logout, None
        if logout is not None:
            logout()

    def judge(self, reply: Reply) -> tuple[Reply, float]:
        """
        Count what a reply says of the peer.

        Returns:
            The reply that shall be sent, which may be the last one, and how many seconds to wait before it.
        """
        if reply.code not in _MISUSE:
            return reply, 0
        self.errors += 1
        if self.errors >= self.settings.errors_max:
            return replies.TOO_MANY_ERRORS, 0
        return reply, self.settings.error_delay_seconds if self.errors > self.settings.error_delay_after else 0

    def count_unknown_recipient(self, reply: Reply) -> Reply:
        """Note that a stranger named a mailbox that is not there, and give `reply` or the last one."""
        if self.authenticated:
            return reply
        self.unknown_recipients += 1
        return replies.TOO_MANY_UNKNOWN if self.unknown_recipients > self.settings.unknown_recipients_max else reply

    def count_junk(self, reply: Reply) -> Reply:
        """Note a command that brings no message nearer, and give `reply` or, after many, an error."""
        self.junk_commands += 1
        return reply if self.junk_commands <= self.settings.junk_commands_max else replies.TOO_MANY_ERRORS
