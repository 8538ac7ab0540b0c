"""
What a server writes: strings, lists, status lines and data lines of RFC 3501 section 7.

Everything that goes to a client is built here, so that no text of ours or of anybody else can end a line early.
"""

import datetime as dt
import functools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.imap.commands import StatusItem
from mailsuite.imap.finding_commands import SearchReturn
from mailsuite.imap.names import SEPARATOR, encode_utf7
from mailsuite.imap.paging import Page
from mailsuite.imap.sequence import encode_ranges, encode_set
from mailsuite.interfaces import TooManyKeywordsError

OK = b"OK"
NO = b"NO"
BAD = b"BAD"

# Response codes without arguments: RFC 3501 section 7.1, RFC 5530 section 3, and where noted.
ALERT = b"ALERT"
ALREADYEXISTS = b"ALREADYEXISTS"
AUTHENTICATIONFAILED = b"AUTHENTICATIONFAILED"
AUTHORIZATIONFAILED = b"AUTHORIZATIONFAILED"
CANNOT = b"CANNOT"
USEATTR = b"USEATTR"  # RFC 6154 section 3
CLIENTBUG = b"CLIENTBUG"
CLOSED = b"CLOSED"  # RFC 7162 section 3.2.11
CONTACTADMIN = b"CONTACTADMIN"
CORRUPTION = b"CORRUPTION"
EXPIRED = b"EXPIRED"
EXPUNGEISSUED = b"EXPUNGEISSUED"
HASCHILDREN = b"HASCHILDREN"  # RFC 9051 section 7.1
INUSE = b"INUSE"
LIMIT = b"LIMIT"
METADATA_NOPRIVATE = b"METADATA NOPRIVATE"  # RFC 5464 section 4.3
METADATA_TOOMANY = b"METADATA TOOMANY"
NONEXISTENT = b"NONEXISTENT"
NOMODSEQ = b"NOMODSEQ"  # RFC 7162 section 3.1.2.2
NOPERM = b"NOPERM"
NOTIFICATIONOVERFLOW = b"NOTIFICATIONOVERFLOW"  # RFC 5465 section 5.8
OVERQUOTA = b"OVERQUOTA"
PRIVACYREQUIRED = b"PRIVACYREQUIRED"
READ_ONLY = b"READ-ONLY"
READ_WRITE = b"READ-WRITE"
SERVERBUG = b"SERVERBUG"
TOOBIG = b"TOOBIG"  # RFC 7889 section 4
TRYCREATE = b"TRYCREATE"
UIDNOTSTICKY = b"UIDNOTSTICKY"  # RFC 4315 section 3
UIDREQUIRED = b"UIDREQUIRED"  # RFC 9586 section 3.2
UNAVAILABLE = b"UNAVAILABLE"
UNKNOWN_CTE = b"UNKNOWN-CTE"  # RFC 3516 section 4.3

QUOTED_MAX_OCTETS = 1000
BAD_URL_MAX_OCTETS = 4096

_NOT_QUOTABLE = re.compile(rb"[\x00\r\n\x80-\xff]")
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')
_NOT_TEXT = re.compile(rb"[^\x20-\x7e]+")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_DAY_SECONDS = 86400
_TWO_DIGITS = tuple(b"%02d" % number for number in range(60))
_MINUTES = tuple(b"%02d:%02d" % divmod(minute, 60) for minute in range(24 * 60))
_EPOCH_ORDINAL = dt.date(1970, 1, 1).toordinal()


@attrs.frozen
class Failure:
    """How a kind of failure is answered: the status and the response code."""

    status: bytes
    code: bytes


FAILURES: Mapping[Kind, Failure] = {
    Kind.NOT_FOUND: Failure(NO, NONEXISTENT),
    Kind.EXISTS: Failure(NO, ALREADYEXISTS),
    Kind.DENIED: Failure(NO, NOPERM),
    Kind.OVER_QUOTA: Failure(NO, OVERQUOTA),
    Kind.TOO_LARGE: Failure(NO, TOOBIG),
    Kind.INVALID: Failure(NO, CANNOT),
    Kind.CONFLICT: Failure(NO, INUSE),
    Kind.EXPUNGED: Failure(NO, EXPUNGEISSUED),
    Kind.UNAVAILABLE: Failure(NO, UNAVAILABLE),
}
"""For APPEND, COPY and MOVE the target that is NOT_FOUND is answered with TRYCREATE instead (RFC 3501 section 7.1)."""

