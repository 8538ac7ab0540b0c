"""Which hosts are asked, in which order, over which connection, and when no other one is."""

import attrs
import pytest
from OpenSSL import SSL
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, ITLSTransport
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from mailsuite.address import Address
from mailsuite.envelope import Envelope, Recipient, Sender
from mailsuite.mta import RelayAgent, RelaySettings, RouteSettings, SourceSettings
from mailsuite.mta.next_hop import Host, HostTLS, UnreachableError
from mailsuite.mta.relay import NO_ROUTE_OUTCOME, Destination
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.smtp.settings import TLSPolicy

DELIVERED, DEFERRED, FAILED = OutcomeState.DELIVERED, OutcomeState.DEFERRED, OutcomeState.FAILED
OK = b"250 2.1.0 ok\r\n"


def ehlo(word):
    return [b"220 hi\r\n", b"250-mx\r\n250-PIPELINING\r\n250 " + word + b"\r\n"]


EHLO = ehlo(b"8BITMIME")
REFUSED = ConnectError()
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"
TAKES = [EHLO, OK * 2 + b"354 go\r\n", b"250 2.0.0 taken\r\n"]
HOSTS = (
    Host(name="mx1.far.test", addresses=("192.0.2.1", "2001:db8::1")),
    Host(name="mx2.far.test", addresses=("192.0.2.2",)),
)
DOMAIN = Destination(domain="far.test")


@implementer(ITLSTransport)
class Transport(StringTransport):
    creator = None

    def setTcpNoDelay(self, enabled):
        assert enabled

    def startTLS(self, context):
        self.creator = context


class Memory:
    def __init__(self, octets=MESSAGE):
        self.size = len(octets)
        self.octets = octets

    async def read(self):
        octets, self.octets = self.octets, b""
        return octets


class Resolver:
    """The system's names."""

    def __init__(self, **names):
        self.names = names

    def resolveHostName(self, receiver, name, *_):
        receiver.resolutionBegan(None)
        for address in self.names.get(name.partition(".")[0], ()):
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, 0))
        receiver.resolutionComplete()


@attrs.define
class Policy:
    """What one domain wants of TLS; keeps what it is told."""

    by_host: dict = attrs.field(factory=dict)
    told: list = attrs.field(factory=list)
    domains: list = attrs.field(factory=list)
    required: bool = False

    async def host(self, host):
        return self.by_host.get(host.name, HostTLS(tls=TLSPolicy.OPPORTUNISTIC))

    def tell(self, host, failure):
        self.told.append((host.name, failure))


class World:
    """A relay agent and everybody it may talk to."""

    def __init__(self, hosts=HOSTS, policy=None, sources=(), routes=None, **settings):
        self.reactor = MemoryReactorClock()
        self.reactor.nameResolver = Resolver(relay=("192.0.2.7", "192.0.2.8"))
        self.policy = policy
        self.hosts = hosts
        self.agent = RelayAgent(
            self.reactor,
            "out.test",
            settings=RelaySettings(**settings),
            sources=sources,
            find_hosts=self.find_hosts,
            decide_tls=None if policy is None else self.decide_tls,
        )
        self.protocols = []

    async def find_hosts(self, domain):
        assert domain == "far.test"
        if isinstance(self.hosts, Exception):
            raise self.hosts
        return self.hosts

    async def decide_tls(self, domain, *, require):
        self.policy.domains.append(domain)
        self.policy.required = require
        return self.policy

    def send(self, *recipients, destination=DOMAIN, sender="a@a.test", **options):
        self.results = []
        path = Address.parse(sender) if sender else None
        envelope = Envelope(
            sender=Sender(path=path, **options),
            recipients=tuple(Recipient(path=Address.parse(each)) for each in recipients or ("b@far.test",)),
        )
        self.running = Deferred.fromCoroutine(self.agent(destination, envelope, Memory))
        self.running.addBoth(self.results.append)

    @property
    def tried(self):
        return [(client[0], client[1]) for client in self.reactor.tcpClients]

    def connect(self, *words):
        """Let the last connection that was asked for succeed or fail, and its host say something."""
        factory = self.reactor.tcpClients[-1][2]
        if words[0] is REFUSED:
            factory.clientConnectionFailed(None, Failure(REFUSED))
            return b""
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(Transport())
        self.protocols.append(protocol)
        return self.say(*words)

    def say(self, *words):
        said = b""
        for word in words:
            if word is None or isinstance(word, Exception):
                self.protocols[-1].connectionLost(Failure(word or ConnectionDone()))
                continue
            for each in word if isinstance(word, list) else [word]:
                self.protocols[-1].dataReceived(each)
        transport = self.protocols[-1].transport
        said = transport.value()
        transport.clear()
        return said

    @property
    def outcomes(self):
        (outcomes,) = self.results
        return [(outcome.state, outcome.code, outcome.host) for outcome in outcomes]


