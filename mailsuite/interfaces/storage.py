"""
Accounts, mailboxes and messages as every protocol sees them.

All methods that return an awaitable run off the reactor thread. All raise `MailError` UNAVAILABLE when the disk or
the database fails; only further kinds are named below.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs
from zope.interface import Attribute, Interface

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces.special_use import SpecialUse


class Column(enum.Enum):
    r"""
    What `IMailbox.fetch` can give for a message without opening its file.

    UID int; FLAGS frozenset of str (interned: equal sets are the same object); MODSEQ int; INTERNAL_DATE int, seconds
    since the epoch; SIZE int, octets; ENVELOPE, BODY, BODYSTRUCTURE bytes, ready to be sent to an IMAP client;
    HEADER bytes, the header fields of `CACHED_FIELDS` as they stand in the message, in order, the last one with a line
    end; EMAIL_ID bytes, a permanent id of the content's arrival; THREAD_ID bytes, of the
    conversation, as `mailsuite.message.references.thread_id` makes it; SAVED int, seconds.
    """

    UID = "uid"
    FLAGS = "flags"
    MODSEQ = "modseq"
    INTERNAL_DATE = "internal_date"
    SIZE = "size"
    ENVELOPE = "envelope"
    BODY = "body"
    BODYSTRUCTURE = "bodystructure"
    HEADER = "header"
    EMAIL_ID = "email_id"
    THREAD_ID = "thread_id"
    SAVED = "saved"


CACHED_FIELDS = frozenset(
    (
        b"bcc cc content-disposition content-transfer-encoding content-type date delivered-to "
        b"disposition-notification-to from importance in-reply-to list-id list-post list-unsubscribe "
        b"message-id mime-version priority received-spf references reply-to return-path sender subject to "
        b"x-mailer x-priority x-spam-flag x-spam-status"
    ).split()
)
"""Header fields, in lower case, whose octets the index keeps; a message's other fields are read from its file."""


class StoreMode(enum.Enum):
    """How STORE combines flags with those that are there (RFC 3501 section 6.4.6)."""

    REPLACE = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


@attrs.frozen(kw_only=True)
class MailboxEntry:
    r"""
    One name in the list of mailboxes.

    Args:
        name: NFC text with ``/`` between levels; ``INBOX`` in upper case.
        mailbox_id: stays the same when renamed; 0 when the name only exists as a parent or a subscription.
        selectable: False is ``\Noselect`` or ``\NonExistent``.
    """

    name: str
    mailbox_id: int
    selectable: bool = True
    subscribed: bool = False
    special_use: frozenset[SpecialUse] = frozenset()


@attrs.frozen(kw_only=True)
class MailboxStatus:
    """
    What STATUS tells (RFC 3501 section 6.3.10, RFC 7162 section 3.1.7, RFC 8438 section 3.1).

    Args:
        highest_modseq: 0 where none is kept.
        deleted_octets: of the messages that `deleted` counts (RFC 9208 section 4.1.4).
        mailbox_id: as `IMailbox` has it.
    """

    messages: int
    recent: int
    unseen: int
    deleted: int
    uidnext: int
    uidvalidity: int
    highest_modseq: int
    size_octets: int
    deleted_octets: int = 0
    mailbox_id: int = 0


@attrs.frozen(kw_only=True)
class Snapshot:
    r"""
    A mailbox at one moment.

    Args:
        uids: of all messages, ascending.
        flags: of each message in the order of `uids`.
        keywords: all keywords ever used in the mailbox.
        recent: UIDs that carry ``\Recent`` in this session.
    """

    uidvalidity: int
    uidnext: int
    highest_modseq: int
    uids: Sequence[int]
    flags: Sequence[frozenset[str]]
    keywords: frozenset[str]
    recent: frozenset[int]


