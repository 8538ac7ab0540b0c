"""What the mail side is told: limits of reception, the spool, the queue, and fixed routes."""

import enum
from typing import Literal

import attrs

from mailsuite.address import normalize_domain
from mailsuite.errors import MailError
from mailsuite.smtp.settings import TLSPolicy

MEBIBYTE = 2**20


class OverQuota(enum.Enum):
    """What a sender is told of a mailbox that is full."""

    DEFER = "defer"
    """To try again later: its owner may make room (RFC 5321 section 4.2.3, code 452)."""
    REFUSE = "refuse"
    """That the mail cannot be delivered (code 552)."""


@attrs.frozen(kw_only=True)
class RouteSettings:
    """
    Where mail for one domain goes instead of to its MX.

    Args:
        domain: in the form of `mailsuite.address.normalize_domain`, or ``*`` for every domain without its own route.
        host: its name or address.
        port: as written; the port offset does not touch it.
        tls: OPPORTUNISTIC takes any certificate (RFC 7435); REQUIRE wants one that is valid for the host.
        username: empty sends without AUTH.
        password: of `username`; both or neither.
    """

    domain: str
    host: str
    port: int = 25
    tls: TLSPolicy = attrs.field(default=TLSPolicy.OPPORTUNISTIC, converter=TLSPolicy)
    username: str = ""
    password: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class SubmissionSettings:
    """
    What becomes of messages of our own accounts.

    Args:
        any_from: the From field may hold any address, and Sender then says which account it was; otherwise only
            addresses that lead to the account. The sender address of the envelope is always one of those.
        downgrade: 8-bit text becomes quoted-printable or base64 before anything is signed, so that nobody on the way
            has to do that.
    """

    any_from: bool = False
    downgrade: bool = True


@attrs.frozen(kw_only=True)
class QueueSettings:
    """
    When what could not be delivered at once is tried again, and for how long.

    Args:
        retry_first_seconds: pause after the first failed attempt.
        retry_factor: each pause is this times the one before.
        retry_max_seconds: longest pause.
        lifetime_seconds: age at which mail is returned to its sender; RFC 5321 section 4.5.4.1 asks for 4 to 5 days.
        bounce_lifetime_seconds: the same for mail with the null reverse-path, which is then dropped.
        warn_seconds: age at which the sender is told once that mail is late; 0 tells nobody.
        returned_max_octets: longest message that comes back whole when its sender asks for that; RFC 3461 section 6.2.
        destination_max: most attempts under way for one destination.
        attempts_max: most attempts under way in all; a part of them is kept from destinations that do not answer.
        pause_first_seconds: how long a destination is left alone when it cannot be reached; each time twice as long.
        pause_max_seconds: longest such pause.
        poll_seconds: how often the queue is looked at when nobody tells it to.
        stop_seconds: how long attempts under way may go on when the server stops.
    """

    retry_first_seconds: float = 5 * 60.0
    retry_factor: float = 1.5
    retry_max_seconds: float = 4 * 3600.0
    lifetime_seconds: float = 5 * 86400.0
    bounce_lifetime_seconds: float = 86400.0
    warn_seconds: float = 4 * 3600.0
    returned_max_octets: int = 256 * 1024
    destination_max: int = 20
    attempts_max: int = 100
    pause_first_seconds: float = 60.0
    pause_max_seconds: float = 3600.0
    poll_seconds: float = 2.0
    stop_seconds: float = 10.0


def _check_domain(_instance: object, attribute: "attrs.Attribute[str]", value: str) -> None:
    try:
        right = normalize_domain(value) if value else ""
    except MailError:
        right = ""
    if right != value:
        raise ValueError(f"{attribute.name} is written {right or 'as a domain name'}")


@attrs.frozen(kw_only=True)
class SourceSettings:
    """
    What mail of one sender's domain leaves from.

    Args:
        domain: of the reverse-path, in the form of `mailsuite.address.normalize_domain`.
        source_ipv4: our address of connections to IPv4 hosts; empty leaves it to the system.
        source_ipv6: the same for IPv6.
        helo_name: what we call ourselves; empty is what other domains say.
    """

    domain: str
    source_ipv4: str = ""
    source_ipv6: str = ""
    helo_name: str = ""


@attrs.frozen(kw_only=True)
class RelaySettings:
    """
    How mail is handed to other hosts.

    Args:
        smtp_port: what MX delivery connects to.
        helo_name: what we call ourselves; empty is the name of the server.
        source_ipv4: our address of connections to IPv4 hosts; empty leaves it to the system.
        source_ipv6: the same for IPv6.
        chunking: BDAT is used where a host offers CHUNKING (RFC 3030).
        addresses_max: addresses of hosts tried in one attempt.
        attempt_seconds: for one attempt, all hosts together.
        connect_seconds: for one connection to be made.
        messages_per_connection_max: messages on one connection.
        idle_connections_max: connections kept for the next message, in all; 0 keeps none.
        idle_connection_seconds: how long each is kept.
        connection_life_seconds: age from which one is not kept.
    """

    smtp_port: int = 25
    helo_name: str = ""
    source_ipv4: str = ""
    source_ipv6: str = ""
    chunking: bool = True
    addresses_max: int = 5
    attempt_seconds: float = 3600.0
    connect_seconds: float = 30.0
    messages_per_connection_max: int = 100
    idle_connections_max: int = 20
    idle_connection_seconds: float = 2.0
    connection_life_seconds: float = 300.0


