"""What is found out about a message before it goes to a host."""

import pytest

from mailsuite.message.survey import is_internationalized


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Subject: x\r\n\r\nx\r\n", False),
        ("Subject: x\r\n\r\ngrün\r\n", False),
        ("Subject: grün\r\n\r\nx\r\n", True),
        ("Subject: x\n\ngrün\n", False),
        ("Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ngrün\r\n", False),
        ("content-type:\r\n Multipart/Mixed; boundary=x\r\n\r\n--x\r\nSubject: grün\r\n\r\n--x--\r\n", True),
        ("Content-Type: message/rfc822\r\n\r\nSubject: grün\r\n\r\n", True),
        ("\r\ngrün\r\n", False),
        ("Subject: no end grün", True),
        ("", False),
    ],
)
def test_which_mail_has_utf8_in_header_fields(content, expected):
    octets = content.encode()
    assert is_internationalized(octets, eight_bit=not octets.isascii()) is expected


def test_a_header_that_goes_on_may_hold_anything():
    assert is_internationalized(b"Subject: x\r\n", eight_bit=True)