@attrs.frozen(kw_only=True)
class Changes:
    r"""
    What happened in a mailbox after a MODSEQ.

    Args:
        modseq: ask from here next time.
        expunged: UIDs that are gone, ascending.
        flags: UID, flags and MODSEQ of messages whose flags changed, in order of UID; also the new ones.
        added: UIDs that are new, ascending.
        recent: those of `added` that carry ``\Recent`` in this session.
    """

    modseq: int
    expunged: Sequence[int]
    flags: Sequence[tuple[int, frozenset[str], int]]
    added: Sequence[int]
    recent: frozenset[int]
    keywords: frozenset[str] = frozenset()


@attrs.frozen(kw_only=True)
class History:
    """
    What happened in a mailbox after a MODSEQ that a client kept from a former session (RFC 7162 section 3.2.6).

    Args:
        modseq: HIGHESTMODSEQ at this moment.
        flags: UID, flags and MODSEQ of messages that came or whose flags changed, in order of UID.
        expunged: UIDs that are known to be gone since, ascending.
        complete: `expunged` is all of it; otherwise any UID that is not there may have gone since.
    """

    modseq: int
    flags: Sequence[tuple[int, frozenset[str], int]]
    expunged: Sequence[int]
    complete: bool


@attrs.frozen(kw_only=True)
class AppendMessage:
    """
    A message to be stored as it is.

    Args:
        content: the octets, or a path to a file below the store's own temporary folder that becomes the store's.
        internal_date: seconds since the epoch; None means now.
        email_id: of what this is a copy of; empty for a message that comes for the first time.
    """

    content: "bytes | Body"
    flags: frozenset[str] = frozenset()
    internal_date: int | None = None
    email_id: bytes = b""


@attrs.frozen
class Body:
    """
    Octets in a file.

    Args:
        path: absolute.
        size_octets: length of the file; a reader checks it.
    """

    path: str
    size_octets: int


@attrs.frozen(kw_only=True)
class Created:
    """
    What a new mailbox is known by (RFC 8474 section 4.1).

    Args:
        changes: numbers of changes of annotations that came with it, as `IAnnotatedAccount.annotate` returns them.
    """

    mailbox_id: int
    uidvalidity: int
    changes: Sequence[int] = ()


@attrs.frozen(kw_only=True)
class Appended:
    """Where new messages went (RFC 4315 section 3)."""

    uidvalidity: int
    uids: Sequence[int]
    source_uids: Sequence[int] = ()


@attrs.frozen(kw_only=True)
class PartOffsets:
    """
    Where a MIME part lies in its message, in octets from the message's beginning.

    Args:
        header: where the part's header begins.
        body: where its body begins (after the empty line).
        end: where its body ends; the CRLF before a boundary belongs to the boundary.
        children: parts of a multipart; for message/rfc822 and message/global one child, the message within.
        content_type: lower case, for example ``multipart/mixed``.
        encoding: Content-Transfer-Encoding in lower case; ``7bit`` when absent.
    """

    header: int
    body: int
    end: int
    content_type: str
    encoding: str = "7bit"
    charset: str = ""
    children: Sequence["PartOffsets"] = ()


