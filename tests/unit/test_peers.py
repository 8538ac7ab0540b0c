"""Whose address is written how, counted for whom, and believed."""

import pytest

from mailsuite.peers import TrustedPeers, network_of, plain_ip

PEERS = TrustedPeers.parse(["192.0.2.10", "2001:db8:1::/48", "unix"])


@pytest.mark.parametrize(
    ("host", "ip", "network"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::FFFF:192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ("::ffff:1:2", "::ffff:1:2", "::/64"),
        ("2001:db8:0:1::5", "2001:db8:0:1::5", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ("", "", ""),
        (None, "", ""),
    ],
)
def test_peers_are_named_by_address_and_limited_by_network(host, ip, network):
    assert plain_ip(host) == ip
    assert network_of(ip) == network


@pytest.mark.parametrize(
    ("ip", "listed"),
    [
        ("192.0.2.10", True),
        ("192.0.2.11", False),
        ("2001:db8:1::5", True),
        ("2001:db8:2::5", False),
        ("::ffff:192.0.2.10", True),
        ("fe80::1%eth0", False),
        ("no address", False),
        ("", True),
    ],
)
def test_only_listed_addresses_are_believed(ip, listed):
    assert PEERS.include(ip) is listed


def test_nobody_is_listed_unless_somebody_is():
    assert PEERS
    assert TrustedPeers.parse(["unix"])
    assert not TrustedPeers.parse([])
    assert not TrustedPeers.parse(["127.0.0.1"]).include("")


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "localhost", "192.0.2.1/24", ""])
def test_everybody_and_nonsense_cannot_be_listed(text):
    with pytest.raises(ValueError, match=r"everybody|neither"):
        TrustedPeers.parse([text])
