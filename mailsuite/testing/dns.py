"""
An authoritative DNS server for tests, on loopback, over UDP and TCP.

Started as a program, it prints ``port NUMBER`` once it listens and runs until it is ended::

    python -m mailsuite.testing.dns ZONEFILE --servfail broken.test --delay slow.test=2 --secure example.test

The zone file is in master format (RFC 1035 section 5), may hold names of any zones, and is read again when it changes::

    $TTL 1
    example.test.     IN SOA ns.example.test. hostmaster.example.test. 1 3600 600 86400 1
    example.test.     IN MX  10 mx.example.test.
    mx.example.test.  IN A   127.0.0.1

A server for tests of mailsuite itself is started with ``MAILSUITE_DNS__NAMESERVERS='["127.0.0.1:NUMBER"]'``.
"""

import os
import struct
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
import click
import dns.exception
import dns.flags
import dns.message
import dns.rcode
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from mailsuite.dns.records import name_text
from mailsuite.testing.resolver import is_below
from mailsuite.testing.zone import ZoneData

LOOPBACK = "127.0.0.1"
PORT_TRIES = 20
_LENGTH = struct.Struct("!H")


@attrs.frozen(kw_only=True)
class Faults:
    """
    How the server misbehaves; all names are in lower case, without the final dot.

    Args:
        servfail: names for which it fails.
        silent: names for which it does not answer.
        truncate: names for which it wants to be asked over TCP.
        delay: names for which it takes so many seconds.
        secure: names whose records, and those of all names below, it claims to have validated.
        unchased: names whose aliases it does not follow.
        edns: False refuses queries with EDNS, as old servers do.
    """

    servfail: Collection[str] = ()
    silent: Collection[str] = ()
    truncate: Collection[str] = ()
    delay: Mapping[str, float] = attrs.field(factory=dict)
    secure: Collection[str] = ()
    unchased: Collection[str] = ()
    edns: bool = True


class ZoneFile:
    """Zones in a file that may change. Blocks while it is read, as a server for tests may."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._zones = ZoneData("")

    def zones(self) -> ZoneData:
        """Give what is in the file now."""
        status = os.stat(self._path)
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            with open(self._path, encoding="utf-8") as file:
                self._zones = ZoneData(file.read())
            self._stamp = stamp
        return self._zones


class Server:
    """
    Answers queries.

    Args:
        reactor: one with UDP, TCP and time.
    """

    def __init__(self, zones: ZoneFile, faults: Faults, reactor: Any) -> None:
        self._zones = zones
        self._faults = faults
        self._reactor = reactor
        self.port = 0

    def listen(self, port: int = 0) -> int:
        """Listen on the same port over UDP and TCP, a free one unless told; return it."""
        for _ in range(PORT_TRIES):
            tcp = self._reactor.listenTCP(port, Factory.forProtocol(lambda: _Stream(self)), interface=LOOPBACK)
            number: int = tcp.getHost().port
            try:
                self._reactor.listenUDP(number, _Datagrams(self), interface=LOOPBACK, maxPacketSize=0xFFFF)
            except CannotListenError:
                tcp.stopListening()
                continue
            return number
        raise OSError("there is no port that is free for UDP and TCP")

    def take(self, wire: bytes, answer: Any, *, datagram: bool) -> None:
        """Answer a query by calling `answer` with octets, now or later or never."""
        try:
            query = dns.message.from_wire(wire)
            question = query.question[0]
        except (dns.exception.DNSException, IndexError):
            return
        name = name_text(question.name)
        if name in self._faults.silent:
            return
        octets = self._respond(query, name, datagram=datagram)
        delay = self._faults.delay.get(name, 0)
        if delay:
            self._reactor.callLater(delay, answer, octets)
        else:
            answer(octets)

    def _respond(self, query: dns.message.Message, name: str, *, datagram: bool) -> bytes:
        response = dns.message.make_response(query, recursion_available=True)
        limit = max(query.payload, 512) if datagram else 0xFFFF
        if query.edns >= 0 and not self._faults.edns:
            response.use_edns(False)  # noqa: FBT003 - its way to say none
            response.set_rcode(dns.rcode.FORMERR)
        elif name in self._faults.servfail:
            response.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._fill(response, name)
        if datagram and name in self._faults.truncate:
            response.answer.clear()
            response.flags |= dns.flags.TC
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            response.answer.clear()
            response.authority.clear()
            response.flags |= dns.flags.TC
            return response.to_wire(max_size=limit)

    def _fill(self, response: dns.message.Message, name: str) -> None:
        question = response.question[0]
        found = self._zones.zones().look_up(question.name, question.rdtype)
        chain = found.chain[:1] if name in self._faults.unchased else found.chain
        response.answer.extend(chain)
        if len(chain) == len(found.chain):
            response.set_rcode(dns.rcode.NOERROR if found.exists else dns.rcode.NXDOMAIN)
            if found.records is None and found.authority is not None:
                response.authority.append(found.authority)
        names = [name, *(name_text(rrset.name) for rrset in chain)]
        if len(chain) == len(found.chain):
            names.append(name_text(found.name))
        if all(is_below(each, self._faults.secure) for each in names):
            response.flags |= dns.flags.AD


class _Datagrams(DatagramProtocol):
    transport: Any

    def __init__(self, server: Server) -> None:
        self._server = server

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._server.take(datagram, lambda octets: self.transport.write(octets, addr), datagram=True)


class _Stream(Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._buffer = b""

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            wire, self._buffer = self._buffer[_LENGTH.size : end], self._buffer[end:]
            self._server.take(wire, self._answer, datagram=False)

    def _answer(self, octets: bytes) -> None:
        if self.transport is not None and self.connected:
            self.transport.write(_LENGTH.pack(len(octets)) + octets)


def _delays(values: Sequence[str]) -> Mapping[str, float]:
    return {name: float(seconds) for name, _, seconds in (value.partition("=") for value in values)}


@click.command()
@click.argument("zonefile", type=click.Path(exists=True, dir_okay=False))
@click.option("--port", default=0, help="0 is any.")
@click.option("--servfail", multiple=True, metavar="NAME", help="Fail for this name.")
@click.option("--silent", multiple=True, metavar="NAME", help="Do not answer for this name.")
@click.option("--truncate", multiple=True, metavar="NAME", help="Want to be asked over TCP for this name.")
@click.option("--delay", multiple=True, metavar="NAME=SECONDS", help="Answer late for this name.")
@click.option("--secure", multiple=True, metavar="NAME", help="Claim to have validated this name and all below.")
@click.option("--unchased", multiple=True, metavar="NAME", help="Do not follow the alias of this name.")
@click.option("--no-edns", is_flag=True, help="Refuse queries with EDNS.")
def main(
    zonefile: str,
    port: int,
    servfail: Sequence[str],
    silent: Sequence[str],
    truncate: Sequence[str],
    delay: Sequence[str],
    secure: Sequence[str],
    unchased: Sequence[str],
    *,
    no_edns: bool,
) -> None:
    """Serve ZONEFILE on loopback until ended; print the port first."""
    from twisted.internet import reactor

    faults = Faults(
        servfail=frozenset(servfail),
        silent=frozenset(silent),
        truncate=frozenset(truncate),
        delay=_delays(delay),
        secure=frozenset(secure),
        unchased=frozenset(unchased),
        edns=not no_edns,
    )
    file = ZoneFile(zonefile)
    file.zones()
    number = Server(file, faults, reactor).listen(port)
    sys.stdout.write(f"port {number}\n")
    sys.stdout.flush()
    reactor.run()


if __name__ == "__main__":
    main()
