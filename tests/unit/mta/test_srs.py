"""Sender rewriting: what is written can be read again, and nothing else can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.address import LOCAL_PART_MAX_OCTETS, Address
from mailsuite.errors import Kind, MailError
from mailsuite.mta.srs import DAY_SECONDS, SenderRewriting, is_rewritten

NOW = 1_800_000_000.0
SRS = SenderRewriting(b"s" * 32)
ANN = Address("Ann.Lee", "far.test")
EXAMPLE = Address.parse("SRS0=AAAAAA=AA=first.test=ann@second.test")


def restore(local_part, now=NOW, srs=SRS):
    try:
        return srs.restore(local_part, now)
    except MailError as error:
        return None if error.kind is Kind.DENIED else error


def test_a_sender_is_written_by_the_scheme():
    written = SRS.rewrite(ANN, "ours.test", NOW)
    assert written.domain == "ours.test"
    prefix, hash_, stamp, domain, local = written.local_part.split("=")
    assert (prefix, domain, local) == ("SRS0", "far.test", "Ann.Lee")
    assert (len(hash_), len(stamp)) == (6, 2)
    assert is_rewritten(written.local_part)
    assert restore(written.local_part) == ANN


def test_a_host_that_lower_cases_does_no_harm_but_to_the_senders_own_case():
    written = SRS.rewrite(ANN, "ours.test", NOW).local_part
    assert restore(written.lower()) == Address("ann.lee", "far.test")
    assert restore(written.upper()) == Address("ANN.LEE", "far.test")


@pytest.mark.parametrize("place", range(5, 40))
def test_whoever_changes_a_character_is_refused(place):
    written = SRS.rewrite(Address("ann", "mail.department.far.test"), "ours.test", NOW).local_part
    other = "b" if written[place] in "aA" else "a"
    assert restore(written[:place] + other + written[place + 1 :]) is None


def test_letters_that_only_look_alike_in_another_case_are_refused():
    now = (10 << 5 | 10) * DAY_SECONDS
    written = SRS.rewrite(ANN, "ours.test", now).local_part
    assert "=KK=" in written
    assert restore(written.replace("=KK=", "=K\N{KELVIN SIGN}="), now) is None


def test_another_installations_addresses_are_refused():
    written = SRS.rewrite(ANN, "ours.test", NOW).local_part
    assert restore(written, srs=SenderRewriting(b"t" * 32)) is None


@pytest.mark.parametrize(
    ("days", "valid"),
    [(-2, False), (-1, True), (0, True), (1, True), (21, True), (22, False), (400, False), (1000, False)],
)
def test_an_address_is_good_for_three_weeks(days, valid):
    written = SRS.rewrite(ANN, "ours.test", NOW).local_part
    assert (restore(written, NOW + days * DAY_SECONDS) == ANN) is valid


@pytest.mark.parametrize("mark", "+-")
def test_other_marks_behind_the_prefix_are_read(mark):
    written = SRS.rewrite(ANN, "ours.test", NOW).local_part
    assert restore(f"SRS0{mark}{written[5:]}") == ANN


def test_what_another_host_has_rewritten_keeps_its_way_back():
    once = SRS.rewrite(EXAMPLE, "ours.test", NOW)
    assert once.local_part.startswith("SRS1=")
    assert once.local_part.endswith("=second.test==AAAAAA=AA=first.test=ann")
    assert restore(once.local_part) == EXAMPLE
    assert restore(once.local_part.lower()) == Address("SRS0=aaaaaa=aa=first.test=ann", "second.test")
    other = SenderRewriting(b"t" * 32)
    twice = other.rewrite(once, "third.test", NOW)
    assert twice.domain == "third.test"
    assert restore(twice.local_part, srs=other) == EXAMPLE  # straight to who knows the sender
    assert len(twice.local_part) == len(once.local_part)
    assert restore(twice.local_part) is None


@pytest.mark.parametrize("place", range(5, 30))
def test_the_second_form_is_sealed_too(place):
    written = SRS.rewrite(EXAMPLE, "ours.test", NOW).local_part
    other = "b" if written[place] in "aA" else "a"
    assert restore(written[:place] + other + written[place + 1 :]) is None


def test_what_would_be_too_long_is_not_rewritten():
    head = len("SRS0=HHHHHH=TT=far.test=")
    fits = Address("x" * (LOCAL_PART_MAX_OCTETS - head), "far.test")
    assert len(SRS.rewrite(fits, "ours.test", NOW).local_part) == LOCAL_PART_MAX_OCTETS
    assert SRS.rewrite(Address(fits.local_part + "x", "far.test"), "ours.test", NOW) is None
    assert SRS.rewrite(Address("é" * 30, "far.test"), "ours.test", NOW) is None


def test_a_sender_without_a_domain_name_is_not_rewritten():
    assert SRS.rewrite(Address("ann", "[192.0.2.1]"), "ours.test", NOW) is None
    assert SRS.rewrite(Address("postmaster", ""), "ours.test", NOW) is None


@pytest.mark.parametrize(
    "text",
    ["ann", "SRS0", "SRS0=", "SRS0=a=b=c", "SRS0=AAAAAA=A1=far.test=ann", "SRS0=AAAAAA=AA==ann", "SRS1=A=B", "SRS2=x"],
)
def test_what_is_none_is_refused(text):
    assert restore(text) is None


@given(
    local=st.text(
        st.characters(codec="ascii", categories=("L", "N"), include_characters="=+-._!%'"), min_size=1, max_size=30
    ),
    days=st.integers(0, 21),
)
def test_whatever_is_written_is_read(local, days):
    try:
        sender = Address.parse(f"{local}@far.test")
    except MailError:
        return
    if is_rewritten(local):
        return
    written = SRS.rewrite(sender, "ours.test", NOW)
    assert restore(written.local_part, NOW + days * DAY_SECONDS) == sender


@given(st.text(max_size=80))
def test_any_text_is_refused_without_another_failure(text):
    assert restore(text) is None
    assert restore(f"SRS0={text}") is None
    assert restore(f"SRS1={text}") is None