def test_the_first_host_is_asked_first():
    world = World()
    world.send()
    assert world.tried == [("192.0.2.1", 25)]
    world.connect(*TAKES)
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]
    assert world.tried == [("192.0.2.1", 25)]


FAIL_OVER = {
    "cannot be reached": [REFUSED],
    "greets with 421": [b"421 no\r\n"],
    "greets with 554": [b"554 no\r\n"],
    "closes at once": [None],
    "refuses EHLO": [b"220 hi\r\n", b"450 no\r\n"],
    "defers the sender": [EHLO, b"450 no\r\n503 no\r\n503 no\r\n"],
    "defers the recipient": [EHLO, OK + b"450 no\r\n503 no\r\n"],
    "defers DATA": [EHLO, OK * 2 + b"450 no\r\n"],
    "closes in the envelope": [EHLO, OK, None],
    "defers the content": [EHLO, OK * 2 + b"354 go\r\n", b"450 no\r\n"],
}


@pytest.mark.parametrize("words", FAIL_OVER.values(), ids=FAIL_OVER)
def test_the_next_address_and_host_are_asked_when_one_took_nothing(words):
    world = World(smtp_port=2525)
    world.send()
    world.connect(*words)
    world.connect(*words)
    assert world.tried == [("192.0.2.1", 2525), ("2001:db8::1", 2525), ("192.0.2.2", 2525)]
    world.connect(*TAKES)
    assert world.outcomes == [(DELIVERED, 250, "mx2.far.test")]


FINAL = {
    "refuses the sender": ([EHLO, b"550 no\r\n503 no\r\n503 no\r\n"], FAILED),
    "refuses the recipient": ([EHLO, OK + b"550 no\r\n503 no\r\n"], FAILED),
    "refuses the content": ([EHLO, OK * 2 + b"354 go\r\n", b"554 no\r\n"], FAILED),
    "closes after the content": ([EHLO, OK * 2 + b"354 go\r\n", None], DEFERRED),
}


@pytest.mark.parametrize(("words", "state"), FINAL.values(), ids=FINAL)
def test_no_other_host_is_asked_after_a_final_word_or_when_one_may_have_the_message(words, state):
    world = World()
    world.send()
    world.connect(*words)
    assert [outcome[0] for outcome in world.outcomes] == [state]
    assert len(world.tried) == 1


def test_only_those_of_whom_nothing_was_taken_are_asked_for_elsewhere():
    world = World()
    world.send("b@far.test", "c@far.test", "d@far.test")
    world.connect(EHLO, OK * 2 + b"450 no\r\n550 no\r\n354 go\r\n", b"250 taken\r\n")
    assert world.connect(EHLO) == (b"EHLO out.test\r\nMAIL FROM:<a@a.test>\r\nRCPT TO:<c@far.test>\r\nDATA\r\n")
    world.say(OK * 2 + b"354 go\r\n", b"250 taken\r\n")
    assert [outcome[0] for outcome in world.outcomes] == [DELIVERED, DELIVERED, FAILED]


