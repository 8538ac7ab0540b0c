"""What a domain says about TLS to its hosts: MTA-STS records and policies, octets and values. RFC 8461 section 3."""

import enum
import re
from collections.abc import Sequence

import attrs

from mailsuite.address import normalize_domain
from mailsuite.errors import MailError, ProtocolError

MAX_AGE_MAX_SECONDS = 31_557_600  # RFC 8461 section 3.2: about a year
MX_MAX = 100
WILDCARD = "*."

_VERSION = b"v=STSv1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_RECORD_VALUE = re.compile(r"[\x21-\x3a\x3c\x3e-\x7e]+")  # neither ";" nor "="
_POLICY_VALUE = re.compile(r"[^\x00-\x1f\x7f]+")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_BLANKS = " \t"
_MAX_AGE = re.compile(r"[0-9]{1,10}", re.ASCII)


class Mode(enum.Enum):
    """What a policy asks for (RFC 8461 section 5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


@attrs.frozen(kw_only=True)
class STSPolicy:
    """
    A policy.

    Args:
        mx: names of hosts in the form of `mailsuite.address.normalize_domain`, perhaps with ``*.`` before them.
        text: its lines, for reports.
    """

    mode: Mode
    max_age_seconds: int
    mx: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def allows(self, host: str) -> bool:
        """Say whether a host is one of the domain's (RFC 8461 section 4.1); ``*`` stands for one label."""
        parent = host.partition(".")[2]
        return host in self.mx or f"{WILDCARD}{parent}" in self.mx


def parse_record(records: Sequence[bytes]) -> str | None:
    """
    Find the id of the policy in the TXT records of ``_mta-sts`` (RFC 8461 section 3.1).

    None when the domain has no policy, which is also what several or malformed records mean.
    """
    ours = [record for record in records if record.partition(b";")[0].rstrip(b" \t") == _VERSION]
    if len(ours) != 1:
        return None
    _, *parts = ours[0].decode("utf-8", "replace").split(";")
    if len(parts) > 1 and not parts[-1].strip(_BLANKS):
        parts.pop()  # a semicolon at the end
    fields: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.strip(_BLANKS).partition("=")
        if not equals or not _NAME.fullmatch(name) or not _RECORD_VALUE.fullmatch(value):
            return None
        fields.setdefault(name, value)  # the first one counts
    found = fields.get("id", "")
    return found if _ID.fullmatch(found) else None


def parse_policy(octets: bytes) -> STSPolicy:
    """
    Read a policy (RFC 8461 section 3.2). Unknown fields are passed over; of a field but ``mx`` the first one counts.

    Raises:
        ProtocolError: it is malformed.
    """
    lines = _lines(octets)
    fields: dict[str, str] = {}
    mx: list[str] = []
    for name, value in map(_field, lines):
        if name == "mx":
            mx.append(_parse_mx(value))
        else:
            fields.setdefault(name, value)
    if fields.get("version") != "STSv1":
        raise ProtocolError("the version is not STSv1")
    try:
        mode = Mode(fields.get("mode"))
    except ValueError as error:
        raise ProtocolError("there is no such mode") from error
    max_age = fields.get("max_age", "")
    if not _MAX_AGE.fullmatch(max_age) or int(max_age) > MAX_AGE_MAX_SECONDS:
        raise ProtocolError("max_age is no number of seconds up to a year")
    if mode is not Mode.NONE and not mx:
        raise ProtocolError("no host is allowed")
    if len(mx) > MX_MAX:
        raise ProtocolError("too many hosts")
    return STSPolicy(mode=mode, max_age_seconds=int(max_age), mx=tuple(mx), text=tuple(lines))


def _lines(octets: bytes) -> list[str]:
    try:
        lines = octets.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ProtocolError("not UTF-8") from error
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _field(line: str) -> tuple[str, str]:
    name, colon, rest = line.partition(":")
    value = rest.strip(_BLANKS)
    if not colon or not _NAME.fullmatch(name) or not _POLICY_VALUE.fullmatch(value):
        raise ProtocolError("a line is no field")
    return name, value


def _parse_mx(value: str) -> str:
    name = value.removeprefix(WILDCARD)
    try:
        domain = normalize_domain(name)
    except MailError as error:
        raise ProtocolError("an mx is no host name") from error
    if not value.isascii() or domain.startswith("["):
        raise ProtocolError("an mx is no host name")
    return f"{WILDCARD}{domain}" if name != value else domain


def encode_policy(policy: STSPolicy) -> bytes:
    """Write a policy as `parse_policy` reads it."""
    fields = [("version", "STSv1"), ("mode", policy.mode.value), *(("mx", host) for host in policy.mx)]
    fields.append(("max_age", str(policy.max_age_seconds)))
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("ascii")