_TOO_MANY = Failure(NO, LIMIT)


def failure_of(error: MailError) -> Failure:
    """Say how a failure is answered; that there are too many keywords is no matter of quota (RFC 9051 section 7.1)."""
    return _TOO_MANY if isinstance(error, TooManyKeywordsError) else FAILURES[error.kind]


def clean_text(text: str | bytes) -> bytes:
    """Make text for people that cannot end a line or confuse a terminal: printable ASCII, never empty."""
    octets = text.encode("ascii", "replace") if isinstance(text, str) else text
    return _NOT_TEXT.sub(b"?", octets) or b"?"


def quoted(octets: bytes) -> bytes:
    """Write a quoted string; the octets hold no NUL, CR or LF, and 8-bit octets only for clients that read UTF-8."""
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def literal(octets: bytes) -> bytes:
    """Write a literal."""
    return b"{%d}\r\n%b" % (len(octets), octets)


def string(octets: bytes) -> bytes:
    """Write a string: quoted if it can be."""
    if len(octets) > QUOTED_MAX_OCTETS or _NOT_QUOTABLE.search(octets):
        return literal(octets)
    return quoted(octets)


def nstring(octets: bytes | None) -> bytes:
    """Write a string, or NIL for None."""
    return b"NIL" if octets is None else string(octets)


def astring(octets: bytes) -> bytes:
    """Write an atom if it can be one, otherwise a string; ``NIL`` is quoted, so that nobody takes it for None."""
    if _ASTRING.fullmatch(octets) and octets.upper() != b"NIL":
        return octets
    return string(octets)


def mailbox(name: str, *, utf8: bool = False) -> bytes:
    """
    Write the name of a mailbox in modified UTF-7 (RFC 3501 section 5.1.3).

    Args:
        utf8: in UTF-8 instead, for clients that have said that they read that (RFC 6855 section 3).
    """
    if not utf8:
        return astring(encode_utf7(name))
    return astring(name.encode("ascii")) if name.isascii() else quoted(name.encode("utf-8"))


def flag_list(flags: Iterable[str]) -> bytes:
    """Write flags in parentheses, in order."""
    return b"(" + " ".join(sorted(flags)).encode("ascii") + b")"


def _status_text(status: bytes, text: str, code: bytes) -> bytes:
    return b"%b [%b] %b\r\n" % (status, code, clean_text(text)) if code else b"%b %b\r\n" % (status, clean_text(text))


def tagged(tag: bytes, status: bytes, text: str, code: bytes = b"") -> bytes:
    """Write the line that ends a command."""
    return tag + b" " + _status_text(status, text, code)


def untagged(status: bytes, text: str, code: bytes = b"") -> bytes:
    """Write an untagged OK, NO, BAD or PREAUTH."""
    return b"* " + _status_text(status, text, code)


def bye(text: str, code: bytes = b"") -> bytes:
    """Write the line before a connection is closed."""
    return b"* " + _status_text(b"BYE", text, code)


def continuation(text: str = "go on") -> bytes:
    """Invite a literal, or DONE."""
    return b"+ " + clean_text(text) + b"\r\n"


def challenge(base64: bytes) -> bytes:
    """Write a challenge of AUTHENTICATE, which is base64 without line ends; it may be empty."""
    return b"+ " + base64 + b"\r\n"


def capability_code(capabilities: Iterable[bytes]) -> bytes:
    """Write the response code that names the capabilities."""
    return b"CAPABILITY " + b" ".join(capabilities)


def capability_line(capabilities: Iterable[bytes]) -> bytes:
    """Write the answer to CAPABILITY."""
    return b"* CAPABILITY " + b" ".join(capabilities) + b"\r\n"


def enabled_line(capabilities: Iterable[bytes]) -> bytes:
    """Write the answer to ENABLE (RFC 5161 section 3.2)."""
    return b" ".join((b"* ENABLED", *capabilities)) + b"\r\n"


def exists_line(count: int) -> bytes:
    """Say how many messages there are."""
    return b"* %d EXISTS\r\n" % count


def recent_line(count: int) -> bytes:
    r"""Say how many messages are ``\Recent``."""
    return b"* %d RECENT\r\n" % count


def expunge_line(number: int) -> bytes:
    """Say that a message is gone."""
    return b"* %d EXPUNGE\r\n" % number


