"""The resolver and a server in a child process, where the network is what matters."""

import socket
import sys
from pathlib import Path

import pytest
import pytest_twisted

from mailsuite.dns import DNSSettings, make_resolver
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import A, NoRecordsError

sys.path.insert(0, str(Path(__file__).parents[2]))
from dns_server import DNSServer

ZONE = """
$TTL 1
$ORIGIN test.
fast  IN A 192.0.2.1
late  IN A 192.0.2.2
mute  IN A 192.0.2.3
"""


@pytest.fixture
def server(tmp_path):
    with DNSServer(tmp_path / "zone", ZONE, "--silent", "mute.test", "--delay", "late.test=0.2") as server:
        yield server


def resolver(*nameservers, **settings):
    from twisted.internet import reactor

    return make_resolver(DNSSettings(nameservers=nameservers, **settings), reactor)


def unused_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_late_is_an_answer(server):
    assert (await resolver(server.nameserver).resolve("late.test", A)).records == ("192.0.2.2",)


@pytest_twisted.ensureDeferred
async def test_a_server_that_is_silent_is_given_up(server):
    with pytest.raises(MailError) as caught:
        await resolver(server.nameserver, query_seconds=0.1, lookup_seconds=0.25).resolve("mute.test", A)
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest_twisted.ensureDeferred
async def test_where_nobody_listens_the_next_is_asked_at_once(server):
    asking = resolver(f"127.0.0.1:{unused_port()}", server.nameserver, query_seconds=60.0, lookup_seconds=60.0)
    assert (await asking.resolve("fast.test", A)).records == ("192.0.2.1",)


@pytest_twisted.ensureDeferred
async def test_where_nobody_listens_at_all_there_is_no_answer():
    with pytest.raises(MailError) as caught:
        await resolver(f"127.0.0.1:{unused_port()}", lookup_seconds=60.0, query_seconds=60.0).resolve("fast.test", A)
    assert caught.value.kind is Kind.UNAVAILABLE


@pytest_twisted.ensureDeferred
async def test_a_server_without_edns_is_understood(tmp_path):
    with DNSServer(tmp_path / "zone", ZONE, "--no-edns") as server:
        assert (await resolver(server.nameserver).resolve("fast.test", A)).records == ("192.0.2.1",)


@pytest_twisted.ensureDeferred
async def test_the_server_of_tests_reads_its_file_again(server):
    with pytest.raises(NoRecordsError):
        await resolver(server.nameserver).resolve("new.test", A)
    server.write(ZONE + "new IN A 192.0.2.9\n")
    assert (await resolver(server.nameserver).resolve("new.test", A)).records == ("192.0.2.9",)
