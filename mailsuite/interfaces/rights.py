"""
Who may do what with a mailbox, and what stores and accounts offer to share mailboxes.

Rights belong to a mailbox and name accounts by their ids, which are never given twice: they follow an account to
another address, and nobody who gets an address later has what its former owner had.
"""

import enum
from collections.abc import Awaitable, Mapping, Sequence

import attrs
from zope.interface import Attribute, Interface

from mailsuite.interfaces.accounts import Account
from mailsuite.interfaces.annotations import IAnnotatedAccount
from mailsuite.interfaces.services import ISubscription
from mailsuite.interfaces.storage import Appended, IBodyFile, IMailAccount, IMailbox


class Right(enum.Enum):
    r"""
    What somebody may do with a mailbox (RFC 4314 section 2.1).

    LOOKUP see its name; READ see its messages; SEEN, WRITE and DELETE_MESSAGES change ``\Seen``, other flags and
    ``\Deleted``; INSERT put messages into it; POST send mail to it, which nothing here asks about; CREATE make
    mailboxes below it; DELETE_MAILBOX delete and rename it; EXPUNGE remove messages; ADMINISTER see and change rights.
    """

    LOOKUP = "l"
    READ = "r"
    SEEN = "s"
    WRITE = "w"
    INSERT = "i"
    POST = "p"
    CREATE = "k"
    DELETE_MAILBOX = "x"
    DELETE_MESSAGES = "t"
    EXPUNGE = "e"
    ADMINISTER = "a"


Rights = frozenset[Right]

NO_RIGHTS: Rights = frozenset()
ALL_RIGHTS: Rights = frozenset(Right)
FLAG_RIGHTS: Rights = frozenset((Right.SEEN, Right.WRITE, Right.DELETE_MESSAGES))
WRITING_RIGHTS: Rights = FLAG_RIGHTS | {Right.INSERT, Right.EXPUNGE}
"""Without any of them a mailbox is read-only (RFC 4314 section 5.2)."""

ANYONE = 0
"""In place of the id of an account: all accounts (RFC 4314 section 2)."""
RIGHTS_ENTRIES_MAX = 1000
"""So many identifiers may have rights on one mailbox."""

_RIGHT_OF_FLAG = {"\\seen": Right.SEEN, "\\deleted": Right.DELETE_MESSAGES}


class RightsMode(enum.Enum):
    """How SETACL combines rights with those that are there (RFC 4314 section 3.1)."""

    REPLACE = ""
    ADD = "+"
    REMOVE = "-"


def combine_rights(old: Rights, mode: RightsMode, rights: Rights) -> Rights:
    """Say which rights SETACL leaves."""
    if mode is RightsMode.ADD:
        return old | rights
    return old - rights if mode is RightsMode.REMOVE else rights


def right_of_flag(flag: str) -> Right:
    """Say which right changes a flag (RFC 4314 section 4)."""
    return _RIGHT_OF_FLAG.get(flag.lower(), Right.WRITE)


def allowed_flags(flags: frozenset[str], rights: Rights) -> frozenset[str]:
    """Give those of the flags that somebody with these rights may set or clear."""
    if rights >= FLAG_RIGHTS:
        return flags
    return frozenset(flag for flag in flags if right_of_flag(flag) in rights)


def told_uids(appended: Appended, rights: Rights) -> Appended:
    """
    Leave out the UIDs of new messages where somebody with these rights on their mailbox may not read it.

    They would tell how many messages come there (RFC 9051 sections 6.4.7 and 11.4).
    """
    if Right.READ in rights:
        return appended
    return Appended(uidvalidity=0, uids=(), source_uids=appended.source_uids)


def parse_rights(text: str) -> Rights:
    """
    Read letters, each once or more often, in any order.

    Raises:
        ValueError: one of them is no right.
    """
    return frozenset(map(Right, text))


def rights_text(rights: Rights) -> str:
    """Write rights as letters, in the order of the standard."""
    return "".join([right.value for right in Right if right in rights])


