"""
Mail of an account out to plain files, and in from them: Maildir, mbox (with ``>From`` quoted, "mboxrd"), ``.eml``.

Both work on the Maildir, which the store shares with other programs, so a server may run meanwhile. What is there
already is left alone: after an interruption the same command goes on. Blocks, and holds one message at a time.
"""

import calendar
import email.utils
import enum
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator

import attrs

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.message.newline import to_crlf, to_lf
from mailsuite.store import maildir
from mailsuite.store.flags import bits_of_letters, letters_of_bits
from mailsuite.store.maildir import INBOX, Home

IMPORTED = "import-"
_STATUS_LETTERS = {"R": "S", "A": "R", "F": "F", "T": "D", "D": "T"}
"""Letters of mbox's Status and X-Status fields, and those of Maildir."""
_QUOTED_FROM = re.compile(rb">+From ")
_STATUS = re.compile(rb"(?i)(?:X-)?Status:[ \t]*([A-Z]*)\s*")


class Format(enum.Enum):
    """How mail lies outside."""

    MAILDIR = "maildir"
    MBOX = "mbox"
    EML = "eml"


@attrs.frozen
class Letter:
    """
    One message on its way.

    Args:
        letters: flags, as Maildir writes them.
        date: when it came in, in seconds since the epoch.
        token: the unique part of its file's name; empty when it has none yet.
    """

    mailbox: str
    content: bytes = attrs.field(repr=False)
    letters: str
    date: float
    token: str = ""


# out


def read_account(home: Home, disk: Disk, only: str = "") -> Iterator[Letter]:
    """
    Give an account's messages, mailbox by mailbox.

    Args:
        only: one mailbox; empty is all.
    """
    for name in _mailboxes(home, disk):
        if not only or name == maildir.find_name(only):
            yield from _read_folder(home.folder(name), name, disk)


def _mailboxes(home: Home, disk: Disk) -> list[str]:
    names = [name for name in map(home.mailbox_name, disk.listdir(home.path)) if name is not None]
    return [INBOX, *sorted(name for name in names if name != INBOX)]


def _read_folder(folder: str, name: str, disk: Disk) -> Iterator[Letter]:
    """Give the messages of one Maildir; those that go or get another name meanwhile are looked for once more."""
    done: set[str] = set()
    for _ in range(2):
        for subfolder in ("new", "cur"):
            path = f"{folder}/{subfolder}"
            for file in sorted(disk.listdir(path) if os.path.isdir(path) and not os.path.islink(path) else ()):
                token = maildir.token_of(file)
                if token in done or file.startswith("."):
                    continue
                try:
                    status = disk.stat(f"{path}/{file}")
                    if not stat.S_ISREG(status.st_mode):
                        continue  # a link could lead to somebody else's mail
                    content = disk.read_file(f"{path}/{file}")
                except (FileNotFoundError, IsADirectoryError):
                    continue
                done.add(token)
                letters = letters_of_bits(bits_of_letters(maildir.letters_of(file)))
                yield Letter(name, content, letters, status.st_mtime, token)


def write_outside(letters: Iterator[Letter], folder: str, form: Format, disk: Disk) -> Iterator[bool]:
    """
    Write messages below a folder, which is made; tell of each whether it is new there.

    An mbox that was not finished is begun anew; files of the other formats are kept.
    """
    disk.make_folders(folder)
    if form is Format.MBOX:
        yield from _write_boxes(letters, folder, disk)
        return
    kept: tuple[str, frozenset[str]] = ("", frozenset())
    for letter in letters:
        name = maildir.encode_name(letter.mailbox)
        if form is Format.EML:
            disk.make_folders(f"{folder}/{name}")
            path = f"{folder}/{name}/{letter.token}.eml"
        else:
            target = folder if letter.mailbox == INBOX else f"{folder}/.{name}"
            for subfolder in maildir.SUBFOLDERS:
                disk.make_folders(f"{target}/{subfolder}")
            path = f"{target}/cur/{letter.token}:2,{letter.letters}"
            if kept[0] != target:  # once for each mailbox; flags, which are in the name, may be others now
                names = disk.listdir(f"{target}/cur")
                kept = target, frozenset(each.partition(":")[0] for each in names)
        new = not os.path.lexists(path) and (form is Format.EML or letter.token not in kept[1])
        if new:
            disk.replace_file(path, letter.content)
            disk.utime(path, letter.date)
        yield new


