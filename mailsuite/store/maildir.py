"""
Every rule about names on disk, defined once: accounts, mailboxes, message files.

A mailbox ``Work/2.0`` is the folder ``.Work.2&AC4-0``: levels are joined by ``.``, each level is modified UTF-7
(RFC 3501 section 5.1.3) in which a literal ``.`` or ``/`` is encoded as well. Pure: nothing here touches the disk.
"""

import base64
import binascii
import functools
import hashlib
import re
import unicodedata

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.store.settings import Layout

INBOX = "INBOX"
INDEX = "index.db"
LOCK = "index.lock"
STATE = "mailbox.state"
UIDS = "mailbox.uids"
RIGHTS = "mailbox.rights"
ANNOTATIONS = "mailbox.annotations"
ACCOUNT_ANNOTATIONS = "..annotations"  # beside the index; no mailbox can have such a name
DISCARDED = "..deleted-"
TMP = "tmp"
SUBFOLDERS = (TMP, "new", "cur")

LEVEL_MAX_OCTETS = 255
NAME_MAX_OCTETS = 1000
DEPTH_MAX = 32
FILE_NAME_MAX_OCTETS = 255
NAMES_KEPT = 16384
"""So many names of folders need not be decoded again."""

DELIVERED = "D."
"""Begins the token of a delivered message; the rest names the delivery."""
STORED = "R."
"""Begins the token of a message that a client stored; the rest is random."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # C0, DEL, C1, surrogates
_PLAIN_PART = re.compile(r"[ -%'-\-0-~]*+")  # what is printed of ASCII, without "&", "." and "/"
_PLAIN_DELIVERY = re.compile(r"[A-Za-z0-9_-]{1,100}")
_BASE64_RUN = re.compile(r"&([A-Za-z0-9+,]*)-")
_OUR_FIELDS = re.compile(r",[SU]=[0-9]+")
_SIZE_FIELD = re.compile(r",S=([0-9]+)")
_UID_FIELD = re.compile(r",U=([0-9]+)")


# mailbox names


def check_name(name: str) -> str:
    """
    Give a mailbox name its one form: NFC, INBOX in upper case.

    Raises:
        MailError: INVALID.
    """
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    levels = name.split("/")
    if levels[0].upper() == INBOX:
        levels[0] = INBOX
    if len(levels) > DEPTH_MAX:
        raise MailError(Kind.INVALID, "mailboxes are nested too deeply")
    for level in levels:
        _check_level(level)
    name = "/".join(levels)
    if len(name.encode("utf-8")) > NAME_MAX_OCTETS or len(encode_name(name)) > FILE_NAME_MAX_OCTETS - 1:
        raise MailError(Kind.INVALID, "the mailbox name is too long")
    return name


def find_name(name: str) -> str:
    """
    Give a name that is looked for its one form.

    Raises:
        MailError: NOT_FOUND, when no mailbox can have that name.
    """
    try:
        return check_name(name)
    except MailError as error:
        raise MailError(Kind.NOT_FOUND, "there is no such mailbox") from error


def _check_level(level: str) -> None:
    if level in {"", ".", ".."}:
        raise MailError(Kind.INVALID, "a level of the mailbox name is empty, '.' or '..'")
    if _CONTROL.search(level):
        raise MailError(Kind.INVALID, "the mailbox name holds control characters")
    if len(level.encode("utf-8")) > LEVEL_MAX_OCTETS:
        raise MailError(Kind.INVALID, "a level of the mailbox name is too long")


def parent_names(name: str) -> list[str]:
    """List the names above, the highest first."""
    levels = name.split("/")
    return ["/".join(levels[:depth]) for depth in range(1, len(levels))]


def encode_part(text: str) -> str:
    """Write text as one part of a path: modified UTF-7 in which ``.`` and ``/`` are encoded too."""
    if _PLAIN_PART.fullmatch(text):
        return text
    pieces: list[str] = []
    run: list[str] = []
    for char in text:
        if " " <= char <= "~" and char not in "./":
            if run:
                pieces.append(_encode_run(run))
                run = []
            pieces.append("&-" if char == "&" else char)
        else:
            run.append(char)
    if run:
        pieces.append(_encode_run(run))
    return "".join(pieces)


def _encode_run(run: list[str]) -> str:
    octets = base64.b64encode("".join(run).encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
    return f"&{octets.decode('ascii')}-"


def decode_part(part: str) -> str | None:
    """Read what `encode_part` wrote; None for anything else."""

    def decode_run(match: re.Match[str]) -> str:
        run = match[1]
        if not run:
            return "&"
        octets = base64.b64decode(run.replace(",", "/") + "=" * (-len(run) % 4), validate=True)
        return octets.decode("utf-16-be")

    try:
        text = _BASE64_RUN.sub(decode_run, part)
        return text if encode_part(text) == part else None
    except (binascii.Error, UnicodeError):
        return None


def encode_name(name: str) -> str:
    """Write a mailbox name as Maildir++ does, without the dot in front."""
    return ".".join([encode_part(level) for level in name.split("/")])


@functools.lru_cache(maxsize=NAMES_KEPT)
def decode_name(folder: str) -> str | None:
    """Read what `encode_name` wrote; None when it is not the name of a mailbox."""
    levels = [decode_part(level) for level in folder.split(".")]
    if not all(levels):
        return None
    name = "/".join(level for level in levels if level)
    try:
        return name if check_name(name) == name else None
    except MailError:
        return None


# accounts and folders


@attrs.frozen
class Home:
    """
    Where one account lies.

    Args:
        path: its folder, which also holds the index.
    """

    path: str
    layout: Layout

    @property
    def index(self) -> str:
        """The path of the index."""
        return f"{self.path}/{INDEX}"

    @property
    def lock(self) -> str:
        """The path of what processes share, see `mailsuite.store.lock`."""
        return f"{self.path}/{LOCK}"

    def folder(self, name: str) -> str:
        """Give the path of a mailbox's Maildir."""
        if self.layout is Layout.USERID:
            return f"{self.path}/{encode_name(name)}"
        return self.path if name == INBOX else f"{self.path}/.{encode_name(name)}"

    def mailbox_name(self, entry: str) -> str | None:
        """Tell which mailbox an entry of the account's folder is; None for none, and for INBOX in its own folder."""
        if self.layout is Layout.USERID:
            return decode_name(entry)
        if not entry.startswith("."):
            return None
        name = decode_name(entry[1:])
        return None if name == INBOX else name

    def discarded(self, mailbox_id: int) -> str:
        """Give the path that a deleted mailbox has until its files are gone; no mailbox has such a name."""
        return f"{self.path}/{DISCARDED}{mailbox_id}"


