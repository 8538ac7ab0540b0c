"""What an operator may choose about IMAP; the numbers are the limits that we ship."""

import re

import attrs

from mailsuite.connections import ConnectionLimits

MIB = 2**20

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


@attrs.frozen(kw_only=True)
class QuirkSettings:
    """
    What some clients or accounts are better off without.

    Fields of the client's ID compare without regard to case; a ``*`` at the end stands for anything. What is empty
    matches everything, but one of them says whom this is about.

    Args:
        name: of the program, as its ID tells it.
        vendor: of the program, as its ID tells it.
        version: of the program, as its ID tells it.
        version_from: the first version with the fault.
        version_below: the first version without it; 12.0b4 comes before 12.0, and that before 12.0.1.
        os: operating system, as its ID tells it.
        os_version: version of the operating system, as its ID tells it.
        account: address of one account.
        domain: all accounts of one domain.
        off: capabilities that are neither announced nor enabled for them.
        on: capabilities that the rows which come with mailsuite do not switch off for them.
        reason: why; told in the log.
        source: where that can be read.
    """

    name: str = ""
    vendor: str = ""
    version: str = ""
    version_from: str = ""
    version_below: str = ""
    os: str = ""
    os_version: str = ""
    account: str = ""
    domain: str = ""
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    reason: str = ""
    source: str = ""


@attrs.frozen(kw_only=True)
class IMAPSettings:
    """
    Settings of an `IMAPFactory`.

    Args:
        allow_cleartext: LOGIN and AUTHENTICATE are allowed without TLS.
        mechanisms: SASL mechanisms offered, in this order.
        rates: connections in all, per address and per account are limited.
        literal_max_octets: the largest message that APPEND takes.
        literal_memory_octets: APPEND keeps messages up to this size in memory and writes larger ones to a file of
            the store while they arrive.
        arguments_max_octets: all arguments of one command together, after login.
        login_literal_max_octets: all literals of one command before login.
        login_line_max_octets: a command line before login; the largest ID (RFC 2971 section 3.3) has 31800.
        login_seconds: from the connection to a successful login, in all.
        idle_seconds: without a command, after login (RFC 3501 section 5.4).
        stall_seconds: without any progress of what is to be sent.
        idle_look_seconds: how often the mailbox of an idling client is looked at for what other programs did.
        idle_announce_seconds: how often an idling client is sent a line, so that address translation on the way
            keeps the connection; a multiple of `idle_look_seconds`.
        drain_seconds: how long a shutdown waits for commands that run.
        failed_login_seconds: delay of the answer to a failed login.
        bad_commands_before_login: after so many the connection is closed.
        bad_commands_after_login: after so many the connection is closed.
        connections_max: connections in all.
        connections_per_minute_max: new connections from one address; of IPv6, from one /64.
        connections_per_address: connections from one address; of IPv6, from one /64.
        connections_per_account: connections of one account.
        search_seconds: how long one SEARCH may take.
        progress_seconds: how often a client is told that its SEARCH, SORT, THREAD, COPY or MOVE is still at work; 0 is
            never.
        capabilities_off: capabilities that are neither announced nor enabled for anybody.
        shipped_quirks: what comes with mailsuite about faults of well-known programs is acted upon.
        quirks: what is switched off for some clients or accounts.
        annotation_max_octets: the longest value of an annotation; what is longer than ``arguments_max_octets`` is
            refused as well.
        annotations_per_mailbox: most annotations of a mailbox; clients may rely on ten (RFC 5464 section 4.1).
        annotations_per_account: most annotations of an account, all of its mailboxes together.
        server_comment: what every client can read of the server; empty is nothing.
        server_admin: how to reach who runs the server, a URI such as ``mailto:help@example.com``; empty is the
            postmaster of the account's domain.
    """

    allow_cleartext: bool = False
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    rates: bool = True
    literal_max_octets: int = 25 * MIB
    literal_memory_octets: int = 64 * 1024
    arguments_max_octets: int = 64 * 1024
    login_literal_max_octets: int = 4096
    login_line_max_octets: int = 32768
    login_seconds: float = 60.0
    idle_seconds: float = 30 * 60.0
    stall_seconds: float = 60.0
    idle_look_seconds: float = 30.0
    idle_announce_seconds: float = 120.0
    drain_seconds: float = 10.0
    failed_login_seconds: float = 2.0
    bad_commands_before_login: int = 3
    bad_commands_after_login: int = 20
    connections_max: int = 5000
    connections_per_minute_max: int = 300
    connections_per_address: int = 50
    connections_per_account: int = 20
    search_seconds: float = 10.0
    progress_seconds: float = 4.0
    capabilities_off: tuple[str, ...] = ()
    shipped_quirks: bool = True
    quirks: tuple[QuirkSettings, ...] = ()
    annotation_max_octets: int = attrs.field(default=16 * 1024, validator=attrs.validators.ge(1024))
    annotations_per_mailbox: int = attrs.field(default=100, validator=attrs.validators.ge(10))
    annotations_per_account: int = attrs.field(default=1000, validator=attrs.validators.ge(10))
    server_comment: str = ""
    server_admin: str = attrs.field(default="")

    @server_admin.validator
    def _check_server_admin(self, attribute: "attrs.Attribute[str]", value: str) -> None:
        if value and _URI.fullmatch(value) is None:
            raise ValueError(f"{attribute.name} must be a URI such as mailto:help@example.com")

    @property
    def connection_limits(self) -> ConnectionLimits | None:
        """What is allowed of connections; None where `rates` is off."""
        if not self.rates:
            return None
        return ConnectionLimits(
            total=self.connections_max,
            per_network=self.connections_per_address,
            per_account=self.connections_per_account,
            per_minute=self.connections_per_minute_max,
        )