def _write_boxes(letters: Iterator[Letter], folder: str, disk: Disk) -> Iterator[bool]:
    box, path = -1, ""
    skipped = ""
    try:
        for letter in letters:
            wanted = f"{folder}/{maildir.encode_name(letter.mailbox)}.mbox"
            if wanted != path:
                _finish_box(box, path, disk)
                box, path = -1, wanted
                skipped = wanted if os.path.lexists(wanted) else ""
                if not skipped:
                    disk.remove(f"{wanted}.partial")
                    box = disk.open(f"{wanted}.partial", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            if not skipped:
                disk.write(box, _as_mbox(letter), path)
            yield not skipped
        _finish_box(box, path, disk)
        box = -1
    finally:
        if box >= 0:
            disk.close(box, path)


def _finish_box(box: int, path: str, disk: Disk) -> None:
    if box >= 0:
        disk.fsync(box, path)
        disk.close(box, path)
        disk.rename(f"{path}.partial", path)
        disk.sync_folder(os.path.dirname(path))


def _as_mbox(letter: Letter) -> bytes:
    inverse = {maildir_letter: letter for letter, maildir_letter in _STATUS_LETTERS.items()}
    status = "".join(inverse[each] for each in letter.letters)
    lines = to_lf(letter.content).split(b"\n")
    quoted = b"\n".join(b">" + line if re.match(rb">*From ", line) else line for line in lines)
    first = f"From MAILER-DAEMON {time.asctime(time.gmtime(letter.date))}\nStatus: {'R' if 'R' in status else ''}O\n"
    return (
        f"{first}X-Status: {status.replace('R', '')}\n".encode("ascii")
        + quoted
        + (b"\n" if quoted.endswith(b"\n") else b"\n\n")
    )


# in


def read_source(path: str, mailbox: str = "") -> Iterator[Letter]:
    """
    Give the messages of a Maildir with its folders, of a folder of ``.eml`` files, or of an mbox.

    Args:
        mailbox: where they go, and below which the folders of a Maildir go; empty is INBOX, and their own names.

    Raises:
        MailError: INVALID when it is none of these.
        OSError: it cannot be read.
    """
    disk = Disk()
    if not os.path.isdir(path):
        yield from _read_mbox(path, mailbox or INBOX)
    elif os.path.isdir(f"{path}/cur") or os.path.isdir(f"{path}/new"):
        yield from _read_folder(path, mailbox or INBOX, disk)
        for entry in sorted(os.listdir(path)):
            name = maildir.decode_name(entry[1:]) if entry.startswith(".") else None
            linked = os.path.islink(f"{path}/{entry}")
            if name is not None and not linked and os.path.isdir(f"{path}/{entry}/cur"):
                yield from _read_folder(f"{path}/{entry}", f"{mailbox}/{name}" if mailbox else name, disk)
    else:
        files = sorted(name for name in os.listdir(path) if name.lower().endswith(".eml"))
        if not files:
            raise MailError(Kind.INVALID, f"{path} is neither a Maildir nor a folder of .eml files")
        for name in files:
            status = disk.stat(f"{path}/{name}")
            if stat.S_ISREG(status.st_mode):
                yield Letter(mailbox or INBOX, disk.read_file(f"{path}/{name}"), "", status.st_mtime)


def _read_mbox(path: str, mailbox: str) -> Iterator[Letter]:
    with open(path, "rb") as stream:
        lines: list[bytes] = []
        first, blank = b"", True
        for line in stream:
            if blank and line.startswith(b"From "):
                if first:
                    yield _from_mbox(first, lines, mailbox)
                first, lines, blank = line, [], False
                continue
            if not first:
                raise MailError(Kind.INVALID, f"{path} is not an mbox: it does not begin with a From line")
            lines.append(line[1:] if _QUOTED_FROM.match(line) else line)
            blank = not line.strip(b"\r\n")
        if first:
            yield _from_mbox(first, lines, mailbox)


def _from_mbox(first: bytes, lines: list[bytes], mailbox: str) -> Letter:
    if lines and not lines[-1].strip(b"\r\n"):
        lines = lines[:-1]  # it belongs to the mbox
    end = next((number for number, line in enumerate(lines) if not line.strip(b"\r\n")), len(lines))
    header, letters = [], ""
    for line in lines[:end]:
        status = _STATUS.fullmatch(line)
        if status is None:
            header.append(line)
        else:
            letters += "".join(_STATUS_LETTERS.get(each, "") for each in status[1].upper().decode("ascii"))
    moment = email.utils.parsedate(b" ".join(first.split()[2:7]).decode("ascii", "replace"))
    try:
        date = calendar.timegm((*moment[:6], 0, 1, 0)) if moment is not None else time.time()
    except (ValueError, OverflowError):
        date = time.time()  # a year that no calendar has
    ordered = letters_of_bits(bits_of_letters(letters))
    return Letter(mailbox, b"".join([*header, *lines[end:]]), ordered, date)


class Importer:
    """Puts messages into an account's Maildir, each once."""

    def __init__(self, home: Home, disk: Disk) -> None:
        self._home = home
        self._disk = disk
        self._tokens: dict[str, set[str]] = {}

    def add(self, letter: Letter) -> bool:
        """
        Store a message durably; say whether it was not there yet.

        Raises:
            MailError: INVALID for a mailbox that cannot be.
            OSError: the disk does not take it.
        """
        name = maildir.check_name(letter.mailbox)
        folder = self._home.folder(name)
        content = to_crlf(letter.content)
        token = IMPORTED + hashlib.sha256(content).hexdigest()[:40]
        tokens = self._known(name, folder)
        if token in tokens:
            return False
        tokens.add(token)
        file = f"{token},S={len(content)}"
        temporary = f"{folder}/{maildir.TMP}/{file}"
        self._disk.remove(temporary)
        self._disk.write_file(temporary, [content], sync=True)
        self._disk.utime(temporary, letter.date)
        self._disk.rename(temporary, f"{folder}/cur/{file}:2,{letter.letters}")
        return True

    def _known(self, name: str, folder: str) -> set[str]:
        if name not in self._tokens:
            for subfolder in maildir.SUBFOLDERS:
                self._disk.make_folders(f"{folder}/{subfolder}")
            files = [file for subfolder in ("new", "cur") for file in self._disk.listdir(f"{folder}/{subfolder}")]
            self._tokens[name] = {maildir.token_of(file) for file in files}
        return self._tokens[name]

    def finish(self) -> None:
        """Make the names durable."""
        for name in self._tokens:
            self._disk.sync_folder(f"{self._home.folder(name)}/cur")
