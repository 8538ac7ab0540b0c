"""Put together what finds hosts of other domains and decides about TLS with them."""

import os
import random
from collections.abc import Iterator
from typing import Any

from twisted.logger import Logger

from mailsuite.address import normalize_domain
from mailsuite.config import Config
from mailsuite.dns import make_resolver
from mailsuite.durable import Disk, Lane
from mailsuite.mta.mx import MXHosts
from mailsuite.mta.next_hop import DecideTLS, FindHosts
from mailsuite.mta.sts_fetch import PolicyFetcher
from mailsuite.mta.sts_policies import STSPolicies
from mailsuite.mta.tls_policy import TLSParts, TLSPolicies
from mailsuite.mta.tls_report import TLSReports
from mailsuite.mta.tls_store import TLSResult, TLSStore
from mailsuite.mta.tls_verify import Authorities
from mailsuite.observe import EventLog

TLS_FILE = "tls.db"
SMTP = "smtp"


class NextHops:
    """
    What delivery to other hosts asks, in one process. Reads small files when it is made.

    Args:
        reactor: one with UDP, TCP, threads and time.

    Attributes:
        resolver: of `[dns]`.
        find_hosts: by MX records.
        decide_tls: by DANE, MTA-STS and what a message requires.
        reports: what is counted for reports to domains.

    Raises:
        ValueError: a file that the configuration names cannot be used.
    """

    def __init__(self, config: Config, reactor: Any, disk: Disk) -> None:
        settings = config.next_hop
        authorities = Authorities(settings.ca_file)
        self._log = EventLog(Logger("mailsuite.service.next_hops"))
        self._lane = Lane("tls", reactor)
        self._store = TLSStore(os.path.join(config.server.data_dir, TLS_FILE), disk, self._tell_damaged)
        self.resolver = make_resolver(config.dns, reactor)
        self.reports = TLSReports(self._store, self._lane, reactor)
        self.find_hosts: FindHosts = MXHosts(
            self.resolver,
            settings,
            own_names=[normalize_domain(config.server.hostname)],
            own_addresses=list(listening_addresses(config)),
            random=random.SystemRandom(),
        )
        sts = STSPolicies(
            self.resolver,
            PolicyFetcher(self.resolver, settings, authorities, reactor),
            self._store,
            self._lane,
            reactor,
            failed=self._tell_failed,
        )
        self.decide_tls: DecideTLS = TLSPolicies(
            TLSParts(
                resolver=self.resolver,
                authorities=authorities,
                reports=self.reports,
                sts=sts if settings.sts else None,
            )
        )

    def start(self) -> None:
        """Start the thread."""
        self._lane.start()

    async def stop(self) -> None:
        """Write what is left, and end the thread. Attempts have ended by then."""
        await self.reports.flush()
        await self._lane.run(self._store.close)
        self._lane.stop()

    def _tell_damaged(self, path: str, reason: str) -> None:
        self._log.emit("tls.store.damaged", file=path, reason=reason)

    def _tell_failed(self, domain: str, result: str) -> None:
        self.reports.record(TLSResult(domain=domain, policy_type="sts", result=result))


def listening_addresses(config: Config) -> Iterator[str]:
    """
    Give the addresses at which this server takes mail on the port that mail for elsewhere is sent to.

    When it listens on all, those of loopback; the others are for ``queue.own_addresses`` to say.
    """
    own_endpoints = isinstance(config.listen.get(SMTP), tuple)
    if SMTP in config.services() and not own_endpoints and config.port(SMTP) == config.relay.smtp_port:
        yield from config.addresses(SMTP) or ("127.0.0.1", "::1")
