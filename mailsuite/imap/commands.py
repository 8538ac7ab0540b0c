"""
One value per IMAP command: what a client asked for, with nothing left of how it was written.

RFC 3501 section 6; RFC 2177 (IDLE), RFC 2342 (NAMESPACE), RFC 2971 (ID), RFC 3691 (UNSELECT), RFC 4315 (UIDPLUS),
RFC 4978 (COMPRESS), RFC 5161 (ENABLE), RFC 5258 (LIST), RFC 6154 (SPECIAL-USE), RFC 6851 (MOVE), RFC 7162 (CONDSTORE,
QRESYNC), RFC 8437 (UNAUTHENTICATE), RFC 8438 (STATUS=SIZE), RFC 8508 (REPLACE), RFC 9394 (PARTIAL), RFC 9590
(LIST-METADATA). What finds messages is in `finding_commands`; extensions with commands of their own have modules of
their own: `acl_commands`, `metadata_commands`, `notify_commands`, `quota_commands`.
"""

import enum
from collections.abc import Mapping
from typing import ClassVar

import attrs

from mailsuite.imap.fetch_grammar import FetchItems
from mailsuite.imap.paging import Page
from mailsuite.imap.sequence import SequenceSet
from mailsuite.interfaces import SpecialUse, StoreMode
from mailsuite.interfaces.annotations import Depth


class StatusItem(enum.Enum):
    """
    What STATUS can be asked for.

    RFC 3501 section 6.3.10, RFC 7162 section 3.1.7, RFC 8438 section 3.1, RFC 8474 section 4.3 and RFC 9051
    section 6.3.11.
    """

    MESSAGES = b"MESSAGES"
    RECENT = b"RECENT"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    DELETED = b"DELETED"
    SIZE = b"SIZE"
    DELETED_STORAGE = b"DELETED-STORAGE"
    """RFC 9208 section 4.1.4: octets."""
    APPENDLIMIT = b"APPENDLIMIT"
    """RFC 7889 section 4: octets."""
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"
    MAILBOXID = b"MAILBOXID"


class ListSelection(enum.Enum):
    """Which mailboxes an extended LIST asks for (RFC 5258 section 3.1, RFC 6154 section 5.2)."""

    SUBSCRIBED = b"SUBSCRIBED"
    REMOTE = b"REMOTE"
    RECURSIVEMATCH = b"RECURSIVEMATCH"
    SPECIAL_USE = b"SPECIAL-USE"


class ListReturn(enum.Enum):
    """What an extended LIST asks to be told of each mailbox (RFC 5258 section 3.2, RFC 6154 section 5.2)."""

    SUBSCRIBED = b"SUBSCRIBED"
    CHILDREN = b"CHILDREN"
    SPECIAL_USE = b"SPECIAL-USE"
    MYRIGHTS = b"MYRIGHTS"
    """RFC 8440 section 3."""


@attrs.frozen
class Command:
    """What all commands have: the tag, which is repeated in the answer."""

    name: ClassVar[str] = ""

    tag: bytes


@attrs.frozen
class Capability(Command):
    """RFC 3501 section 6.1.1."""

    name: ClassVar[str] = "CAPABILITY"


@attrs.frozen
class Noop(Command):
    """RFC 3501 section 6.1.2."""

    name: ClassVar[str] = "NOOP"


@attrs.frozen
class Logout(Command):
    """RFC 3501 section 6.1.3."""

    name: ClassVar[str] = "LOGOUT"


@attrs.frozen
class Id(Command):
    """
    RFC 2971 section 3.1.

    Args:
        parameters: what the client tells of itself, in its order, field names in lower case; peer text.
    """

    name: ClassVar[str] = "ID"

    parameters: Mapping[bytes, bytes | None]


@attrs.frozen
class StartTLS(Command):
    """RFC 3501 section 6.2.1."""

    name: ClassVar[str] = "STARTTLS"


@attrs.frozen
class Authenticate(Command):
    """
    RFC 3501 section 6.2.2.

    Args:
        mechanism: in upper case.
        initial_response: decoded; None when the client sent none (RFC 4959 section 3).
    """

    name: ClassVar[str] = "AUTHENTICATE"

    mechanism: str
    initial_response: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Login(Command):
    """RFC 3501 section 6.2.3; the octets are UTF-8 with most clients, but nothing says so."""

    name: ClassVar[str] = "LOGIN"

    username: bytes
    password: bytes = attrs.field(repr=False)


