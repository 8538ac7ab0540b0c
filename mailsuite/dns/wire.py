"""Queries and responses, octets and values; no network. RFC 1035 section 4, RFC 6891, RFC 2308."""

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from mailsuite.dns.records import make_record, name_text
from mailsuite.errors import Kind, MailError

ALIASES_MAX = 8
UDP_PAYLOAD_OCTETS = 1232
"""What passes everywhere without fragments."""
ANSWER_MAX_OCTETS = 32 * 1024
"""Taking apart what is larger would keep the reactor."""
TTL_MAX_SECONDS = 86400
NEGATIVE_TTL_MAX_SECONDS = 3600  # RFC 2308 section 5: one to three hours


@attrs.frozen
class Query:
    """
    A question.

    Args:
        message: with its id.
        wire: its octets.
    """

    message: dns.message.QueryMessage
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
    return Query(message, message.to_wire())


def parse_response(query: Query, wire: bytes) -> dns.message.Message | None:
    """Take a response apart; None when it is no response to this query, but perhaps a forged one."""
    if len(wire) > ANSWER_MAX_OCTETS:
        return None
    try:
        response = dns.message.from_wire(wire, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return response if query.message.is_response(response) else None


def is_truncated(response: dns.message.Message) -> bool:
    """Say whether to ask again over TCP (RFC 1035 section 4.2.1)."""
    return bool(response.flags & dns.flags.TC)


def read_response(query: Query, response: dns.message.Message) -> Reading:
    """
    Say what a whole response says.

    Raises:
        BadResponseError: it says nothing about the question.
    """
    rcode = response.rcode()
    if rcode in {dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS}:
        raise NoEDNSError(dns.rcode.to_text(rcode))
    if rcode not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        raise BadResponseError(dns.rcode.to_text(rcode))
    question = query.message.question[0]
    name, aliases, ttl = question.name, 0, TTL_MAX_SECONDS
    while True:
        found = _rrset(response, name, question.rdtype)
        if found is not None:
            text = dns.rdatatype.to_text(question.rdtype)
            records, ttl, exists, complete = _records(text, found), min(ttl, found.ttl), True, True
            break
        alias = _rrset(response, name, dns.rdatatype.CNAME)
        if alias is None:
            records, exists = (), rcode == dns.rcode.NOERROR
            negative = _negative_ttl(response)
            if exists and negative is None:
                # RFC 2308 section 2.2: without SOA and NS there are no such records; with NS it is a referral.
                if _is_referral(response):
                    raise BadResponseError("a referral")
                complete = not aliases
            else:
                complete = True
            ttl = min(ttl, negative or 0) if complete else ttl
            break
        aliases += 1
        if aliases > ALIASES_MAX:
            raise BadResponseError("too many aliases")
        name, ttl = alias[0].target, min(ttl, alias.ttl)
    return Reading(
        name=name_text(name),
        aliases=aliases,
        records=records,
        exists=exists,
        complete=complete,
        ttl=ttl,
        secure=bool(response.flags & dns.flags.AD),
    )


def _rrset(response: dns.message.Message, name: dns.name.Name, rdtype: int) -> dns.rrset.RRset | None:
    return response.get_rrset(response.answer, name, dns.rdataclass.IN, dns.rdatatype.RdataType(rdtype))


def _records(rdtype: str, found: dns.rrset.RRset) -> tuple[object, ...]:
    return tuple(make_record(rdtype, record) for record in found)


def _negative_ttl(response: dns.message.Message) -> int | None:
    """Say how long to remember that there is nothing (RFC 2308 section 5); None without an SOA record."""
    for rrset in response.authority:
        if rrset.rdtype == dns.rdatatype.SOA:
            return min(rrset.ttl, int(rrset[0].minimum), NEGATIVE_TTL_MAX_SECONDS)
    return None


def _is_referral(response: dns.message.Message) -> bool:
    return any(rrset.rdtype == dns.rdatatype.NS for rrset in response.authority) and not (response.flags & dns.flags.AA)
