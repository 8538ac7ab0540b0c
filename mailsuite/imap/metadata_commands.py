"""The values of the commands that read and write annotations (RFC 5464 section 4)."""

from collections.abc import Mapping
from typing import ClassVar

import attrs

from mailsuite.imap.commands import Command, MetadataRequest


@attrs.frozen
class GetMetadata(Command):
    """RFC 5464 section 4.2; an empty name of a mailbox is the server."""

    name: ClassVar[str] = "GETMETADATA"

    mailbox: str
    wanted: MetadataRequest


@attrs.frozen
class SetMetadata(Command):
    """
    RFC 5464 section 4.3; an empty name of a mailbox is the server.

    Args:
        values: by entry as the client wrote it; no two that differ only in case. None removes.
    """

    name: ClassVar[str] = "SETMETADATA"

    mailbox: str
    values: Mapping[str, bytes | None] = attrs.field(repr=False)
