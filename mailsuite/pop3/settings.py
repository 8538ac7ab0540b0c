"""What can be set for POP3."""

from collections.abc import Sequence

import attrs

from mailsuite.connections import ConnectionLimits


@attrs.frozen(kw_only=True)
class POP3Settings:
    """
    Limits and manners of a POP3 server.

    Args:
        allow_cleartext: take passwords outside TLS as well.
        mechanisms: SASL mechanisms for AUTH (RFC 5034); USER and PASS are offered in any case.
        banner: what the greeting says after ``+OK``.
        idle_seconds: without a command; at least ten minutes (RFC 1939 section 3).
        login_seconds: from the connection to the login, whatever is said meanwhile.
        write_stall_seconds: without the client reading anything.
        line_max_octets: of a command, without its CRLF (RFC 2449 section 4).
        auth_line_max_octets: of AUTH and the lines of its exchange.
        failure_delay_seconds: before a failed login is answered.
        failures_max: failed logins, then the connection is closed.
        bad_commands_max: lines that make no sense, then the connection is closed.
        prefetch_octets: most octets of messages that are read ahead for a client that reads in order.
        rates: False turns the limits on connections off.
        connections_max: in all.
        connections_per_network_max: from one IPv4 address or one IPv6 /64.
        connections_per_account_max: of one account.
    """

    allow_cleartext: bool = False
    mechanisms: Sequence[str] = ("PLAIN",)
    banner: str = "mailsuite POP3 ready"
    idle_seconds: float = 600
    login_seconds: float = 60
    write_stall_seconds: float = 60
    line_max_octets: int = 255
    auth_line_max_octets: int = 12_288
    failure_delay_seconds: float = 2
    failures_max: int = 3
    bad_commands_max: int = 20
    prefetch_octets: int = 256 * 1024
    rates: bool = True
    connections_max: int = 5000
    connections_per_network_max: int = 50
    connections_per_account_max: int = 20

    @property
    def connection_limits(self) -> ConnectionLimits | None:
        """What is allowed of connections; None where `rates` is off."""
        if not self.rates:
            return None
        return ConnectionLimits(
            total=self.connections_max,
            per_network=self.connections_per_network_max,
            per_account=self.connections_per_account_max,
        )
