"""What the mail side is told: limits of reception, the spool, the queue, and fixed routes."""

import attrs

from mailsuite.smtp.settings import TLSPolicy

MEBIBYTE = 2**20


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
class QueueSettings:
    """
    When what could not be delivered at once is tried again, and for how long.

    Args:
        smtp_port: what MX delivery connects to.
        retry_first_seconds: pause after the first failed attempt.
        retry_factor: each pause is this times the one before.
        retry_max_seconds: longest pause.
        lifetime_seconds: age at which mail is returned to its sender; RFC 5321 section 4.5.4.1 asks for 4 to 5 days.
        bounce_lifetime_seconds: the same for mail with the null reverse-path, which is then dropped.
        warn_seconds: age at which the sender is told once that mail is late; 0 tells nobody.
        returned_max_octets: longest message that comes back whole when its sender asks for that; RFC 3461 section 4.3.
        destination_max: most attempts under way for one destination.
        attempts_max: most attempts under way in all; a part of them is kept from destinations that do not answer.
        pause_first_seconds: how long a destination is left alone when it cannot be reached; each time twice as long.
        pause_max_seconds: longest such pause.
        poll_seconds: how often the queue is looked at when nobody tells it to.
        stop_seconds: how long attempts under way may go on when the server stops.
    """

    smtp_port: int = 25
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
    """

    hostname: str
    message_max_octets: int = 25 * MEBIBYTE
    header_max_octets: int = MEBIBYTE
    hops_max: int = 50
    free_floor_octets: int = 64 * MEBIBYTE
    busy_wait_seconds: float = 10.0

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
        gather_seconds: how long a commit that follows one of several messages waits for more; see the durable layer.
        busy_sweep_seconds: pause between sweeps while mail flows; longer ones make the sync itself long.
        idle_sweep_seconds: pause between sweeps while nothing happens.
        stop_seconds: how long `Spool.stop` waits for deliveries under way.
    """

    inline_max_octets: int = 64 * 1024
    memory_max_octets: int = 64 * MEBIBYTE
    backlog_max: int = 1000
    gather_seconds: float = 0.0005
    busy_sweep_seconds: float = 0.5
    idle_sweep_seconds: float = 2.0
    stop_seconds: float = 10.0
