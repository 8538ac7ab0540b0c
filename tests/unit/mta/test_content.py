import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.address import Address
from mailsuite.envelope import Body as BodyType
from mailsuite.envelope import Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body
from mailsuite.mta import SpoolMessage, Target
from mailsuite.mta.content import decode_message, encode_envelope

texts = st.text(st.characters(codec=None), max_size=20)
addresses = st.builds(Address, texts, texts)
targets = st.builds(
    Target,
    address=addresses,
    account_id=st.integers(0, 2**62),
    email=texts,
    mailbox=texts,
    quota_octets=st.integers(0, 2**62),
    notify=texts,
    original=texts,
)
senders = st.builds(
    Sender,
    path=st.none() | addresses,
    body=st.sampled_from(BodyType),
    smtputf8=st.booleans(),
    auth=texts,
    envelope_id=texts,
    ret=texts,
    require_tls=st.booleans(),
    tls_optional=st.booleans(),
    release=st.integers(0, 2**40),
    hold=texts,
)
messages = st.builds(
    SpoolMessage,
    message_id=st.integers(1, 2**62),
    received=st.integers(0, 2**40),
    sender=senders,
    targets=st.lists(targets, max_size=4).map(tuple),
    content=st.binary(max_size=20) | st.builds(Body, st.just("/spool/body/1"), st.integers(0, 2**40)),
    trace_octets=st.integers(0, 300),
)


@settings(deadline=None, max_examples=50)
@given(messages)
def test_what_is_written_is_read_back(message):
    content = message.content if isinstance(message.content, bytes) else message.content.path
    assert decode_message(message.message_id, message.received, encode_envelope(message), content) == message


@pytest.mark.parametrize("envelope", [b"", b"{", b"[]", b"{}", b'{"sender":5}', b"\xff", b"null", b'"x"'])
def test_what_we_did_not_write_is_invalid(envelope):
    with pytest.raises(MailError) as caught:
        decode_message(1, 0, envelope, b"")
    assert caught.value.kind is Kind.INVALID
