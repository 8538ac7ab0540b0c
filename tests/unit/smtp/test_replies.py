"""Replies and the table from failures."""

import re

import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.smtp import replies
from mailsuite.smtp.replies import Refused, Reply

ALL = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}


def test_every_kind_of_failure_has_a_reply():
    assert set(replies.REPLY_FOR_KIND) == set(Kind)
    assert all(reply.code >= 400 for reply in replies.REPLY_FOR_KIND.values())
    assert not replies.REPLY_FOR_KIND[Kind.UNAVAILABLE].is_permanent


@pytest.mark.parametrize("name", ALL)
def test_codes_agree_with_their_enhanced_codes(name):
    reply = ALL[name]
    if reply.enhanced:
        assert reply.enhanced[0] == str(reply.code)[0]
    assert re.fullmatch(rb"(?:\d{3}[- ][\x20-\x7e]*\r\n)+", reply.encoded)


@pytest.mark.parametrize("name", [name for name, reply in ALL.items() if 400 <= reply.code < 500])
def test_no_temporary_reply_has_a_detail_that_is_for_permanent_ones_only(name):
    # RFC 3463 sections 3.6 and 3.8
    assert ALL[name].enhanced[2:] not in {"5.1", "5.2", "5.4", "7.1", "7.2", "7.3", "7.4"}


def test_a_reply_without_its_enhanced_code():
    assert replies.SHUTTING_DOWN.plain().encoded == b"421 shutting down, try again soon\r\n"
    assert replies.SEND_CONTENT.plain() is replies.SEND_CONTENT


def test_lines_are_joined_with_a_hyphen_and_each_has_the_enhanced_code():
    assert Reply(550, "5.7.1", ("a", "b")).encoded == b"550-5.7.1 a\r\n550 5.7.1 b\r\n"


def test_a_peers_text_cannot_break_a_reply():
    encoded = replies.DENIED.saying("evil\r\n250 ok\x00\x1b é").encoded
    assert encoded == b"550 5.7.1 evil??250 ok?? ?\r\n"


def test_long_text_is_cut_to_a_reply_line():
    assert len(replies.DENIED.saying("x" * 5000).encoded) <= 512


def test_failures_speak_for_themselves():
    assert replies.reply_to(MailError(Kind.DENIED, "no relaying")).encoded == b"550 5.7.1 no relaying\r\n"
    assert replies.reply_to(MailError(Kind.DENIED)) is replies.DENIED
    own = Reply(554, "5.7.0", ("policy",))
    assert replies.reply_to(Refused(own)) is own
