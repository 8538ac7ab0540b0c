"""The hosts of a domain, as the DNS has them. RFC 5321 section 5.1."""

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from random import Random

import attrs
from twisted.internet.defer import Deferred, gatherResults

from mailsuite.address import normalize_domain
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import AAAA, CNAME, MX, A, IResolver, MXRecord, NoRecordsError, RecordType
from mailsuite.mta.next_hop import Host, UnreachableError
from mailsuite.mta.settings import NextHopSettings
from mailsuite.smtp.outcome import Outcome, OutcomeState

HOSTS_MAX = 20
ADDRESSES_MAX = 40
NULL_MX = "."  # RFC 7505 section 3
LOOPS_STATUS = "5.4.6"
"""What others say as well; RFC 3463 section 3.5 meant it for failures that pass, and has none for this."""

_IPV6_TAG = "[ipv6:"


@attrs.frozen
class _Reached:
    """
    What the DNS says of the addresses of one host.

    Args:
        unknown: it could not say of all, or of none.
        bases: see `Host.bases`.
    """

    record: MXRecord
    addresses: tuple[str, ...] = ()
    secure: bool = False
    unknown: bool = False
    bases: tuple[str, ...] = ()


@attrs.frozen
class _Listed:
    """
    The hosts that a domain lists, or itself where it lists none.

    Args:
        domain: where its aliases lead.
        secure: DNSSEC vouches for this, aliases included.
    """

    records: Sequence[MXRecord]
    domain: str
    secure: bool
    implicit: bool = False


@attrs.frozen
class _Addresses:
    """
    The addresses of one family.

    Args:
        found: None when that cannot be told now.
        name: where the host's aliases lead.
    """

    found: Sequence[str] | None
    name: str
    secure: bool = False