@attrs.frozen
class Resync:
    """
    What a client that comes back knows of a mailbox (RFC 7162 section 3.2.5).

    Args:
        modseq: up to which it knows everything.
        known_uids: of what it wants to hear; None is all.
        known_pairs: some sequence numbers and, in the same order, their UIDs; as many of these as of those.
    """

    uidvalidity: int
    modseq: int
    known_uids: SequenceSet | None = None
    known_pairs: tuple[SequenceSet, SequenceSet] | None = None


@attrs.frozen
class Select(Command):
    """
    RFC 3501 section 6.3.1.

    Args:
        condstore: the client knows MODSEQs (RFC 7162 section 3.1.8).
        resync: what it knows from a former session.
        old_name: another form of the name, if the client wrote that (RFC 9051 section 6.3.2).
    """

    name: ClassVar[str] = "SELECT"

    mailbox: str
    condstore: bool = False
    resync: Resync | None = None
    old_name: str = ""


@attrs.frozen
class Examine(Command):
    """RFC 3501 section 6.3.2, with what SELECT can have."""

    name: ClassVar[str] = "EXAMINE"

    mailbox: str
    condstore: bool = False
    resync: Resync | None = None
    old_name: str = ""


@attrs.frozen
class Create(Command):
    """
    RFC 3501 section 6.3.3, RFC 6154 section 3; a hierarchy separator at the end of the name is gone.

    Args:
        old_name: another form of the name, if the client wrote that (RFC 9051 section 6.3.4).
    """

    name: ClassVar[str] = "CREATE"

    mailbox: str
    special_use: frozenset[SpecialUse] = frozenset()
    old_name: str = ""


@attrs.frozen
class Delete(Command):
    """
    RFC 3501 section 6.3.4.

    Args:
        old_name: another form of the name, if the client wrote that (RFC 9051 section 6.3.5).
    """

    name: ClassVar[str] = "DELETE"

    mailbox: str
    old_name: str = ""


@attrs.frozen
class Rename(Command):
    """
    RFC 3501 section 6.3.5.

    Args:
        old_name: the name as the client wrote it, if it wrote this or the new name in another form (RFC 9051 section
            6.3.6).
    """

    name: ClassVar[str] = "RENAME"

    mailbox: str
    new_name: str
    old_name: str = ""


@attrs.frozen
class Subscribe(Command):
    """RFC 3501 section 6.3.6."""

    name: ClassVar[str] = "SUBSCRIBE"

    mailbox: str


@attrs.frozen
class Unsubscribe(Command):
    """RFC 3501 section 6.3.7."""

    name: ClassVar[str] = "UNSUBSCRIBE"

    mailbox: str


@attrs.frozen
class MetadataRequest:
    """
    Which annotations a client asks for (RFC 5464 section 4.2).

    Args:
        entries: as the client wrote them.
        max_octets: longer values are not shown; None is no limit.
    """

    entries: tuple[str, ...]
    max_octets: int | None = None
    depth: Depth = Depth.ENTRY


@attrs.frozen
class List(Command):
    """
    RFC 3501 section 6.3.8, RFC 5258 section 3, RFC 5819 section 2, RFC 9590 section 3.

    Args:
        patterns: with ``*`` and ``%``, without the reference; one empty pattern asks for the separator.
        extended: written in the form of RFC 5258, so that its answers follow that form as well.
        status: STATUS items to be told of each mailbox.
        metadata: annotations to be told of each mailbox.
    """

    name: ClassVar[str] = "LIST"

    reference: str
    patterns: tuple[str, ...]
    extended: bool = False
    selection: frozenset[ListSelection] = frozenset()
    returns: frozenset[ListReturn] = frozenset()
    status: tuple[StatusItem, ...] = ()
    metadata: MetadataRequest | None = None


@attrs.frozen
class Lsub(Command):
    """RFC 3501 section 6.3.9."""

    name: ClassVar[str] = "LSUB"

    reference: str
    pattern: str


