"""Connections leave descriptors for the mail."""

import os

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from mailsuite.service.descriptors import (
    OTHERS,
    PER_ACCOUNT,
    SAY_SECONDS,
    DescriptorReserve,
    GuardedFactory,
    fit_storage,
)
from mailsuite.store.settings import StorageSettings

PEER = IPv4Address("TCP", "192.0.2.7", 25)


def next_descriptor():
    probe = os.dup(1)
    os.close(probe)
    return probe


@pytest.fixture
def events():
    found = []
    globalLogPublisher.addObserver(found.append)
    yield found
    globalLogPublisher.removeObserver(found.append)


def test_the_reserve_is_touched_when_the_next_descriptor_is_one_of_it():
    number = next_descriptor()
    assert not DescriptorReserve(1024, number + 1).is_touched()
    assert DescriptorReserve(1024, number).is_touched()
    assert next_descriptor() == number


def test_few_descriptors_are_shared_between_connections_and_mail():
    settings = StorageSettings()
    assert fit_storage(settings, 100_000) == settings
    assert fit_storage(settings, 1024).open_accounts_max == 1024 // 4 // PER_ACCOUNT
    assert fit_storage(settings, 20).open_accounts_max == settings.lanes


@pytest.mark.parametrize(
    ("limit", "ceiling"), [(100_000, 100_000 - 256 * PER_ACCOUNT - OTHERS), (256, 128), (1024, 568)]
)
def test_connections_leave_what_the_mail_needs_but_have_half(monkeypatch, limit, ceiling):
    monkeypatch.setattr("mailsuite.service.descriptors.file_limit", lambda: limit)
    assert DescriptorReserve.of(StorageSettings()) == DescriptorReserve(limit, ceiling)


def test_connections_beyond_are_closed_and_one_line_says_so(events):
    clock = Clock()
    factory = GuardedFactory(Factory.forProtocol(Protocol), DescriptorReserve(1024, 0), clock)
    for address in (PEER, UNIXAddress(None), PEER):
        assert factory.buildProtocol(address) is None
    clock.advance(SAY_SECONDS)
    assert factory.buildProtocol(UNIXAddress(None)) is None
    told = [event for event in events if event.get("event") == "service.connection.refused"]
    assert [(event["peer"], event["count"]) for event in told] == [("192.0.2.7", 1), ("unix", 3)]


def test_otherwise_the_service_has_them():
    inner = Factory.forProtocol(Protocol)
    protocol = GuardedFactory(inner, DescriptorReserve(1024, 1024), Clock()).buildProtocol(PEER)
    assert protocol.factory is inner