class IGuestAccount(IAnnotatedAccount):
    r"""
    The mailboxes of one account as another may use them: a store decides in the moment of each operation.

    A mailbox that the guest may not look up is NOT_FOUND where the right that is needed is missing, and DENIED
    otherwise. The owner, as its own guest, has all rights. ``\Recent`` is left to the owner. Where messages may be put
    but not read, `Appended` has no UIDs.

    Of annotations a guest sees the shared ones, with LOOKUP and one of READ, SEEN, WRITE, INSERT and POST, and sets
    them with LOOKUP and WRITE, but for ``/shared/admin`` (RFC 5464 section 3.3); `annotated` is DENIED.
    """

    def rights(name: str) -> Awaitable[Rights]:
        """
        Say what the guest may do with a mailbox (RFC 4314 section 3.5).

        Raises:
            MailError: NOT_FOUND.
        """

    def entries(name: str) -> Awaitable[Mapping[int, Rights]]:
        """
        Give who has rights on a mailbox, besides the owner (RFC 4314 section 3.3).

        Raises:
            MailError: NOT_FOUND; DENIED.
        """

    def change_rights(name: str, account_id: int, mode: RightsMode, rights: Rights) -> Awaitable[Rights]:
        """
        Change the rights of an account, or ANYONE, durably; return what it has now.

        The bus carries a change of the mailbox, and for an account other than ANYONE a notice with mailbox id 0: its
        list of names may be another one now.

        Raises:
            MailError: NOT_FOUND; DENIED; INVALID for the owner's own; OVER_QUOTA for too many entries.
        """

    def check_append(name: str, size_octets: int, replaced_octets: int | None = None) -> Awaitable[None]:
        """
        Say, before a message comes, whether it could be appended.

        Args:
            replaced_octets: of the message that goes when this one is stored; None when none does.

        Raises:
            MailError: NOT_FOUND; DENIED; OVER_QUOTA; TOO_LARGE.
        """


class IRemovingMailbox(IMailbox):
    """A mailbox from which messages can be moved to another account."""

    def remove(uids: Sequence[int]) -> Awaitable[Sequence[int]]:
        r"""
        Remove messages durably in one transaction, whether or not they carry ``\Deleted``; return their UIDs.

        Raises:
            MailError: DENIED.
        """


class IGuestMailbox(IRemovingMailbox):
    """A mailbox that was opened by a guest, who may use it as far as the rights go at each moment."""

    rights = Attribute("Rights: as they were when the mailbox was last asked for something")


class ISharingStore(Interface):
    """A store whose mailboxes can be shared."""

    def account(account: Account) -> IAnnotatedAccount:
        """Give an account its own mailboxes, for one session."""

    def guest(owner: Account, guest_id: int) -> IGuestAccount:
        """Give an account the mailboxes of another, or its own with their rights, for one session."""

    def sharers(guest_id: int) -> Awaitable[Sequence[int]]:
        """List the accounts that may have granted rights to this one, or to ANYONE: a hint, never too short."""


@attrs.frozen(kw_only=True)
class Grantable:
    """
    What may be granted to an identifier (RFC 4314 section 3.4).

    Args:
        always: what it has anyway.
        optional: what it can be granted, each by itself.
    """

    always: Rights
    optional: Rights


class IRightsAccount(IMailAccount):
    """
    An account whose list of mailboxes holds those of others as well, and that tells and changes rights.

    An identifier is the address of an account, or another name with which it logs in, or ``anyone``.
    """

    others = Attribute("str: the name above the mailboxes of others, without a separator at its end")

    def is_others(name: str) -> Awaitable[bool]:
        """Whether a name is that of another's mailbox, if there is one of that name at all."""

    def follow(mailbox_id: int) -> ISubscription | None:
        """
        Let this account's bus carry what happens in a mailbox of another, whether or not it is open.

        Returns:
            Ends it; None for a mailbox of one's own, which the bus tells of anyway.
        """

    def rights(name: str) -> Awaitable[Rights]:
        """
        Say what this account may do with a mailbox.

        Raises:
            MailError: NOT_FOUND.
        """

    def entries(name: str) -> Awaitable[Mapping[str, Rights]]:
        """
        Give who has rights on a mailbox, the owner first.

        Raises:
            MailError: NOT_FOUND; DENIED.
        """

    def grantable(name: str, identifier: str) -> Awaitable[Grantable]:
        """
        Say what may be granted to an identifier.

        Raises:
            MailError: NOT_FOUND; DENIED.
        """

    def change_rights(name: str, identifier: str, mode: RightsMode, rights: Rights) -> Awaitable[None]:
        """
        Change the rights of an identifier durably.

        Raises:
            MailError: NOT_FOUND; DENIED; INVALID for an identifier that is nobody's, or the owner's; OVER_QUOTA.
        """

    def check_append(name: str, size_octets: int, replaced_octets: int | None = None) -> Awaitable[None]:
        """
        Say, before a message comes, whether it could be appended.

        Args:
            replaced_octets: of the message that goes when this one is stored; None when none does.

        Raises:
            MailError: NOT_FOUND; DENIED; OVER_QUOTA; TOO_LARGE.
        """

    def begin_body_for(name: str, size_octets: int, replaced_octets: int | None = None) -> Awaitable[IBodyFile]:
        """
        Open a file for a large message to be appended there.

        Args:
            replaced_octets: as for `check_append`.

        Raises:
            MailError: as `check_append`.
        """
