import datetime as dt
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.message.dates import (
    civil_from_days,
    days_from_civil,
    format_date,
    format_internal_date,
    parse_date,
    parse_imap_day,
    parse_internal_date,
)

NOON = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "epoch", "offset"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 +0000", NOON, 0),
        (b"Sun, 6 Nov 1994 09:49:37 +0100 (CET)", NOON, 60),
        (b"6 Nov 1994 08:49:37 GMT", NOON, 0),
        (b"Sun, 06 Nov 94 03:49:37 EST", NOON, -300),
        (b"Sun, 06 Nov 1994 08:49 UT", NOON - 37, 0),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", NOON, 0),
        (b"Sun Nov  6 08:49:37 1994", NOON, 0),
        (b"Sun ,  06\tNov (a (nested) comment) 1994  08:49:37 -0000", NOON, 0),
        (b"06 Nov 094 08:49:37 Z", NOON, 0),
        (b"Sun, 06 Nov 1994 08:49:37", NOON, 0),
        (b"SUN, 06 NOVEMBER 1994 08:49:37 +0000", NOON, 0),
        (b"Sun, 06 Nov 1994 08:49:37 X", NOON, 0),
        (b"Sun, 06 Nov 1994 08 : 49: 37 +0000", NOON, 0),
        (b"Sun , 6(x) Nov 1994 08\t:49(y):(z)37 GMT", NOON, 0),
        (b"Tue, 29 Feb 2000 23:59:60 +0000", 951868799, 0),
    ],
)
def test_dates_are_read_in_all_the_forms_people_send(value, epoch, offset):
    assert parse_date(value) == (epoch, offset)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"yesterday",
        b"Sun, 06 Nov 1994",
        b"Sun, 31 Nov 1994 08:49:37 +0000",
        b"Sun, 29 Feb 1900 08:49:37 +0000",
        b"Sun, 06 Nov 1994 24:00:00 +0000",
        b"Sun, 06 Nov 1994 08:60:00 +0000",
        b"Sun, 06 Foo 1994 08:49:37 +0000",
        b"Sun, 06 Nov 99999999999 08:49:37 +0000",
        b"Sun, 99999999999999999999999 Nov 1994 08:49:37 +0000",
        b"\xff\xfe",
        b"(" * 100000,
        b"Sun, \xb26 Nov 1994 08:49:37 +0000",
    ],
)
def test_what_is_no_date_is_none(value):
    assert parse_date(value) is None


@settings(deadline=None, max_examples=200)
@given(st.integers(-62135596800 + 86400, 253402300799 - 86400), st.integers(-23 * 60, 23 * 60))
def test_dates_agree_with_the_standard_library(epoch, offset):
    zone = dt.timezone(dt.timedelta(minutes=offset))
    moment = dt.datetime.fromtimestamp(epoch, zone)
    assert format_date(epoch, offset) == format_datetime(moment)
    assert civil_from_days(epoch // 86400 + 0) == dt.datetime.fromtimestamp(epoch, dt.UTC).timetuple()[:3]
    if moment.year >= 1900:
        assert parse_date(format_date(epoch, offset).encode()) == (epoch, offset)
        assert int(parsedate_to_datetime(format_date(epoch, offset)).timestamp()) == epoch


@settings(deadline=None, max_examples=200)
@given(st.integers(-2208988800 + 86400, 253402300799 - 86400), st.integers(-23 * 60, 23 * 60))
def test_internal_dates_survive_a_round_trip(epoch, offset):
    text = format_internal_date(epoch, offset)
    assert len(text) == 28
    assert parse_internal_date(text) == (epoch, offset)


def test_an_internal_date_is_written_as_the_standard_shows_it():
    assert format_internal_date(837596665, -420) == b'"17-Jul-1996 02:44:25 -0700"'
    assert format_internal_date(0) == b'" 1-Jan-1970 00:00:00 +0000"'
    assert parse_internal_date(b"17-Jul-1996 02:44:25 -0700") == (837596665, -420)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b'"17-Jul-1996"',
        b'"17-Jul-1996 02:44 -0700"',
        b'"17-Jul-1996 02:44:25 EST"',
        b'"32-Jul-1996 02:44:25 -0700"',
        b'"17-Foo-1996 02:44:25 -0700"',
        b'"17-Jul-96 02:44:25 -0700"',
        b'"17-Jul-1996 25:44:25 -0700"',
        b'"17-Jul-1996 02:44:25 -0760"',
    ],
)
def test_what_is_no_internal_date_is_none(value):
    assert parse_internal_date(value) is None


def test_days_of_search_keys():
    assert parse_imap_day(b"1-Feb-1994") == days_from_civil(1994, 2, 1)
    assert parse_imap_day(b'"01-feb-1994"') == days_from_civil(1994, 2, 1)
    assert parse_imap_day(b"29-Feb-1994") is None
    assert parse_imap_day(b"1-2-1994") is None
    assert parse_imap_day(b"Feb-1994") is None