def home_of(root: str, layout: Layout, account_id: int, email: str) -> Home:
    """
    Find an account's home.

    Raises:
        MailError: INVALID, when the address cannot be a path.
    """
    if layout is Layout.USERID:
        return Home(f"{root}/user_{account_id:d}", layout)
    local, _, domain = email.rpartition("@")
    user = encode_part(unicodedata.normalize("NFC", local.casefold()))
    domain = domain.lower()
    bad = not user or not domain or domain in {".", ".."} or "/" in domain or not domain.isprintable()
    if bad or len(user) + len(domain) + 1 > FILE_NAME_MAX_OCTETS:
        raise MailError(Kind.INVALID, "the account's address cannot be stored")
    if layout is Layout.DOMAIN:
        return Home(f"{root}/{domain}/{user}", layout)
    return Home(f"{root}/{user}@{domain}", layout)


# message files


def delivery_token(delivery_id: str) -> str:
    """Make the unique part of the file of a delivery; the same delivery always has the same."""
    if _PLAIN_DELIVERY.fullmatch(delivery_id):
        return DELIVERED + delivery_id
    return f"{DELIVERED}.{hashlib.sha256(delivery_id.encode('utf-8', 'surrogatepass')).hexdigest()}"


def file_name(token: str, size_octets: int, uid: int) -> str:
    """Make a file name without flags."""
    return f"{token},S={size_octets:d},U={uid:d}"


def base_name(file: str) -> str:
    """Cut the flags off."""
    return file.partition(":")[0]


def token_of(file: str) -> str:
    """Find the unique part: what stays the same when any program changes flags or we change the UID."""
    base = file.partition(":")[0]
    return _OUR_FIELDS.sub("", base) if ",S=" in base or ",U=" in base else base


def uid_of(file: str) -> int:
    """Read the UID that we wrote into a name; 0 when there is none."""
    match = _UID_FIELD.search(base_name(file))
    return int(match[1]) if match and len(match[1]) <= 10 else 0  # noqa: PLR2004 - digits of 2**32


def size_of(file: str) -> int:
    """Read the size that a name tells; -1 when it tells none."""
    match = _SIZE_FIELD.search(base_name(file))
    return int(match[1]) if match and len(match[1]) <= 18 else -1  # noqa: PLR2004 - digits of 2**60


def letters_of(file: str) -> str:
    """Read the flag letters of a name."""
    return file.partition(":2,")[2]