def test_a_hosts_words_are_worth_more_than_that_another_cannot_be_reached():
    world = World()
    world.send()
    world.connect(EHLO, OK + b"450 4.7.1 greylisted\r\n503 no\r\n")
    world.connect(REFUSED)
    world.connect(REFUSED)
    assert world.outcomes == [(DEFERRED, 450, "mx1.far.test")]


def test_so_many_addresses_are_tried_and_no_more_and_one_of_each_host():
    world = World(addresses_max=2)
    world.send()
    world.connect(REFUSED)
    world.connect(REFUSED)
    assert [client[0] for client in world.reactor.tcpClients] == ["192.0.2.1", "192.0.2.2"]
    assert world.outcomes == [(DEFERRED, 0, "mx2.far.test")]


@pytest.mark.parametrize("state", [DEFERRED, FAILED])
def test_a_domain_without_hosts_has_its_outcome(state):
    world = World(hosts=UnreachableError(Outcome(state, 0, "x", "no such domain")))
    world.send("b@far.test", "c@far.test")
    assert [outcome[0] for outcome in world.outcomes] == [state, state]


def test_without_who_finds_hosts_mail_without_a_route_waits():
    results = []
    agent = RelayAgent(MemoryReactorClock(), "out.test")
    envelope = Envelope(sender=Sender(path=None), recipients=(Recipient(path=Address("b", "far.test")),))
    Deferred.fromCoroutine(agent(DOMAIN, envelope, Memory)).addBoth(results.append)
    assert results == [[NO_ROUTE_OUTCOME]]


def test_an_attempt_has_its_end():
    world = World(attempt_seconds=60)
    world.send()
    world.connect(EHLO, OK)
    world.reactor.advance(61)
    assert world.outcomes == [(DEFERRED, 0, "")]
    assert world.protocols[-1].transport.disconnected


def test_an_attempt_that_is_given_up_closes_its_connection():
    world = World()
    world.send()
    world.connect(EHLO, OK)
    world.running.cancel()
    assert world.results[0].check(CancelledError)
    world.results[0].cleanFailure()
    assert world.protocols[-1].transport.disconnected


FIRST_OF_TWO = (EHLO, OK * 2 + b"450 4.2.0 later\r\n354 go\r\n", b"250 2.0.0 taken\r\n")


def test_what_one_host_took_is_told_though_something_breaks_at_the_next():
    class Breaks(Policy):
        async def host(self, host):
            if host.name == "mx2.far.test":
                raise RuntimeError("a bug of ours")
            return await super().host(host)

    world = World(policy=Breaks())
    world.send("b@far.test", "c@far.test")
    world.connect(*FIRST_OF_TWO)
    world.connect(REFUSED)
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test"), (DEFERRED, 450, "mx1.far.test")]


def test_what_one_host_took_is_told_though_the_server_stops():
    world = World()
    world.send("b@far.test", "c@far.test")
    world.connect(*FIRST_OF_TWO)
    world.connect(EHLO)
    world.running.cancel()
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test"), (DEFERRED, 450, "mx1.far.test")]
    assert world.protocols[-1].transport.disconnected


# connections are kept


def test_the_next_message_goes_over_the_same_connection():
    world = World()
    for _ in range(3):
        world.send()
        said = world.say() if world.protocols else world.connect(EHLO)
        assert said.endswith(b"DATA\r\n")
        world.say(*TAKES[1:])
        assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]
    assert len(world.tried) == 1


def test_a_kept_connection_that_is_dead_gives_way_to_a_new_one():
    world = World()
    world.send()
    world.connect(*TAKES)
    world.send()
    world.say(b"421 too late\r\n")
    assert len(world.tried) == 2
    world.connect(*TAKES)
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]


def test_a_connection_is_used_by_one_message_at_a_time():
    world = World()
    world.send()
    world.connect(*TAKES)
    world.send()
    world.send()
    assert len(world.tried) == 2