def flags_line(flags: Iterable[str]) -> bytes:
    """Say which flags there can be."""
    return b"* FLAGS " + flag_list(flags) + b"\r\n"


def permanent_flags_code(flags: Iterable[str]) -> bytes:
    r"""Say which flags can be changed for good; ``\*`` is one of them where keywords can be made."""
    return b"PERMANENTFLAGS " + flag_list(flags)


FETCH = b"FETCH"
UIDFETCH = b"UIDFETCH"  # RFC 9586 section 3.3


def fetch_flags_line(
    number: int, flags: Iterable[str], uid: int | None = None, modseq: int | None = None, *, kind: bytes = FETCH
) -> bytes:
    """
    Say that a message has these flags.

    Args:
        number: the sequence number; in UIDFETCH the UID.
        uid: in answer to a UID command.
        modseq: for who knows what it is.
        kind: FETCH or UIDFETCH.
    """
    shown = b"FLAGS " + flag_list(flags)
    if uid is not None:
        shown = b"UID %d %b" % (uid, shown)
    if modseq is not None:
        shown = b"%b MODSEQ (%d)" % (shown, modseq)
    return b"* %d %b (%b)\r\n" % (number, kind, shown)


def fetch_modseq_line(number: int, uid: int, modseq: int, *, kind: bytes = FETCH) -> bytes:
    """Say which MODSEQ a message has now (RFC 7162 section 3.1.3); see `fetch_flags_line`."""
    return b"* %d %b (UID %d MODSEQ (%d))\r\n" % (number, kind, uid, modseq)


def highest_modseq_code(modseq: int) -> bytes:
    """Say up to which MODSEQ the client knows everything (RFC 7162 section 3.1.2.1)."""
    return b"HIGHESTMODSEQ %d" % modseq


def highest_modseq_line(modseq: int) -> bytes:
    """Write it in a line of its own."""
    return untagged(OK, "highest MODSEQ", highest_modseq_code(modseq))


def vanished_line(ranges: Iterable[tuple[int, int]], *, earlier: bool = False) -> bytes:
    """
    Say which UIDs are gone (RFC 7162 section 3.2.10).

    Args:
        ranges: at least one.
        earlier: before the client was told how many messages there are, so that it must not count them.
    """
    return b"* VANISHED %b%b\r\n" % (b"(EARLIER) " if earlier else b"", encode_ranges(ranges))


def modified_code(numbers: Iterable[int]) -> bytes:
    """Say which messages, by number or UID, a conditional STORE left alone (RFC 7162 section 3.1.3)."""
    return b"MODIFIED " + encode_set(numbers)


def search_line(numbers: Sequence[int], modseq: int = 0) -> bytes:
    """
    Write the answer to SEARCH.

    Args:
        modseq: the highest of the messages found, when the search asked for MODSEQs (RFC 7162 section 3.1.6).
    """
    return _numbers_line(b"* SEARCH", numbers, modseq)


def _numbers_line(beginning: bytes, numbers: Sequence[int], modseq: int) -> bytes:
    shown = " ".join(map(str, numbers)).encode("ascii")
    highest = b"(MODSEQ %d)" % modseq if modseq and numbers else b""
    return b" ".join(filter(None, (beginning, shown, highest))) + b"\r\n"


def sort_line(numbers: Sequence[int], modseq: int = 0) -> bytes:
    """Write the answer to SORT (RFC 5256 section 4); with MODSEQ as `search_line` (RFC 7162 section 3.1.9)."""
    return _numbers_line(b"* SORT", numbers, modseq)