class MXHosts:
    """
    Finds the hosts of a domain in the DNS.

    Args:
        own_names: names of this server, in the form of `mailsuite.address.normalize_domain`.
        own_addresses: addresses at which this server takes mail on the port that mail is sent to. An MX that leads
            here, and all that are no better, are left out (RFC 5321 section 5.1).
        random: spreads the load over hosts of equal preference.
    """

    def __init__(
        self,
        resolver: IResolver,
        settings: NextHopSettings,
        *,
        own_names: Collection[str],
        own_addresses: Collection[str],
        random: Random,
    ) -> None:
        self._resolver = resolver
        self._own_names = {*own_names, *map(normalize_domain, settings.own_names)}
        self._own_addresses = {_plain(text) for text in (*own_addresses, *settings.own_addresses)}
        self._types: Sequence[RecordType[str]] = {"both": (AAAA, A), "ipv6": (AAAA,), "ipv4": (A,)}[settings.ip]
        self._random = random

    async def __call__(self, domain: str) -> Sequence[Host]:
        """Give the hosts of a domain (see `mailsuite.mta.next_hop.FindHosts`)."""
        if domain.startswith("["):
            return [self._literal(domain)]
        listed = await self._listed(domain)
        records = self._in_order(listed.records)
        unasked = [_Reached(record, unknown=True) for record in records[HOSTS_MAX:]]
        reached = self._without_loops(domain, [*await self._reach(records[:HOSTS_MAX], listed), *unasked])
        hosts = list(_hosts(domain, listed, reached))
        if any(host.addresses for host in hosts):
            return hosts
        if any(host.unknown for host in reached):
            raise _deferred(f"the DNS does not answer for the hosts of {domain}")
        raise _failed("5.4.4", f"no host of {domain} has an address")

    def _literal(self, domain: str) -> Host:
        """Take the address in an address literal (RFC 5321 section 4.1.3)."""
        tagged = domain.startswith(_IPV6_TAG)
        text = domain[len(_IPV6_TAG) if tagged else 1 : -1]
        try:
            address = _plain(text)
        except ValueError:
            address = None
        if address is None or tagged != (":" in text):
            raise _failed("5.1.2", f"{domain} is no address literal")
        if address in self._own_addresses or address.is_unspecified:
            raise _failed(LOOPS_STATUS, f"mail for {domain} loops back to this server")
        if (AAAA if address.version == 6 else A) not in self._types:  # noqa: PLR2004 - IPv6
            raise _failed("5.4.4", f"this server does not use addresses such as {domain}")
        return Host(name=domain, addresses=(str(address),))

    async def _listed(self, domain: str) -> _Listed:
        """Find the MX records, or the implicit one."""
        try:
            answer = await self._resolver.resolve(domain, MX)
        except NoRecordsError as error:
            if error.exists:
                return _Listed([MXRecord(0, error.name)], error.name, error.secure, implicit=True)
            raise _failed("5.1.2", f"the domain {domain} does not exist") from error
        except MailError as error:
            if error.kind is Kind.INVALID:
                raise _failed("5.1.2", f"{domain} is no domain") from error
            raise _deferred(f"the DNS does not answer for {domain}") from error
        records = [record for record in answer.records if record.host != NULL_MX]
        if not records:
            raise _failed("5.1.10", f"the domain {domain} takes no mail")  # RFC 7505 section 4.1
        return _Listed(records, answer.name, answer.secure)

    def _in_order(self, records: Sequence[MXRecord]) -> Sequence[MXRecord]:
        shuffled = list(records)
        self._random.shuffle(shuffled)
        return sorted(shuffled, key=lambda record: record.preference)

    async def _reach(self, records: Sequence[MXRecord], listed: _Listed) -> Sequence[_Reached]:
        asking = [Deferred.fromCoroutine(self._reach_one(record, listed)) for record in records]
        return await gatherResults(asking, consumeErrors=True)

    async def _reach_one(self, record: MXRecord, listed: _Listed) -> _Reached:
        try:
            host = normalize_domain(record.host)
        except MailError:
            return _Reached(record)
        asking = [Deferred.fromCoroutine(self._addresses(host, rdtype)) for rdtype in self._types]
        answers = await gatherResults(asking, consumeErrors=True)
        families = [answer for answer in answers if answer.found]
        record = MXRecord(record.preference, host)
        try:
            bases = await self._bases(host, families) if families and listed.secure else ()
        except MailError:
            return _Reached(record, unknown=True)  # RFC 7672 section 2.2.2: there may be records that somebody hides
        return _Reached(
            record=record,
            addresses=tuple(_by_turns([family.found or () for family in families])),
            secure=bool(families) and all(family.secure for family in families),
            unknown=any(answer.found is None for answer in answers),
            bases=bases,
        )

    async def _addresses(self, host: str, rdtype: RecordType[str]) -> _Addresses:
        try:
            answer = await self._resolver.resolve(host, rdtype)
        except NoRecordsError as error:
            return _Addresses((), error.name, error.secure)
        except MailError as error:
            return _Addresses(() if error.kind is Kind.INVALID else None, host)
        addresses = list(answer.records)
        self._random.shuffle(addresses)
        return _Addresses(addresses, answer.name, answer.secure)

    async def _bases(self, host: str, families: Sequence[_Addresses]) -> tuple[str, ...]:
        """
        Say under which names a host may have TLSA records: RFC 7672 section 2.2.2 and section 2.1.3.

        The end of its aliases comes first. An alias that DNSSEC vouches for counts though what it leads to is insecure.

        Raises:
            MailError: UNAVAILABLE.
        """
        ends = [family.name for family in families]
        if all(family.secure for family in families):
            return tuple(dict.fromkeys((*ends, host)))
        if host in ends:
            return ()
        try:
            alias = await self._resolver.resolve(host, CNAME)
        except NoRecordsError:
            return ()
        return (host,) if alias.secure else ()

    def _without_loops(self, domain: str, reached: Sequence[_Reached]) -> Sequence[_Reached]:
        """Leave out this server and what is no better."""
        ours = [host.record.preference for host in reached if self._is_ours(host)]
        left = [host for host in reached if not ours or host.record.preference < min(ours)]
        if ours and not left:
            raise _failed(LOOPS_STATUS, f"mail for {domain} loops back to this server")
        return left

    def _is_ours(self, host: _Reached) -> bool:
        return host.record.host in self._own_names or any(
            _plain(address) in self._own_addresses for address in host.addresses
        )


def _hosts(domain: str, listed: _Listed, reached: Sequence[_Reached]) -> Iterator[Host]:
    """Make hosts of those that have addresses, as many as are worth a try, and of those that may have some."""
    room = ADDRESSES_MAX
    # RFC 7672 section 2.2.3: where the domain is its own host, its name before the aliases comes last
    original = (domain,) if listed.secure and listed.implicit and domain != listed.domain else ()
    for host in reached:
        addresses = [address for address in host.addresses if not _plain(address).is_unspecified]
        if addresses or host.unknown:
            yield Host(
                name=host.record.host,
                addresses=tuple(addresses[:room]),
                secure=listed.secure and host.secure,
                bases=(*host.bases, *original),
                expanded_domain=listed.domain if listed.secure else "",
            )
        room -= len(addresses[:room])


def _by_turns(families: Sequence[Sequence[str]]) -> Iterator[str]:
    """Take one address of each family after the other, so that a family without a way out costs one try at most."""
    for place in range(max(map(len, families), default=0)):
        for addresses in families:
            if place < len(addresses):
                yield addresses[place]


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read an address; one of IPv4 in the form of IPv6 is taken for what it is."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _failed(enhanced: str, text: str) -> UnreachableError:
    return UnreachableError(Outcome(OutcomeState.FAILED, 0, enhanced, text))


def _deferred(text: str) -> UnreachableError:
    # RFC 3463 section 3.5: directory server failure
    return UnreachableError(Outcome(OutcomeState.DEFERRED, 0, "4.4.3", text))