@attrs.frozen(kw_only=True)
class NextHopSettings:
    """
    How hosts of other domains are found, and how their certificates are verified.

    Args:
        mx: mail for other sites goes to the hosts that the DNS names; False: only to those of routes.
        ip: addresses of hosts that are used; with ``both``, IPv6 and IPv4 by turns.
        own_names: further names of this server in MX records, beside `server.hostname`.
        own_addresses: addresses at which other hosts reach this server; a host with one of them is this server.
        sts: obey MTA-STS policies of domains (RFC 8461).
        sts_port: where policies are fetched; anything but 443 is for tests.
        sts_networks: addresses and networks that are not public and from which policies are fetched all the same.
        ca_file: PEM file with authorities that are trusted beside the system's.
    """

    mx: bool = True
    ip: Literal["both", "ipv4", "ipv6"] = "both"
    own_names: tuple[str, ...] = ()
    own_addresses: tuple[str, ...] = ()
    sts: bool = True
    sts_port: int = 443
    sts_networks: tuple[str, ...] = ()
    ca_file: str = ""


@attrs.frozen(kw_only=True)
class ReceiveSettings:
    """
    What reception and submission accept.

    Args:
        hostname: our name in Received fields.
        message_max_octets: announced by SIZE (RFC 1870).
        header_max_octets: length of a header section.
        hops_max: Received fields above which a message is in a loop (RFC 5321 section 6.3).
        free_floor_octets: room on the disk below which no message is accepted; the larger of this and one and a half
            times the largest message counts.
        busy_wait_seconds: while the store does not keep up, MAIL waits so long before it is refused.
        over_quota: ``defer`` lets mail for a full mailbox wait at its sender, ``refuse`` returns it at once; mail for
            ``postmaster`` and ``abuse`` is taken anyhow.
        srs: give mail that an alias or a forward passes on to elsewhere a reverse-path of ours, so that it passes SPF
            there; reports come back to us and go on to its sender.
        srs_domain: of those reverse-paths, with an MX record that leads here; empty is the domain that was written to.
    """

    hostname: str
    message_max_octets: int = 25 * MEBIBYTE
    header_max_octets: int = MEBIBYTE
    hops_max: int = 50
    free_floor_octets: int = 64 * MEBIBYTE
    busy_wait_seconds: float = 10.0
    over_quota: OverQuota = OverQuota.DEFER
    srs: bool = True
    srs_domain: str = attrs.field(default="", validator=_check_domain)

    @property
    def room_octets(self) -> int:
        """Room on the disk that must be left for a transaction to begin."""
        return max(self.free_floor_octets, self.message_max_octets * 3 // 2)


@attrs.frozen(kw_only=True)
class SpoolSettings:
    """
    Bounds of the spool.

    Args:
        inline_max_octets: a larger message is written to a file of its own while it is received.
        memory_max_octets: octets of messages being received that may lie in memory.
        backlog_max: local deliveries that may wait for the store.
        gather_seconds: how long a commit waits at most for other messages whose content is coming in; see the durable
            layer.
        busy_sweep_seconds: pause between sweeps while mail flows; longer ones make the sync itself long.
        idle_sweep_seconds: pause between sweeps while nothing happens.
        stop_seconds: how long `Spool.stop` waits for deliveries under way.
    """

    inline_max_octets: int = 64 * 1024
    memory_max_octets: int = 64 * MEBIBYTE
    backlog_max: int = 1000
    gather_seconds: float = 0.003
    busy_sweep_seconds: float = 0.5
    idle_sweep_seconds: float = 2.0
    stop_seconds: float = 10.0


@attrs.frozen(kw_only=True)
class CaptureSettings:
    """
    Bounds of domains that keep mail for every name; how long it is kept is said for each domain.

    How much of it there may be is the quota of the domain's account: what is oldest goes before that is reached.

    Args:
        names_max: most names with mail in one domain.
        messages_per_name_max: most messages for one name; older ones go.
        sweep_seconds: pause between looks for what is old.
    """

    names_max: int = attrs.field(
        default=1000, validator=attrs.validators.and_(attrs.validators.ge(1), attrs.validators.le(4000))
    )
    messages_per_name_max: int = attrs.field(default=500, validator=attrs.validators.ge(1))
    sweep_seconds: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
