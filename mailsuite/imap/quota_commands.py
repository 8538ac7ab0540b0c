"""The values of the commands that tell and set quotas (RFC 9208 section 4.1)."""

from typing import ClassVar

import attrs

from mailsuite.imap.commands import Command


@attrs.frozen
class GetQuota(Command):
    """RFC 9208 section 4.1.1."""

    name: ClassVar[str] = "GETQUOTA"

    root: bytes


@attrs.frozen
class GetQuotaRoot(Command):
    """RFC 9208 section 4.1.2."""

    name: ClassVar[str] = "GETQUOTAROOT"

    mailbox: str


@attrs.frozen
class SetQuota(Command):
    """
    RFC 9208 section 4.1.3.

    Args:
        limits: resources, in upper case and each once, with their limits.
    """

    name: ClassVar[str] = "SETQUOTA"

    root: bytes
    limits: tuple[tuple[bytes, int], ...]