def esearch_line(
    tag: bytes,
    returns: Collection[SearchReturn],
    numbers: Sequence[int],
    *,
    uid: bool,
    modseq: int = 0,
    page: Page | None = None,
) -> bytes:
    """
    Write the answer to an extended SEARCH or SORT: of no messages, only how many there are.

    RFC 4731 section 3.1, RFC 5267 section 3, RFC 9394 section 3.1.

    Args:
        tag: of the command that this answers (RFC 4466 section 2.6.2).
        numbers: what was found, in order: MIN is the first, MAX the last.
        uid: the numbers are UIDs.
        modseq: the highest of the messages that are told, when the search asked for MODSEQs (RFC 7162 section 3.1.10).
    """
    words = [b'* ESEARCH (TAG "%b")' % tag]
    if uid:
        words.append(b"UID")
    if numbers:
        if SearchReturn.MIN in returns:
            words.append(b"MIN %d" % numbers[0])
        if SearchReturn.MAX in returns:
            words.append(b"MAX %d" % numbers[-1])
        if SearchReturn.ALL in returns:
            words.append(b"ALL " + encode_set(numbers))
    if page is not None:
        shown = page.of(numbers)
        words.append(b"PARTIAL (%b %b)" % (page.text, encode_set(shown) if shown else b"NIL"))
    if SearchReturn.COUNT in returns:
        words.append(b"COUNT %d" % len(numbers))
    if modseq and numbers:
        words.append(b"MODSEQ %d" % modseq)
    return b" ".join(words) + b"\r\n"


def list_line(
    attributes: Iterable[str],
    name: bytes,
    *,
    command: bytes = b"LIST",
    child_info: Iterable[str] = (),
    old_name: bytes = b"",
) -> bytes:
    r"""
    Write a line of LIST or LSUB.

    Args:
        attributes: such as ``\Noselect`` or ``\Sent``, in the order to be shown.
        name: as `mailbox` writes it.
        child_info: selection options that mailboxes below fulfil (RFC 5258 section 4).
        old_name: as `mailbox` writes it: what the client called this one (RFC 9051 section 6.3.9.7).
    """
    shown = " ".join(attributes).encode("ascii")
    line = b'* %b (%b) "%b" %b' % (command, shown, SEPARATOR.encode("ascii"), name)
    options = b" ".join(quoted(option.encode("ascii")) for option in child_info)
    items = [b'"CHILDINFO" (%b)' % options] if options else []
    items += [b'"OLDNAME" (%b)' % old_name] if old_name else []
    return line + (b" (%b)\r\n" % b" ".join(items) if items else b"\r\n")


def mailbox_id(uidvalidity: int, number: int) -> bytes:
    """
    Write the permanent id of a mailbox, in parentheses (RFC 8474 section 4).

    Args:
        number: the store's; with the UIDVALIDITY it is never given again, even when an index was lost.
    """
    return b"(F%x-%x)" % (uidvalidity, number)


def mailbox_id_code(uidvalidity: int, number: int) -> bytes:
    """Say which permanent id a mailbox has (RFC 8474 sections 4.1 and 4.2)."""
    return b"MAILBOXID " + mailbox_id(uidvalidity, number)


def status_line(name: bytes, values: Mapping[StatusItem, bytes]) -> bytes:
    """Write the answer to STATUS, with the values in their order; the name as `mailbox` writes it."""
    shown = b" ".join(b"%b %b" % (item.value, value) for item, value in values.items())
    return b"* STATUS %b (%b)\r\n" % (name, shown)


def id_line(parameters: Mapping[str, str | None]) -> bytes:
    """Write the answer to ID (RFC 2971 section 3.2)."""
    if not parameters:
        return b"* ID NIL\r\n"
    words = [nstring(None if word is None else clean_text(word)) for pair in parameters.items() for word in pair]
    return b"* ID (" + b" ".join(words) + b")\r\n"


def namespace_line(others: str = "") -> bytes:
    """
    Write the answer to NAMESPACE: one's own mailboxes, those of others, and none that are nobody's.

    RFC 2342 section 5.

    Args:
        others: the name above the mailboxes of others; empty where there are none.
    """
    separator = SEPARATOR.encode("ascii")
    theirs = b'((%b "%b"))' % (quoted(encode_utf7(others) + separator), separator) if others else b"NIL"
    return b'* NAMESPACE (("" "%b")) %b NIL\r\n' % (separator, theirs)


def quota_root_line(name: bytes, *roots: bytes) -> bytes:
    """Say which quota roots a mailbox, as `mailbox` writes it, belongs to (RFC 9208 section 4.2.2)."""
    return b"* QUOTAROOT " + b" ".join([name, *map(astring, roots)]) + b"\r\n"