@attrs.frozen
class Status(Command):
    """RFC 3501 section 6.3.10; items in the client's order, each once."""

    name: ClassVar[str] = "STATUS"

    mailbox: str
    items: tuple[StatusItem, ...]


@attrs.frozen
class AppendPart:
    """
    What a client says of one message to append; the message itself follows as octets.

    Args:
        internal_date: seconds since the epoch; None means now.
    """

    flags: frozenset[str] = frozenset()
    internal_date: int | None = None


@attrs.frozen
class Append(Command):
    """RFC 3501 section 6.3.11, RFC 3502: without its messages, which `mailsuite.imap.append_grammar` reads."""

    name: ClassVar[str] = "APPEND"

    mailbox: str


@attrs.frozen
class Replace(Command):
    """
    RFC 8508 sections 3.2 and 3.3: without its message, like APPEND.

    Args:
        message: one, by its number or UID.
    """

    name: ClassVar[str] = "REPLACE"

    message: SequenceSet
    mailbox: str
    uid: bool = False


@attrs.frozen
class Enable(Command):
    """RFC 5161 section 3.1; capabilities in upper case."""

    name: ClassVar[str] = "ENABLE"

    capabilities: tuple[bytes, ...]


@attrs.frozen
class Unauthenticate(Command):
    """RFC 8437 section 3."""

    name: ClassVar[str] = "UNAUTHENTICATE"


@attrs.frozen
class Namespace(Command):
    """RFC 2342 section 5."""

    name: ClassVar[str] = "NAMESPACE"


@attrs.frozen
class Compress(Command):
    """RFC 4978 section 3; the mechanism in upper case."""

    name: ClassVar[str] = "COMPRESS"

    mechanism: bytes


@attrs.frozen
class Idle(Command):
    """RFC 2177 section 3."""

    name: ClassVar[str] = "IDLE"


@attrs.frozen
class Check(Command):
    """RFC 3501 section 6.4.1."""

    name: ClassVar[str] = "CHECK"


@attrs.frozen
class Close(Command):
    """RFC 3501 section 6.4.2."""

    name: ClassVar[str] = "CLOSE"


@attrs.frozen
class Unselect(Command):
    """RFC 3691 section 2."""

    name: ClassVar[str] = "UNSELECT"


@attrs.frozen
class Expunge(Command):
    """
    RFC 3501 section 6.4.3, RFC 4315 section 2.1.

    Args:
        uids: only these, for UID EXPUNGE; None for EXPUNGE.
    """

    name: ClassVar[str] = "EXPUNGE"

    uids: SequenceSet | None = None


@attrs.frozen
class Fetch(Command):
    """
    RFC 3501 section 6.4.5.

    Args:
        uid: the messages are UIDs, and UID is among the items.
        changed_since: only messages with a higher MODSEQ, which is among the items (RFC 7162 section 3.1.4.1).
        vanished: also tell which are gone since (RFC 7162 section 3.2.6).
        page: which of the messages (RFC 9394 section 3.3).
    """

    name: ClassVar[str] = "FETCH"

    messages: SequenceSet
    items: FetchItems
    uid: bool = False
    changed_since: int | None = None
    vanished: bool = False
    page: Page | None = None


@attrs.frozen
class Store(Command):
    """
    RFC 3501 section 6.4.6.

    Args:
        uid: the messages are UIDs.
        silent: the client does not want to be told the new flags.
        unchanged_since: only messages whose MODSEQ is not higher (RFC 7162 section 3.1.3).
    """

    name: ClassVar[str] = "STORE"

    messages: SequenceSet
    mode: StoreMode
    flags: frozenset[str]
    silent: bool = False
    uid: bool = False
    unchanged_since: int | None = None


@attrs.frozen
class Copy(Command):
    """RFC 3501 section 6.4.7."""

    name: ClassVar[str] = "COPY"

    messages: SequenceSet
    mailbox: str
    uid: bool = False


@attrs.frozen
class Move(Command):
    """RFC 6851 section 3.1."""

    name: ClassVar[str] = "MOVE"

    messages: SequenceSet
    mailbox: str
    uid: bool = False
