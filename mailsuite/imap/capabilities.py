"""What a server announces, and to whom: to anybody, before the login, or after it (RFC 3501 section 6.1.1)."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

ACL = b"ACL"
RIGHTS = b"RIGHTS=kxte"
LIST_MYRIGHTS = b"LIST-MYRIGHTS"
CONDSTORE = b"CONDSTORE"
QRESYNC = b"QRESYNC"
UIDONLY = b"UIDONLY"
REV2 = b"IMAP4REV2"  # ENABLE compares in upper case
UTF8_ACCEPT = b"UTF8=ACCEPT"
INPROGRESS = b"INPROGRESS"
UNAUTHENTICATE = b"UNAUTHENTICATE"
METADATA = b"METADATA"
QUOTA = b"QUOTA"
QUOTASET = b"QUOTASET"

ALWAYS = (b"IMAP4rev1", b"IMAP4rev2", b"LITERAL+", b"ID", b"ENABLE", b"IDLE")
AFTER_LOGIN = (
    b"NAMESPACE",
    b"UIDPLUS",
    b"MOVE",
    b"UNSELECT",
    b"MULTIAPPEND",
    b"BINARY",
    UTF8_ACCEPT,
    b"CHILDREN",
    b"LIST-EXTENDED",
    b"LIST-STATUS",
    b"SPECIAL-USE",
    b"CREATE-SPECIAL-USE",
    b"STATUS=SIZE",
    QUOTA,
    b"QUOTA=RES-STORAGE",
    b"QUOTA=RES-MESSAGE",
    b"ESEARCH",
    b"WITHIN",
    b"SEARCHRES",
    b"SORT",
    b"SORT=DISPLAY",
    b"ESORT",
    b"I18NLEVEL=1",
    b"THREAD=ORDEREDSUBJECT",
    b"THREAD=REFERENCES",
    b"NOTIFY",
    b"REPLACE",
    b"CATENATE",
    b"PREVIEW",
    b"PARTIAL",
    INPROGRESS,
    UNAUTHENTICATE,
    UIDONLY,
)
SHARING = (ACL, RIGHTS, LIST_MYRIGHTS)
"""What an account can that knows rights (RFC 4314 section 5.1.1, RFC 8440 section 3)."""
REMEMBERED = (CONDSTORE, QRESYNC, b"SAVEDATE", b"OBJECTID")
"""What an account must remember for."""
ANNOTATED = (METADATA, b"LIST-METADATA")
"""What an account must keep annotations for."""
ADMINISTERING = (QUOTASET,)
"""What an account can that sets the quotas of others (RFC 9208 section 4.1.3)."""


def without(words: Iterable[bytes], off: AbstractSet[bytes]) -> list[bytes]:
    """
    Leave out what is switched off.

    Args:
        off: names in upper case; one without ``=`` stands for all that begin with it and ``=`` as well.
    """
    if not off:
        return list(words)
    return [word for word in words if not is_off(word.upper(), off)]


def is_off(word: bytes, off: AbstractSet[bytes]) -> bool:
    """Whether a capability, in upper case, is switched off."""
    return word in off or word.partition(b"=")[0] in off


def reads_utf8(enabled: AbstractSet[bytes]) -> bool:
    """Whether mailbox names are UTF-8 both ways (RFC 6855 section 3, RFC 9051 section 5.1)."""
    return UTF8_ACCEPT in enabled or REV2 in enabled