def acl_line(name: bytes, entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Write who has which rights on a mailbox, as `mailbox` writes it (RFC 4314 section 3.6)."""
    words = [word for identifier, rights in entries for word in (astring(identifier), astring(rights))]
    return b"* ACL " + b" ".join([name, *words]) + b"\r\n"


def list_rights_line(name: bytes, identifier: bytes, groups: Iterable[bytes]) -> bytes:
    """
    Write what can be granted on a mailbox, as `mailbox` writes it (RFC 4314 section 3.7).

    Args:
        groups: rights that are always there, then each that can be granted by itself.
    """
    rights = b" ".join([string(group) if not group else astring(group) for group in groups])
    return b"* LISTRIGHTS %b %b %b\r\n" % (name, astring(identifier), rights)


def my_rights_line(name: bytes, rights: bytes) -> bytes:
    """Write what may be done with a mailbox, as `mailbox` writes it (RFC 4314 section 3.8)."""
    return b"* MYRIGHTS %b %b\r\n" % (name, astring(rights))


def quota_line(root: bytes, resources: Iterable[tuple[bytes, int, int]]) -> bytes:
    """
    Say how much of a quota root is used (RFC 9208 section 4.2.1).

    Args:
        resources: name, use and limit of each.
    """
    shown = b" ".join(b"%b %d %d" % resource for resource in resources)
    return b"* QUOTA %b (%b)\r\n" % (astring(root), shown)


def metadata_line(name: bytes, values: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Write annotations of a mailbox, named as `mailbox` does it, or of ``""`` (RFC 5464 section 4.4.1)."""
    pairs = (b"%b %b" % (astring(entry.encode("ascii")), _annotation(value)) for entry, value in values)
    return b"* METADATA %b (%b)\r\n" % (name, b" ".join(pairs))


def _annotation(value: bytes | None) -> bytes:
    if value is not None and b"\0" in value:
        return b"~" + literal(value)  # literal8
    return nstring(value)


def metadata_names_line(name: bytes, entries: Iterable[str]) -> bytes:
    """Say which annotations of a mailbox were changed (RFC 5464 section 4.4.2)."""
    return b"* METADATA %b %b\r\n" % (name, b" ".join(astring(entry.encode("ascii")) for entry in entries))


def long_entries_code(size_octets: int) -> bytes:
    """Say how long the longest value is that was not shown (RFC 5464 section 4.2.1)."""
    return b"METADATA LONGENTRIES %d" % size_octets


def metadata_max_size_code(limit_octets: int) -> bytes:
    """Say how long a value may be (RFC 5464 section 4.3)."""
    return b"METADATA MAXSIZE %d" % limit_octets


def append_uid_code(uidvalidity: int, uids: Iterable[int]) -> bytes:
    """Say which UIDs appended messages have (RFC 4315 section 3)."""
    return b"APPENDUID %d %b" % (uidvalidity, encode_set(uids))


def in_progress_code(tag: bytes, counts: tuple[int, int] | None) -> bytes:
    """
    Say that a command is still at work (RFC 9585 section 5).

    Args:
        counts: what is done, and the goal, which is more; None when it is not known.
    """
    shown = b"NIL NIL" if counts is None else b"%d %d" % counts
    return b"INPROGRESS (%b %b)" % (quoted(tag), shown)


def bad_url_code(url: bytes) -> bytes:
    """Say which URL leads to nothing (RFC 4469 section 5, "url-resp-text")."""
    shown = _NOT_TEXT.sub(b"?", url[:BAD_URL_MAX_OCTETS]).replace(b"]", b"%5D")
    return b"BADURL " + (shown or b"?")


def copy_uid_code(uidvalidity: int, source_uids: Iterable[int], uids: Iterable[int]) -> bytes:
    """Say which UIDs copies have, in the order of the originals (RFC 4315 section 3)."""
    return b"COPYUID %d %b %b" % (uidvalidity, encode_set(source_uids), encode_set(uids))


@functools.lru_cache(maxsize=4096)
def _day(days: int) -> bytes:
    ordinal = _EPOCH_ORDINAL + days
    date = dt.date.fromordinal(min(max(ordinal, 1), dt.date.max.toordinal()))
    return b"%2d-%b-%04d" % (date.day, _MONTHS[date.month - 1], date.year)


def internal_date(seconds: int) -> bytes:
    """
    Write INTERNALDATE, in UTC, with its quotes (RFC 3501 section 9, "date-time").

    Args:
        seconds: since the epoch.
    """
    days, rest = divmod(seconds, _DAY_SECONDS)
    minutes, second = divmod(rest, 60)
    return b'"%b %b:%b +0000"' % (_day(days), _MINUTES[minutes], _TWO_DIGITS[second])