@pytest.mark.parametrize(
    "difference",
    [
        {"sender": "a@other.test"},
        {"destination": Destination(domain="*", route=RouteSettings(domain="*", host="192.0.2.1"))},
    ],
    ids=["source", "host"],
)
def test_what_differs_goes_over_another_connection(difference):
    world = World(sources=[SourceSettings(domain="other.test", helo_name="other.test")])
    world.send()
    world.connect(*TAKES)
    world.send(**difference)
    assert len(world.tried) == 2


def test_the_end_says_goodbye():
    world = World()
    world.send()
    world.connect(*TAKES)
    closed = []
    Deferred.fromCoroutine(world.agent.close()).addBoth(closed.append)
    assert world.say().endswith(b"QUIT\r\n")
    world.say(b"221 bye\r\n", None)
    assert closed == [None]
    assert world.reactor.getDelayedCalls() == []


def test_a_host_that_knows_no_bdat_gets_the_message_by_data():
    world = World()
    world.send()
    chunking = ehlo(b"CHUNKING")
    assert b"BDAT" in world.connect(chunking)
    world.say(OK * 2 + b"500 what\r\n" * 3)
    assert world.connect(chunking).endswith(b"DATA\r\n")
    world.say(*TAKES[1:])
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]
    world.send()
    assert len(world.tried) == 3


def test_bdat_can_be_turned_off():
    world = World(chunking=False)
    world.send()
    assert world.connect(ehlo(b"CHUNKING")).endswith(b"DATA\r\n")


def test_a_host_that_takes_one_recipient_a_connection_gets_as_many():
    world = World()
    world.send("b@far.test", "c@far.test")
    limited = ehlo(b"LIMITS MAILMAX=1 RCPTMAX=1")
    for _ in range(2):
        world.connect(limited, OK * 2 + b"354 go\r\n", b"250 ok\r\n")
    assert [outcome[0] for outcome in world.outcomes] == [DELIVERED, DELIVERED]
    assert world.tried == [("192.0.2.1", 25)] * 2


def test_a_host_that_takes_one_domain_a_connection_gets_as_many():
    route = Destination(domain="*", route=RouteSettings(domain="*", host="192.0.2.1"))
    world = World()
    limited = ehlo(b"LIMITS RCPTDOMAINMAX=1")
    world.send("b@b.test", "c@c.test", destination=route)
    assert b"RCPT TO:<b@b.test>\r\nDATA" in world.connect(limited)
    world.say(OK * 2 + b"354 go\r\n", b"250 ok\r\n")
    assert b"RCPT TO:<c@c.test>\r\nDATA" in world.connect(limited)
    world.say(OK * 2 + b"354 go\r\n", b"250 ok\r\n")
    world.send("b@b.test", destination=route)
    world.connect(limited, OK * 2 + b"354 go\r\n", b"250 ok\r\n")
    assert [outcome[0] for outcome in world.outcomes] == [DELIVERED]
    assert len(world.tried) == 3


# TLS


def test_a_host_that_is_refused_is_passed_over():
    refused = Outcome(DEFERRED, 0, "4.7.5", "not in the policy")
    world = World(policy=Policy({"mx1.far.test": HostTLS(tls=TLSPolicy.REQUIRE, refused=refused)}))
    world.send()
    assert world.tried == [("192.0.2.2", 25)]
    world.connect(*TAKES)
    assert world.outcomes == [(DELIVERED, 250, "mx2.far.test")]


def test_when_all_hosts_are_refused_the_refusal_is_the_outcome():
    refused = Outcome(FAILED, 0, "5.7.30", "no")
    tls = HostTLS(tls=TLSPolicy.REQUIRE, refused=refused)
    world = World(policy=Policy({host.name: tls for host in HOSTS}))
    world.send(require_tls=True)
    assert world.policy.required
    assert world.outcomes == [(FAILED, 0, "mx2.far.test")]
    assert world.tried == []