class IMailbox(Interface):
    """One selected mailbox. UIDs that do not exist are passed over silently everywhere."""

    mailbox_id = Attribute("int: stays the same when the mailbox is renamed")
    name = Attribute("str: as opened")
    read_only = Attribute("bool: opened by EXAMINE; changing methods raise DENIED")

    def snapshot() -> Awaitable[Snapshot]:
        r"""Look at everything once; in a read-write mailbox it takes ``\Recent`` from later sessions."""

    def changes(since_modseq: int) -> Awaitable[Changes]:
        """Say what happened since; it looks for other programs' changes in the folder first."""

    def history(since_modseq: int) -> Awaitable[History]:
        r"""
        Say what happened since any MODSEQ; unlike `changes` it looks at the index alone, and takes no ``\Recent``.

        Raises:
            MailError: INVALID when the account does not remember.
        """

    def fetch(
        uids: Sequence[int], columns: Sequence[Column], header_octets: int | None = None
    ) -> Awaitable[Sequence[tuple[object, ...]]]:
        """
        Give columns of messages, in order of UID; each row begins with the UID whether asked for or not.

        Call it for some hundreds of messages at a time.

        Args:
            header_octets: give only first rows, at least one, whose HEADER fits into this; all of them when it is None.
        """

    def read(uid: int, offset: int, length: int) -> Awaitable[bytes]:
        """
        Read octets of a message; shorter at its end.

        Raises:
            MailError: EXPUNGED.
        """

    def read_many(uids: Sequence[int], limit_octets: int) -> Awaitable[Sequence[tuple[int, bytes]]]:
        """Read whole messages in order, as many as fit into the limit, but at least one; expunged ones are left out."""

    def parts(uid: int) -> Awaitable[PartOffsets]:
        """
        Find the MIME parts of a message.

        Raises:
            MailError: EXPUNGED.
        """

    def previews(uids: Sequence[int], *, make: bool) -> Awaitable[Mapping[int, bytes]]:
        """
        Give what messages begin with, as people read it, in UTF-8: see `mailsuite.message.preview`.

        Args:
            make: also of messages that nobody has asked for yet, which are read for it; otherwise they are left out.
        """

    def store_flags(
        uids: Sequence[int], mode: StoreMode, flags: frozenset[str], unchanged_since: int | None
    ) -> Awaitable[tuple[Sequence[tuple[int, frozenset[str], int]], Sequence[int]]]:
        """
        Change flags durably, in one transaction.

        Returns:
            UID, flags and MODSEQ of each message that exists, and the UIDs that had changed since
            `unchanged_since` and were left alone (RFC 7162 section 3.1.3).
        """

    def expunge(uids: Sequence[int] | None) -> Awaitable[Sequence[int]]:
        r"""
        Remove messages that carry ``\Deleted``, durably, in one transaction; return their UIDs.

        Args:
            uids: only these (RFC 4315 section 2.1); None means all.
        """

    def copy_to(uids: Sequence[int], name: str) -> Awaitable[Appended]:
        """
        Copy to another mailbox of the account, all or nothing, with flags and internal date.

        Raises:
            MailError: NOT_FOUND when there is no such mailbox; OVER_QUOTA.
        """

    def move_to(uids: Sequence[int], name: str) -> Awaitable[Appended]:
        """
        Move to another mailbox of the account in one transaction.

        Raises:
            MailError: NOT_FOUND when there is no such mailbox.
        """

    def replace(uid: int, name: str, message: AppendMessage) -> Awaitable[Appended]:
        """
        Store a message in a mailbox of the account and remove one of this mailbox, as if in one transaction.

        Whatever happens, one of the two is there afterwards. Only what the new one needs beyond the old one counts
        against the quota (RFC 8508 section 3.4).

        Raises:
            MailError: EXPUNGED when the old one is not there; NOT_FOUND when there is no such mailbox; OVER_QUOTA;
                TOO_LARGE.
        """

    def search_text(
        uids: Sequence[int], test: Callable[[Callable[[int, int], bytes], int], bool]
    ) -> Awaitable[Sequence[int]]:
        """
        Run a pure test over messages' octets on a store thread and return the UIDs that pass.

        Args:
            test: given a reader ``read(offset, length)`` and the size; it must not touch anything shared.
        """

    def close() -> None:
        """The session is done with it."""


class ICountsMailboxes(Interface):
    """An account that counts many mailboxes at once; an addition to `IMailAccount`."""

    def statuses(names: Sequence[str]) -> Awaitable[Sequence[MailboxStatus | None]]:
        """Count mailboxes without opening them, each as `IMailAccount.status` does; None where that fails."""


class IWatchableMailbox(Interface):
    """A mailbox that can tell at once what other programs do to it; an addition to `IMailbox`."""

    def watch() -> None:
        """
        Have the account's change bus told of other programs' changes within a second, until the mailbox is closed.

        It may be called again. Where folders cannot be watched nothing happens: whoever must hear of everything looks
        now and then.
        """

    is_quiet = Attribute("bool: it is watched, and certain that all that happened to it was told on the bus")


