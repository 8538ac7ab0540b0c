"""What the configuration says about mailboxes."""

import enum
from collections.abc import Sequence

import attrs

MESSAGE_MAX_OCTETS = 50 * 2**20


class Backend(enum.Enum):
    """What holds the octets."""

    MAILDIR = "maildir"


class Layout(enum.Enum):
    """How accounts and mailboxes lie below the root."""

    DOMAIN = "domain"
    """``example.com/user/{cur,new,tmp}`` and ``example.com/user/.Sent/{cur,new,tmp}``."""
    USERID = "userid"
    """``user_7/INBOX/{cur,new,tmp}`` and ``user_7/Sent/{cur,new,tmp}``."""
    ADDRESS = "address"
    """``user@example.com/{cur,new,tmp}`` and ``user@example.com/.Sent/{cur,new,tmp}``."""


@attrs.frozen(kw_only=True)
class StorageSettings:
    r"""
    Where mail is kept, and how much of it.

    Args:
        backend: what holds the messages.
        layout: how accounts lie below the root; ``mailsuite storage convert`` brings what is there into another one.
        maildir_root: the folder of all accounts.
        create_special: mailboxes made and subscribed at first use; those named Archive, Drafts, Junk, Sent and Trash
            get the attribute of that name (RFC 6154 section 2).
        lanes: threads; an account is always served by the same one.
        open_accounts_max: most indexes held open, all lanes together; each costs three descriptors.
        mailboxes_max: most mailboxes of an account.
        messages_max: most messages of an account; 0 is no limit.
        keywords_max: most different keywords in a mailbox.
        message_max_octets: longest message that a client may append; 0 is no limit.
        watch_folders: what other programs do to a mailbox is told at once to clients that wait for it, where the
            system can tell (inotify of Linux); otherwise, and for what other hosts do, ``imap.idle_look_seconds`` says
            when.
        rescan_seconds: a folder that only we seem to change is listed again after this time.
    """

    backend: Backend = Backend.MAILDIR
    layout: Layout = Layout.DOMAIN
    maildir_root: str = "data/mail"
    create_special: Sequence[str] = ("Sent", "Drafts", "Junk", "Trash", "Archive")
    lanes: int = attrs.field(default=2, validator=attrs.validators.ge(1))
    open_accounts_max: int = attrs.field(default=256, validator=attrs.validators.ge(1))
    mailboxes_max: int = 10_000
    messages_max: int = 0
    keywords_max: int = 100
    message_max_octets: int = MESSAGE_MAX_OCTETS
    watch_folders: bool = True
    rescan_seconds: float = 30.0