def test_mail_for_which_tls_is_optional_goes_as_if_nobody_wanted_anything_of_it():
    # RFC 8689 sections 3 and 8.4
    refused = Outcome(DEFERRED, 0, "4.7.5", "not in the policy")
    policy = Policy({host.name: HostTLS(tls=TLSPolicy.REQUIRE, refused=refused) for host in HOSTS})
    world = World(policy=policy)
    world.send(tls_optional=True)
    assert world.connect(ehlo(b"STARTTLS")).endswith(b"STARTTLS\r\n"), "it is used where it is offered"
    world.say(b"454 not now\r\n")
    world.say(*TAKES[1:])
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]
    assert policy.told == []
    world.send()
    assert world.outcomes == [(DEFERRED, 0, "mx2.far.test")]


def test_how_tls_went_is_told():
    creator = object()
    tls = HostTLS(tls=TLSPolicy.REQUIRE, creator=creator)
    world = World(policy=Policy({"mx1.far.test": tls}))
    world.send()
    world.connect(EHLO)
    world.connect(ehlo(b"STARTTLS"), b"220 go\r\n")
    assert world.protocols[-1].transport.creator is creator
    world.protocols[-1].handshakeCompleted()
    world.say(b"250-x\r\n250 PIPELINING\r\n", *TAKES[1:])
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]
    assert world.policy.told == [("mx1.far.test", "starttls-not-supported"), ("mx1.far.test", "")]
    world.send()  # the connection is kept, and counted once
    assert len(world.policy.told) == 2


def test_without_a_policy_tls_that_fails_goes_on_in_the_clear():
    world = World(policy=Policy())
    world.send()
    world.connect(ehlo(b"STARTTLS"), b"220 go\r\n", None)
    world.connect(*TAKES)
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]
    assert world.policy.told == [("mx1.far.test", "validation-failure")]


def test_mail_that_requires_tls_is_tried_at_each_host_and_returned():
    world = World()
    world.send(require_tls=True)
    for _ in range(3):
        world.connect(EHLO)
    assert world.outcomes == [(FAILED, 0, "mx2.far.test")]
    assert world.results[0][0].enhanced == "5.7.10"


BAD_CERTIFICATE = SSL.Error([("SSL routines", "", "certificate verify failed")])
SHAKES = [ehlo(b"STARTTLS"), b"220 go\r\n"]


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ([[EHLO]] * 3, (FAILED, "5.7.10")),
        ([[ehlo(b"STARTTLS"), b"454 4.7.0 not now\r\n"]] * 3, (DEFERRED, "4.7.0")),
        ([[REFUSED], [EHLO], [EHLO]], (DEFERRED, "4.4.1")),
        ([[EHLO], [REFUSED], [EHLO]], (DEFERRED, "4.4.1")),
        ([[EHLO], [EHLO], [REFUSED]], (DEFERRED, "4.4.1")),
        ([[*SHAKES, BAD_CERTIFICATE]] * 3, (FAILED, "5.7.10")),
        ([[*SHAKES, SSL.Error([("SSL routines", "", "sslv3 alert handshake failure")])]] * 3, (FAILED, "5.7.10")),
        ([[*SHAKES, SSL.Error([("SSL routines", "", "tlsv1 alert internal error")])]] * 3, (DEFERRED, "4.7.5")),
        ([[*SHAKES, BAD_CERTIFICATE], [EHLO], [*SHAKES, BAD_CERTIFICATE]], (FAILED, "5.7.10")),
        ([[*SHAKES, None]] * 3, (DEFERRED, "4.7.5")),
        ([[*SHAKES, None], [EHLO], [*SHAKES, BAD_CERTIFICATE]], (DEFERRED, "4.7.5")),
        ([[*SHAKES, BAD_CERTIFICATE], [EHLO], [*SHAKES, None]], (DEFERRED, "4.7.5")),
        ([[*SHAKES, BAD_CERTIFICATE], [REFUSED], [EHLO]], (DEFERRED, "4.4.1")),
    ],
)
def test_mail_that_requires_tls_is_returned_when_no_host_has_it_and_all_were_asked(words, outcome):
    tls = HostTLS(tls=TLSPolicy.REQUIRE, creator=object())
    world = World(policy=Policy({host.name: tls for host in HOSTS}))
    world.send(require_tls=True)
    for each in words:
        world.connect(*each)
    (found,) = world.results[0]
    assert (found.state, found.enhanced) == outcome