class TooManyKeywordsError(MailError):
    """The mailbox would have more keywords than it may have."""

    def __init__(self) -> None:
        super().__init__(Kind.OVER_QUOTA, "the mailbox has too many keywords")


class UnwritableError(MailError):
    """The disk is full or read-only: what is there can be read."""

    def __init__(self) -> None:
        super().__init__(Kind.UNAVAILABLE, "nothing can be changed now: the disk is full or read-only; try again later")


class IMailAccount(Interface):
    """
    The mailboxes of one account: what a portal hands out for IMAP and POP3.

    Mailbox names are NFC text with ``/`` between levels; ``INBOX`` in any case is INBOX.
    """

    account_id = Attribute("int")
    email = Attribute("str: the account's address")
    changes = Attribute("IChangeBus: tells of changes in this account")
    remembers = Attribute("bool: MODSEQs, ids and dates of saving outlive the session")
    keywords_max = Attribute("int: how many keywords a mailbox may have; who wants more gets TooManyKeywordsError")

    def list_mailboxes() -> Awaitable[Sequence[MailboxEntry]]:
        """List all names, also those that exist only as subscriptions, in order."""

    def open_mailbox(name: str, *, read_only: bool) -> Awaitable[IMailbox]:
        """
        Open a mailbox.

        Raises:
            MailError: NOT_FOUND.
        """

    def status(name: str) -> Awaitable[MailboxStatus]:
        """
        Count without opening.

        Raises:
            MailError: NOT_FOUND.
        """

    def create(name: str, special_use: frozenset[SpecialUse]) -> Awaitable[Created]:
        """
        Make a mailbox and the levels above it.

        Raises:
            MailError: EXISTS; INVALID for a name that cannot be stored; OVER_QUOTA for too many.
            SpecialUseError: it cannot be for that.
        """

    def delete(name: str) -> Awaitable[None]:
        """
        Remove a mailbox and its messages; one with mailboxes below stays as a name (RFC 3501 section 6.3.4).

        Raises:
            MailError: NOT_FOUND; DENIED for INBOX; CONFLICT for a mere name with mailboxes below.
        """

    def rename(old: str, new: str) -> Awaitable[None]:
        """
        Rename a mailbox and those below; of INBOX, move its messages (RFC 3501 section 6.3.5).

        Raises:
            MailError: NOT_FOUND; EXISTS; INVALID.
        """

    def subscribe(name: str, subscribed: bool) -> Awaitable[None]:  # noqa: FBT001 - SUBSCRIBE and UNSUBSCRIBE
        """Note or forget a subscription; the mailbox need not exist (RFC 3501 section 6.3.6)."""

    def append(name: str, messages: Sequence[AppendMessage]) -> Awaitable[Appended]:
        """
        Store messages durably, all or none (RFC 3502).

        Raises:
            MailError: NOT_FOUND when there is no such mailbox; OVER_QUOTA; TOO_LARGE.
        """

    def begin_body(size_octets: int, replaced_octets: int | None = None) -> "Awaitable[IBodyFile]":
        """
        Open a file in the store for a large APPEND, to be filled while it is received.

        Args:
            replaced_octets: of the message that goes when this one is stored; None when none does.

        Raises:
            MailError: OVER_QUOTA; TOO_LARGE.
        """

    def quota() -> Awaitable[Mapping[str, tuple[int, int]]]:
        """Tell use and limit in octets (``STORAGE``) and messages (``MESSAGES``); a limit of 0 is none."""

    def logout() -> None:
        """The session is over."""


class IBodyFile(Interface):
    """A message on its way into the store."""

    def write(chunk: bytes) -> Awaitable[None]:
        """Add octets."""

    def finish() -> Awaitable[Body]:
        """All is written and on disk; append it, or it is removed at the next start."""

    def abort() -> None:
        """Remove it."""
