"""
Dates as mail writes them, without the machine's clock or time zone.

RFC 5322 sections 3.3 and 4.3; INTERNALDATE is date-time of RFC 3501 section 9.
"""

import functools
import re

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NUMBERS = {name.lower().encode(): number for number, name in enumerate(_MONTHS, 1)}
_WEEKDAY_NAMES = frozenset(name.lower().encode() for name in _WEEKDAYS)
_ZONES_HOURS = {b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5, b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7}
_ORDINARY = re.compile(
    rb"(?:[A-Za-z]{3},? )?(\d\d?) ([A-Za-z]{3}) (\d{4}) (\d\d):([0-5]\d):([0-5]\d) ([+-])(\d\d)([0-5]\d)(?: \(|$)"
)
_AROUND_COLON = re.compile(rb"[ \t]*+:[ \t]*+")  # RFC 5322 section 4.3 allows spaces there
_DATE_MAX_OCTETS = 256
_DAY_SECONDS = 86400
_YEAR_MIN, _YEAR_MAX = 1900, 9999
_DAYS_FROM_0000_03_01_TO_EPOCH = 719468


def days_from_civil(year: int, month: int, day: int) -> int:
    """Count days from 1970-01-01 to a date of the Gregorian calendar."""
    if month <= 2:  # noqa: PLR2004 - the computation's year begins in March
        year -= 1
        month += 12
    return (
        365 * year
        + year // 4
        - year // 100
        + year // 400
        + (153 * (month - 3) + 2) // 5
        + day
        - 1
        - _DAYS_FROM_0000_03_01_TO_EPOCH
    )


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Turn days since 1970-01-01 into year, month and day."""
    days += _DAYS_FROM_0000_03_01_TO_EPOCH
    era, day_of_era = divmod(days, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * march_month + 2) // 5 + 1
    month = march_month + 3 if march_month < 10 else march_month - 9  # noqa: PLR2004 - January is month 10 from March
    return year_of_era + era * 400 + (month <= 2), month, day  # noqa: PLR2004 - likewise


def parse_date(value: bytes) -> tuple[int, int] | None:
    """
    Read the value of a Date field, also in the obsolete forms of RFC 5322 section 4.3.

    Returns:
        Seconds since the epoch, and the zone's offset from UTC in minutes; None when it is no date.
    """
    ordinary = _ORDINARY.match(value)
    if ordinary is None:
        return _parse_unusual(value)
    day, month_name, year, hour, minute, second, sign, zone_hours, zone_minutes = ordinary.groups()
    month = _MONTH_NUMBERS.get(month_name.lower())
    clock = int(hour) * 3600 + int(minute) * 60 + int(second)
    if month is None or clock >= _DAY_SECONDS:
        return None
    offset = int(zone_hours) * 60 + int(zone_minutes)
    return _combine(int(year), month, int(day), clock, -offset if sign == b"-" else offset)


def _combine(year: int, month: int, day: int, clock: int, offset: int) -> tuple[int, int] | None:
    if not (_YEAR_MIN <= year <= _YEAR_MAX and 1 <= day <= _month_length(year, month)):
        return None
    return days_from_civil(year, month, day) * _DAY_SECONDS + clock - offset * 60, offset


def _parse_unusual(value: bytes) -> tuple[int, int] | None:
    if b"(" in value:
        value = _without_comments(value)
    words = _AROUND_COLON.sub(b":", value[:_DATE_MAX_OCTETS].replace(b",", b" ")).split()
    if words and words[0][:3].lower() in _WEEKDAY_NAMES:
        del words[0]
    if words and words[0].count(b"-") == 2:  # noqa: PLR2004 - 06-Nov-94
        words[:1] = words[0].split(b"-")
    if len(words) < 4:  # noqa: PLR2004 - day, month, year, time
        return None
    day_text, month_text, year_text, clock = words[:4]
    zone = words[4] if len(words) > 4 else b""  # noqa: PLR2004 - the fifth word
    if day_text[:3].lower() in _MONTH_NUMBERS:  # asctime: Nov 6 08:49:37 1994
        day_text, month_text, year_text, clock, zone = month_text, day_text, clock, year_text, b""
    month = _MONTH_NUMBERS.get(month_text[:3].lower())
    seconds = _parse_clock(clock)
    if month is None or seconds is None or not day_text.isdigit() or not year_text.isdigit():
        return None
    day, year = int(day_text[:4]), int(year_text[:5])
    if len(year_text) == 2:  # noqa: PLR2004 - RFC 5322 section 4.3: two digits
        year += 2000 if year < 50 else 1900  # noqa: PLR2004 - likewise
    elif len(year_text) == 3:  # noqa: PLR2004 - likewise: three digits
        year += 1900
    return _combine(year, month, day, seconds, _parse_zone(zone))


def format_date(when: float, offset_minutes: int = 0) -> str:
    """Write a date-time of RFC 5322 section 3.3."""
    return _format_second(int(when // 1), offset_minutes)


@functools.lru_cache(maxsize=16)  # all messages of a second have the same
def _format_second(when: int, offset_minutes: int) -> str:
    days, seconds = divmod(when + offset_minutes * 60, _DAY_SECONDS)
    year, month, day = civil_from_days(days)
    weekday = _WEEKDAYS[(days + 3) % 7]
    minutes, second = divmod(seconds, 60)
    return (
        f"{weekday}, {day:02d} {_MONTHS[month - 1]} {year:04d} "
        f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d} {_zone_text(offset_minutes)}"
    )


def format_internal_date(when: int, offset_minutes: int = 0) -> bytes:
    """Write an IMAP date-time with its quotes, for example ``"17-Jul-1996 02:44:25 -0700"``."""
    days, seconds = divmod(when + offset_minutes * 60, _DAY_SECONDS)
    return b'"%b %02d:%02d:%02d %b"' % (
        _imap_day(days),
        seconds // 3600,
        seconds // 60 % 60,
        seconds % 60,
        b"+0000" if not offset_minutes else _zone_text(offset_minutes).encode(),
    )


def parse_internal_date(value: bytes) -> tuple[int, int] | None:
    """
    Read an IMAP date-time, with or without its quotes.

    Returns:
        Seconds since the epoch, and the zone's offset from UTC in minutes; None when it is no date-time.
    """
    text = value.strip(b'"').lstrip(b" ")
    words = text.split(b" ")
    if len(words) != 3:  # noqa: PLR2004 - date, time, zone
        return None
    date, clock, zone = words
    days = parse_imap_day(date)
    seconds = _parse_clock(clock)
    if days is None or seconds is None or len(clock) != 8 or not _is_numeric_zone(zone):  # noqa: PLR2004 - hh:mm:ss
        return None
    offset = _parse_zone(zone)
    return days * _DAY_SECONDS + seconds - offset * 60, offset


def parse_imap_day(value: bytes) -> int | None:
    """Read ``date-text`` of RFC 3501 section 9, for example ``1-Feb-1994``; return days since 1970-01-01."""
    words = value.strip(b'"').strip(b" ").split(b"-")
    if len(words) != 3:  # noqa: PLR2004 - day, month, year
        return None
    month = _MONTH_NUMBERS.get(words[1].lower())
    if month is None or not words[0].isdigit() or not words[2].isdigit() or len(words[2]) != 4 or len(words[0]) > 2:  # noqa: PLR2004 - dd and yyyy
        return None
    year, day = int(words[2]), int(words[0])
    if not 1 <= day <= _month_length(year, month):
        return None
    return days_from_civil(year, month, day)


@functools.lru_cache(maxsize=4096)
def _imap_day(days: int) -> bytes:
    year, month, day = civil_from_days(days)
    return f"{day:2d}-{_MONTHS[month - 1]}-{year:04d}".encode()


def _month_length(year: int, month: int) -> int:
    if month == 2:  # noqa: PLR2004 - February
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in {4, 6, 9, 11} else 31


def _zone_text(offset_minutes: int) -> str:
    hours, minutes = divmod(abs(offset_minutes), 60)
    return f"{'-' if offset_minutes < 0 else '+'}{hours:02d}{minutes:02d}"


def _parse_clock(text: bytes) -> int | None:
    words = text.split(b":")
    if not 2 <= len(words) <= 3 or not all(len(word) <= 2 and word.isdigit() for word in words):  # noqa: PLR2004 - h:m, h:m:s
        return None
    hour, minute = int(words[0]), int(words[1])
    second = int(words[2]) if len(words) == 3 else 0  # noqa: PLR2004 - likewise
    if hour > 23 or minute > 59 or second > 60:  # noqa: PLR2004 - a leap second is 60
        return None
    return hour * 3600 + minute * 60 + min(second, 59)  # the day stays the one that is written


def _is_numeric_zone(zone: bytes) -> bool:
    return len(zone) == 5 and zone[:1] in b"+-" and zone[1:].isdigit() and int(zone[3:]) < 60  # noqa: PLR2004 - +hhmm


def _parse_zone(zone: bytes) -> int:
    """Give the offset in minutes; a zone that says nothing reliable is UTC (RFC 5322 section 4.3)."""
    if _is_numeric_zone(zone):
        minutes = int(zone[1:3]) * 60 + int(zone[3:])
        return -minutes if zone[:1] == b"-" else minutes
    return _ZONES_HOURS.get(zone.upper(), 0) * 60


def _without_comments(value: bytes) -> bytes:
    kept = bytearray()
    depth = 0
    for octet in value[:_DATE_MAX_OCTETS]:
        if octet == 0x28:  # noqa: PLR2004 - "("
            depth += 1
        elif octet == 0x29 and depth:  # noqa: PLR2004 - ")"
            depth -= 1
        elif not depth:
            kept.append(octet)
    return bytes(kept)
