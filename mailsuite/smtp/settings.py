"""What an embedder or an operator may change: limits and timeouts of the server, and how a client sends."""

import enum
from typing import TYPE_CHECKING

import attrs

from mailsuite.connections import ConnectionLimits

if TYPE_CHECKING:
    from twisted.internet.interfaces import IOpenSSLClientConnectionCreator

MINUTE_SECONDS = 60
DAY_SECONDS = 24 * 60 * MINUTE_SECONDS
MEBIBYTE_OCTETS = 1024 * 1024


@attrs.frozen(kw_only=True)
class SMTPSettings:
    """
    Everything a server connection obeys. The limits are at or above the minima of RFC 5321 section 4.5.3.1.

    Args:
        banner: words after the host name in the greeting.
        require_tls: MAIL and AUTH only after STARTTLS (RFC 3207 section 4).
        require_auth: MAIL only after AUTH: a submission service (RFC 6409 section 4.3).
        allow_cleartext: AUTH may happen without TLS.
        mechanisms: SASL mechanisms offered, in this order.
        vrfy: VRFY tells whether a mailbox exists, by asking the receiver; otherwise it always says 252.
        rates: False switches off what counts connections and messages, for load tests; sizes, deadlines, bad
            commands and recipients per message stay limited.
        binarymime: content may be no text (BINARYMIME, RFC 3030), where the receiver takes such.
        future_release_seconds: how long a submitted message may be held before it leaves (RFC 4865); 0 is not at all.
        xclient_peers: addresses and networks of proxies that may say for whom they speak (XCLIENT).
        greet_delay_seconds: wait before the greeting; who talks meanwhile is turned away.
        message_max_octets: announced by SIZE.
        recipients_max: recipients of a message.
        unknown_recipients_max: per session of a stranger.
        messages_per_connection_max: messages on one connection.
        connections_max: connections in all.
        connections_per_network_max: connections of one network: an IPv4 address or an IPv6 /64.
        connections_per_account_max: connections of one account.
        connections_per_minute_max: new connections a minute from one network.
        command_line_max_octets: length of a command line.
        bad_lines_max: lines that are no commands, after which the connection is closed.
        unknown_commands_before_hello_max: unknown commands before HELO or EHLO, after which the connection is closed.
        error_delay_after: errors in a session after which each reply waits `error_delay_seconds`.
        error_delay_seconds: see `error_delay_after`.
        errors_max: errors in a session, after which it is closed.
        junk_commands_max: commands without a message after which each counts as an error.
        failed_logins_max: failed logins on one connection.
        failed_login_delay_seconds: delay of the answer to a failed login.
        greeting_seconds: until the greeting has been sent.
        tls_handshake_seconds: for the TLS handshake.
        stranger_command_seconds: wait for a command before somebody logged in or sent MAIL.
        command_seconds: wait for a command.
        data_start_seconds: wait for the first octets of a message.
        data_idle_seconds: wait for the next octets of a message.
        data_total_seconds: for a whole message.
        data_grace_seconds: how long a message may come slower than `data_min_octets_per_second`.
        data_min_octets_per_second: slowest message, in octets a second.
        write_stall_seconds: how long a peer may read nothing while replies wait.
    """

    banner: str = "ESMTP"
    require_tls: bool = False
    require_auth: bool = False
    allow_cleartext: bool = False
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    vrfy: bool = False
    rates: bool = True
    binarymime: bool = True
    future_release_seconds: int = 30 * DAY_SECONDS
    xclient_peers: tuple[str, ...] = ()
    greet_delay_seconds: float = 0

    message_max_octets: int = 25 * MEBIBYTE_OCTETS
    recipients_max: int = 1000
    unknown_recipients_max: int = 100
    messages_per_connection_max: int = 100
    connections_max: int = 5000
    connections_per_network_max: int = 50
    connections_per_account_max: int = 20
    connections_per_minute_max: int = 300
    command_line_max_octets: int = 2048
    bad_lines_max: int = 3
    unknown_commands_before_hello_max: int = 5
    error_delay_after: int = 10
    error_delay_seconds: float = 1
    errors_max: int = 20
    junk_commands_max: int = 100
    failed_logins_max: int = 3
    failed_login_delay_seconds: float = 2

    greeting_seconds: float = 30
    tls_handshake_seconds: float = 15
    stranger_command_seconds: float = MINUTE_SECONDS
    command_seconds: float = 5 * MINUTE_SECONDS
    data_start_seconds: float = 2 * MINUTE_SECONDS
    data_idle_seconds: float = 3 * MINUTE_SECONDS
    data_total_seconds: float = 60 * MINUTE_SECONDS
    data_grace_seconds: float = MINUTE_SECONDS
    data_min_octets_per_second: int = 500
    write_stall_seconds: float = MINUTE_SECONDS

    @property
    def connection_limits(self) -> ConnectionLimits | None:
        """What is allowed of connections; None where `rates` is off."""
        if not self.rates:
            return None
        return ConnectionLimits(
            total=self.connections_max,
            per_network=self.connections_per_network_max,
            per_account=self.connections_per_account_max,
            per_minute=self.connections_per_minute_max,
        )


class TLSPolicy(enum.Enum):
    """Whether a client says STARTTLS."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRE = "require"


@attrs.frozen(kw_only=True)
class ClientSettings:
    """
    How a message is sent to one host. The timeouts are those of RFC 5321 section 4.5.3.2.

    Args:
        hostname: what we call ourselves.
        host: the name of the host, told when TLS begins; empty says nothing.
        tls: OPPORTUNISTIC goes on in the clear, on a new connection if need be, where TLS fails; REQUIRE defers.
        tls_creator: for example from ``optionsForClientTLS``; without it, any certificate is taken.
        implicit_tls: the endpoint speaks TLS from the first octet, so STARTTLS is not said.
        username: with `password`, log in before MAIL; refused by us in the clear unless `allow_cleartext`.
        chunking: BDAT is used where the host offers CHUNKING.
        messages_max: messages on one connection.
        content_seconds: for each block of content.
        end_of_data_seconds: for the reply to the final dot.
    """

    hostname: bytes = b"localhost"
    host: bytes = b""
    tls: TLSPolicy = TLSPolicy.OPPORTUNISTIC
    tls_creator: "IOpenSSLClientConnectionCreator | None" = None
    implicit_tls: bool = False
    username: bytes = b""
    password: bytes = attrs.field(default=b"", repr=False)
    allow_cleartext: bool = False
    chunking: bool = True
    messages_max: int = 100
    connect_seconds: float = 30
    greeting_seconds: float = 5 * MINUTE_SECONDS
    command_seconds: float = 5 * MINUTE_SECONDS
    data_seconds: float = 2 * MINUTE_SECONDS
    content_seconds: float = 3 * MINUTE_SECONDS
    end_of_data_seconds: float = 10 * MINUTE_SECONDS
    quit_seconds: float = 5

    @property
    def verifies(self) -> bool:
        """Whether a connection with TLS is one to a host whose certificate was checked."""
        return self.tls_creator is not None and (self.tls is TLSPolicy.REQUIRE or self.implicit_tls)
