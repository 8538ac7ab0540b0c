"""Dovecot as the second opinion on odd messages: what they are made of, and every octet of every section."""

import contextlib

import pytest
from mime_corpus import all_messages

from .dovecot_instance import PASSWORD, Dovecot, why_not
from .imap_wire import Wire
from .mime_comparing import compare
from .mime_rules import RULES, explain

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=why_not())]

NOT_TAKEN = {"empty"}
"""An empty message cancels APPEND."""


@pytest.fixture
def dovecot():
    other = Dovecot()
    try:
        other.start()
        yield other
    finally:
        other.stop()


@pytest.fixture
def servers(demo, account, dovecot):
    """Log in to both servers."""
    login = account()
    with (
        contextlib.closing(Wire(demo.port("imap"), login.email, login.password)) as ours,
        contextlib.closing(Wire(dovecot.port, "ann", PASSWORD)) as theirs,
    ):
        yield ours, theirs


def test_every_difference_of_odd_messages_is_meant(servers) -> None:
    messages = {name: octets for name, octets in all_messages().items() if name not in NOT_TAKEN}
    for server in servers:
        server.command(b"APPEND INBOX {0+}\r\n", ends=b"NO")
        server.append(messages.values())
        server.command(b"SELECT INBOX")
    needed = set()
    unexplained = {}
    for number, (name, octets) in enumerate(messages.items(), 1):
        used, left = explain(name, octets, list(compare(*servers, number)))
        needed |= used
        if left:
            unexplained[name] = [f"{found.item}: {found.ours!r:.100} for {found.theirs!r:.100}" for found in left[:5]]
    assert not unexplained
    assert needed == {rule.name for rule in RULES}
