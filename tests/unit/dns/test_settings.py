import pytest
from twisted.internet.task import Clock

from mailsuite.dns import reverse_name
from mailsuite.dns.settings import Nameserver, parse_nameserver
from mailsuite.dns.system import LOOK_AGAIN_SECONDS, SystemNameservers, system_nameservers


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.53", "192.0.2.53", 53),
        ("127.0.0.1:5353", "127.0.0.1", 5353),
        ("::1", "::1", 53),
        ("2001:db8::53", "2001:db8::53", 53),
        ("[::1]", "::1", 53),
        ("[2001:db8::53]:65535", "2001:db8::53", 65535),
    ],
)
def test_a_nameserver_is_an_address_and_perhaps_a_port(text, host, port):
    assert parse_nameserver(text) == Nameserver(host=host, port=port, trusted=True)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "ns.test:53", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:٣",
     "[::1", "[::1]53", "[::1]:", "1.2.3", "::1:5353:g"],
)  # fmt: skip
def test_whatever_else_is_none(text):
    with pytest.raises(ValueError):
        parse_nameserver(text)


def test_the_systems_nameservers_are_trusted_only_on_this_machine(tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# nameserver 10.0.0.9\nnameserver 192.0.2.53\nsearch test\nnameserver ::1\nnameserver\nnameserver x\n"
    )
    assert system_nameservers(str(path)) == [
        Nameserver(host="192.0.2.53", trusted=False),
        Nameserver(host="::1", trusted=True),
    ]


@pytest.mark.parametrize("text", [None, "", "search test\n"])
def test_without_any_it_is_this_machine(tmp_path, text):
    path = tmp_path / "resolv.conf"
    if text is not None:
        path.write_text(text)
    assert system_nameservers(str(path)) == [Nameserver(host="127.0.0.1", trusted=True)]


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
        ("::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa"),
        ("2001:db8::1", "1.0.0.0." + "0.0.0.0." * 5 + "8.b.d.0.1.0.0.2.ip6.arpa"),
    ],
)
def test_addresses_have_names(address, name):
    assert reverse_name(address) == name


def test_a_name_has_no_reverse_name():
    with pytest.raises(ValueError):
        reverse_name("mx.test")


def test_resolvers_that_the_system_learns_of_later_are_asked(tmp_path):
    clock, path = Clock(), tmp_path / "resolv.conf"
    clock.advance(1000)
    servers = SystemNameservers(clock, str(path))
    assert [server.host for server in servers()] == ["127.0.0.1"], "there is no network yet"
    path.write_text("nameserver 192.0.2.53\n")
    assert [server.host for server in servers()] == ["127.0.0.1"], "nobody looks that often"
    clock.advance(LOOK_AGAIN_SECONDS)
    assert [server.host for server in servers()] == ["192.0.2.53"]
    path.write_text("nameserver 192.0.2.54\nnameserver 192.0.2.55\n")
    clock.advance(LOOK_AGAIN_SECONDS)
    assert [server.host for server in servers()] == ["192.0.2.54", "192.0.2.55"]
    path.unlink()
    clock.advance(LOOK_AGAIN_SECONDS)
    assert [server.host for server in servers()] == ["192.0.2.54", "192.0.2.55"]
    path.write_text("nameserver 192.0.2.56\n")
    clock.rightNow = 5.0  # the clock was put back
    assert [server.host for server in servers()] == ["192.0.2.56"]