LATER = Host(name="mx3.far.test", addresses=())


@pytest.mark.parametrize(
    ("hosts", "addresses_max", "outcome"),
    [
        (HOSTS, 2, (FAILED, "5.7.10", "mx2.far.test")),
        (HOSTS, 1, (DEFERRED, "4.7.0", "mx1.far.test")),
        ((*HOSTS, LATER), 2, (DEFERRED, "4.7.0", "mx2.far.test")),
        ((LATER, *HOSTS), 2, (DEFERRED, "4.7.0", "mx2.far.test")),
    ],
)
def test_mail_that_requires_tls_waits_while_a_host_was_not_tried(hosts, addresses_max, outcome):
    tls = HostTLS(tls=TLSPolicy.REQUIRE, creator=object())
    world = World(hosts, Policy({host.name: tls for host in HOSTS}), addresses_max=addresses_max)
    world.send(require_tls=True)
    for _ in range(min(2, addresses_max)):
        world.connect(*SHAKES, BAD_CERTIFICATE)
    (found,) = world.results[0]
    assert (found.state, found.enhanced, found.host) == outcome


def test_a_report_on_mail_that_requires_tls_goes_wherever_it_can():
    world = World(policy=Policy())
    world.send(sender="", require_tls=True)
    assert not world.policy.required
    assert b"MAIL FROM:<>\r\n" in world.connect(ehlo(b"REQUIRETLS"))  # which nobody may offer in the clear
    world.say(*TAKES[1:])
    assert world.outcomes == [(DELIVERED, 250, "mx1.far.test")]


def test_a_report_on_mail_that_requires_tls_asks_for_it_where_it_is_offered():
    world = World(policy=Policy())
    world.send(sender="", require_tls=True)
    world.connect(*SHAKES)
    world.protocols[-1].handshakeCompleted()
    assert b"MAIL FROM:<> REQUIRETLS\r\n" in world.say(ehlo(b"REQUIRETLS")[1])


# routes and sources


def test_the_addresses_of_a_routes_host_are_tried_in_turn():
    world = World()
    route = RouteSettings(domain="*", host="relay.test", port=2525, tls="none")
    world.send(destination=Destination(domain="*", route=route))
    world.connect(REFUSED)
    assert world.tried == [("192.0.2.7", 2525), ("192.0.2.8", 2525)]
    world.connect(*TAKES)
    assert world.outcomes == [(DELIVERED, 250, "relay.test")]


@pytest.mark.parametrize("host", ["relay.test", "Relay.TEST"])
def test_the_host_of_a_route_has_the_policy_of_its_own_name(host):
    verifier = object()
    world = World(policy=Policy({"relay.test": HostTLS(tls=TLSPolicy.REQUIRE, creator=verifier, identity="sts")}))
    world.reactor.nameResolver = Resolver(relay=("192.0.2.7",), Relay=("192.0.2.7",))
    world.send(destination=Destination(domain="*", route=RouteSettings(domain="*", host=host)))
    assert world.policy.domains == ["relay.test"]
    world.connect(EHLO)
    assert [(outcome.state, outcome.enhanced) for outcome in world.results[0]] == [(DEFERRED, "4.7.0")]
    world.send(destination=Destination(domain="*", route=RouteSettings(domain="*", host=host)))
    world.connect(*SHAKES)
    assert world.protocols[-1].transport.creator is verifier
    assert world.policy.told == [("relay.test", "starttls-not-supported")]


def test_the_host_of_a_route_that_its_own_policy_refuses_is_not_asked():
    refused = Outcome(DEFERRED, 0, "4.7.5", "not in the policy")
    world = World(policy=Policy({"relay.test": HostTLS(tls=TLSPolicy.REQUIRE, refused=refused)}))
    for tls in ("opportunistic", "require"):
        world.send(destination=Destination(domain="*", route=RouteSettings(domain="*", host="relay.test", tls=tls)))
        assert world.outcomes == [(DEFERRED, 0, "relay.test")]
    assert world.tried == []


