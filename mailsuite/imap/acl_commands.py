"""The values of the commands that tell and change rights (RFC 4314 section 3)."""

from typing import ClassVar

import attrs

from mailsuite.imap.commands import Command
from mailsuite.interfaces.rights import Rights, RightsMode


@attrs.frozen
class SetACL(Command):
    """RFC 4314 section 3.1."""

    name: ClassVar[str] = "SETACL"

    mailbox: str
    identifier: str
    mode: RightsMode
    rights: Rights


@attrs.frozen
class DeleteACL(Command):
    """RFC 4314 section 3.2."""

    name: ClassVar[str] = "DELETEACL"

    mailbox: str
    identifier: str


@attrs.frozen
class GetACL(Command):
    """RFC 4314 section 3.3."""

    name: ClassVar[str] = "GETACL"

    mailbox: str


@attrs.frozen
class ListRights(Command):
    """
    RFC 4314 section 3.4.

    Args:
        written: the identifier as the client wrote it, which is repeated in the answer.
    """

    name: ClassVar[str] = "LISTRIGHTS"

    mailbox: str
    identifier: str
    written: bytes


@attrs.frozen
class MyRights(Command):
    """RFC 4314 section 3.5."""

    name: ClassVar[str] = "MYRIGHTS"

    mailbox: str
