"""What we rely on in twisted.mail's IMAP server; an upgrade that moves it fails here, not in production."""

import inspect

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.mail import imap4, interfaces
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import TimeoutMixin

from mailsuite.imap import IMAPFactory, IMAPServer


def test_the_server_is_a_line_receiver_with_timeouts():
    assert issubclass(imap4.IMAP4Server, LineReceiver)
    assert issubclass(imap4.IMAP4Server, TimeoutMixin)
    assert issubclass(IMAPServer, imap4.IMAP4Server)


def test_all_octets_pass_through_data_received():
    assert "dataReceived" in vars(IMAPServer)
    assert "dataReceived" not in vars(imap4.IMAP4Server)


def test_the_constructor_takes_a_context_factory_and_sets_nothing_going():
    assert "contextFactory" in inspect.signature(imap4.IMAP4Server.__init__).parameters
    server = imap4.IMAP4Server(contextFactory=None)
    assert server.portal is None
    assert server.startedTLS is False


def test_the_timeout_mixin_takes_its_clock_from_call_later():
    clock = Clock()
    fired = []

    class Timed(TimeoutMixin):
        def timeoutConnection(self):
            fired.append(clock.seconds())

    timed = Timed()
    timed.callLater = clock.callLater
    timed.setTimeout(10)
    clock.advance(9)
    timed.resetTimeout()
    clock.advance(9)
    assert fired == []
    clock.advance(1)
    assert fired == [19]
    timed.setTimeout(None)
    assert clock.getDelayedCalls() == []


def test_our_server_overrides_every_method_of_theirs_that_is_called_from_outside():
    for name in ("connectionMade", "connectionLost", "dataReceived", "timeoutConnection", "sendServerGreeting"):
        assert name in vars(IMAPServer), name


def test_the_interfaces_that_the_bridge_adapts_are_as_they_were():
    expected = {
        interfaces.IAccountIMAP: {
            "addMailbox", "create", "select", "delete", "rename", "isSubscribed", "subscribe", "unsubscribe",
            "listMailboxes",
        },
        interfaces.IMailboxIMAP: {
            "getFlags", "getHierarchicalDelimiter", "getUIDValidity", "getUIDNext", "getUID", "getMessageCount",
            "getRecentCount", "getUnseenCount", "isWriteable", "destroy", "requestStatus", "addListener",
            "removeListener", "addMessage", "expunge", "fetch", "store",
        },
        interfaces.IMailboxIMAPListener: {"modeChanged", "flagsChanged", "newMessages"},
    }  # fmt: skip
    for interface, names in expected.items():
        assert set(interface.names(all=True)) == names


def test_message_sets_take_ranges_and_a_last_number():
    numbers = imap4.MessageSet([(1, 1), (3, 5)])
    numbers.last = 9
    assert list(numbers) == [1, 3, 4, 5]
    assert 2 not in numbers


def test_a_string_transport_is_enough_to_greet():
    factory = IMAPFactory(None, reactor=Clock())
    server = factory.buildProtocol(None)
    transport = StringTransport()
    server.makeConnection(transport)
    assert transport.value().startswith(b"* OK [CAPABILITY IMAP4rev1 ")