def test_mail_that_can_do_without_tls_goes_past_the_policy_of_a_routes_host():
    refused = Outcome(DEFERRED, 0, "4.7.5", "not in the policy")
    world = World(policy=Policy({"relay.test": HostTLS(tls=TLSPolicy.REQUIRE, refused=refused)}))
    route = RouteSettings(domain="*", host="relay.test")
    world.send(destination=Destination(domain="*", route=route), tls_optional=True)
    world.connect(*TAKES)
    assert world.outcomes == [(DELIVERED, 250, "relay.test")]
    assert world.policy.domains == []


def test_what_a_routes_operator_wants_of_certificates_stays():
    world = World(policy=Policy({"relay.test": HostTLS(tls=TLSPolicy.REQUIRE, creator=object())}))
    route = RouteSettings(domain="*", host="relay.test", tls=TLSPolicy.REQUIRE)
    world.send(destination=Destination(domain="*", route=route))
    world.connect(*SHAKES)
    assert IOpenSSLClientConnectionCreator.providedBy(world.protocols[-1].transport.creator)


@pytest.mark.parametrize(
    ("host", "tls"), [("192.0.2.7", "opportunistic"), ("relay", "opportunistic"), ("relay.test", "none")]
)
def test_a_route_without_a_policy_domain_is_as_its_operator_says(host, tls):
    world = World(policy=Policy())
    world.send(destination=Destination(domain="*", route=RouteSettings(domain="*", host=host, tls=tls)))
    world.connect(*TAKES)
    assert [outcome[0] for outcome in world.outcomes] == [DELIVERED]
    assert world.policy.domains == []


def test_a_routes_host_without_address_defers():
    world = World()
    route = RouteSettings(domain="*", host="nowhere.test")
    world.send(destination=Destination(domain="*", route=route))
    assert world.outcomes == [(DEFERRED, 0, "")]


def test_what_mail_leaves_from_depends_on_its_sender():
    source = SourceSettings(domain="b.test", source_ipv4="192.0.2.9", helo_name="b.test")
    world = World(sources=[source], source_ipv4="192.0.2.8", source_ipv6="2001:db8::8", helo_name="usual.test")
    for sender, name, ours in [
        ("a@b.test", b"b.test", "192.0.2.9"),
        ("a@c.test", b"usual.test", "192.0.2.8"),
        ("", b"usual.test", "192.0.2.8"),
    ]:
        world.send(sender=sender)
        assert world.reactor.tcpClients[-1][4] == (ours, 0)
        assert world.connect(b"220 hi\r\n") == b"EHLO " + name + b"\r\n"
        world.say(None)
        assert world.tried[-1][0] == "2001:db8::1"
        assert world.reactor.tcpClients[-1][4] == ("2001:db8::8", 0)
        world.running.cancel()
    world.agent.set_sources([])
    world.send(sender="a@b.test")
    assert world.reactor.tcpClients[-1][4] == ("192.0.2.8", 0)


@pytest.mark.parametrize(("identity", "connections"), [("sts:mx1.far.test", 1), ("", 2)])
def test_a_verified_connection_is_shared_by_who_verifies_the_same(identity, connections):
    policy = Policy()
    world = World(policy=policy)
    for number in range(2):
        policy.by_host = {"mx1.far.test": HostTLS(tls=TLSPolicy.REQUIRE, creator=object(), identity=identity)}
        world.send()
        if number < connections:
            world.connect(ehlo(b"STARTTLS"), b"220 go\r\n")
            world.protocols[-1].handshakeCompleted()
            world.say(ehlo(b"X")[1])
        world.say(*TAKES[1:])
        assert [outcome[0] for outcome in world.outcomes] == [DELIVERED]
    assert len(world.tried) == connections
