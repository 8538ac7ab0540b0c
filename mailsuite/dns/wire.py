"""Queries and responses, octets and values; no network. RFC 1035 section 4, RFC 6891, RFC 2308."""

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from mailsuite.dns.records import MalformedError, name_text
from mailsuite.dns.response import Records, Response, take_apart
from mailsuite.errors import Kind, MailError

ALIASES_MAX = 8
UDP_PAYLOAD_OCTETS = 1232
"""What passes everywhere without fragments."""
ANSWER_MAX_OCTETS = 32 * 1024
"""Taking apart what is larger would keep the reactor for longer than it may be kept."""
TTL_MAX_SECONDS = 86400
NEGATIVE_TTL_MAX_SECONDS = 3600  # RFC 2308 section 5: one to three hours


@attrs.frozen
class Query:
    """
    A question.

    Args:
        query_id: tells the response.
        name: as names in responses are written.
        wire: its octets.
    """

    query_id: int
    name: str
    rdtype: str
    wire: bytes


class BadResponseError(Exception):
    """The resolver does not help: it failed, refuses, or talks nonsense. The words are for the log."""


class NoEDNSError(BadResponseError):
    """It may be that it only does not know EDNS (RFC 6891 section 7)."""


@attrs.frozen(kw_only=True)
class Reading:
    """
    What a response says.

    Args:
        name: where the aliases in it lead.
        aliases: how many there were.
        records: of the type asked for; empty when there are none.
        exists: the name is there.
        complete: False when an alias leads out of the response: `name` is to be asked for.
        ttl: how many seconds it holds.
        secure: the resolver says that it validated all of it.
    """

    name: str
    aliases: int
    records: tuple[object, ...]
    exists: bool
    complete: bool
    ttl: int
    secure: bool


def make_query(name: str, rdtype: str, *, dnssec: bool, edns: bool = True) -> Query:
    """
    Make a query with a random id.

    Args:
        dnssec: ask for validation, and for being told of it (RFC 4035 section 3.2.1, RFC 6840 section 5.7).

    Raises:
        MailError: INVALID, when the name cannot stand in the DNS.
    """
    try:
        qname = dns.name.from_text(name, idna_codec=None) if name.isascii() else None
    except dns.exception.DNSException as error:
        raise MailError(Kind.INVALID, "that is not a domain name") from error
    if qname is None:
        raise MailError(Kind.INVALID, "that is not a domain name")
    message = dns.message.make_query(
        qname,
        rdtype,
        use_edns=0 if edns else False,
        want_dnssec=dnssec and edns,
        payload=UDP_PAYLOAD_OCTETS,
    )
    if dnssec:
        message.flags |= dns.flags.AD
    return Query(message.id, name_text(qname), rdtype, message.to_wire())


def parse_response(query: Query, wire: bytes) -> Response | None:
    """Take a response apart; None when it is no response to this query, but perhaps a forged one."""
    if len(wire) > ANSWER_MAX_OCTETS:
        return None
    try:
        return take_apart(wire, query.query_id, query.name, query.rdtype)
    except MalformedError:
        return None


def read_response(query: Query, response: Response) -> Reading:
    """
    Say what a whole response says.

    Raises:
        BadResponseError: it says nothing about the question.
    """
    rcode = response.rcode
    if rcode in {dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS}:
        raise NoEDNSError(_rcode_text(rcode))
    if rcode not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise BadResponseError(_rcode_text(rcode))
    name, aliases, ttl = query.name, 0, TTL_MAX_SECONDS
    wanted = dns.rdatatype.from_text(query.rdtype)
    while True:
        found = response.answer.get((name, wanted))
        if found is not None:
            records, ttl, exists, complete = found.values, min(ttl, found.ttl), True, True
            break
        alias = response.answer.get((name, dns.rdatatype.CNAME))
        if alias is None:
            records, exists = (), rcode == dns.rcode.NOERROR
            negative = response.negative_ttl
            if exists and negative is None:
                # RFC 2308 section 2.2: without SOA and NS there are no such records; with NS it is a referral.
                if response.refers and not response.flags & dns.flags.AA:
                    raise BadResponseError("a referral")
                complete = not aliases
            else:
                complete = True
            ttl = min(ttl, negative or 0, NEGATIVE_TTL_MAX_SECONDS) if complete else ttl
            break
        aliases += 1
        if aliases > ALIASES_MAX:
            raise BadResponseError("too many aliases")
        name, ttl = _target(alias), min(ttl, alias.ttl)
    return Reading(
        name=name,
        aliases=aliases,
        records=records,
        exists=exists,
        complete=complete,
        ttl=ttl,
        secure=bool(response.flags & dns.flags.AD),
    )


def _target(alias: Records) -> str:
    """Say where an alias leads; of several, which must not be, the first counts."""
    return str(alias.values[0])


def _rcode_text(rcode: int) -> str:
    return dns.rcode.to_text(dns.rcode.Rcode(rcode)) if rcode in set(dns.rcode.Rcode) else f"rcode {rcode}"
