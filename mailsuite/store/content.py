"""Message files: written, linked, read, renamed, and found again when another program renamed them."""

import contextlib
import errno
import hashlib
import mmap
import os
from collections.abc import Iterator

from mailsuite.durable import Disk
from mailsuite.interfaces import Body
from mailsuite.message.summary import Summary, summarize
from mailsuite.store import maildir, statements
from mailsuite.store.flags import SYSTEM_MASK, keyword_letters, letters_of_bits
from mailsuite.store.index import AccountIndex
from mailsuite.store.statements import MailboxRow, NewMessage
from mailsuite.store.transaction import Transaction

READ_WHOLE_OCTETS = 1 << 20
COPY_CHUNK_OCTETS = 1 << 18
_CANNOT_LINK = frozenset((errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP))


@contextlib.contextmanager
def mapped(disk: Disk, path: str) -> Iterator["bytes | mmap.mmap"]:
    """Give a file's octets, in memory when they are few."""
    with disk.opened(path) as descriptor:
        size = os.fstat(descriptor).st_size
        if size <= READ_WHOLE_OCTETS:
            yield disk.pread(descriptor, size, 0, path)
            return
        disk.before("read", path)
        with mmap.mmap(descriptor, size, prot=mmap.PROT_READ) as content:
            yield content


def summarize_file(disk: Disk, path: str) -> Summary:
    """Make the summary of a file."""
    with mapped(disk, path) as content:
        return summarize(content)


def pieces_of(disk: Disk, path: str) -> Iterator[bytes]:
    """Read a file piece by piece."""
    with disk.opened(path) as descriptor:
        offset = 0
        while piece := disk.pread(descriptor, COPY_CHUNK_OCTETS, offset, path):
            yield piece
            offset += len(piece)


def place_file(disk: Disk, content: bytes | Body, path: str, *, link: bool, sync: bool) -> None:
    """Write octets, or give a file a second name; whatever was at `path` is replaced."""
    if isinstance(content, bytes):
        disk.write_file(path, [content], sync=sync)
        return
    if link and link_file(disk, content.path, path):
        return
    disk.remove(path)
    disk.write_file(path, pieces_of(disk, content.path), sync=sync)


def link_file(disk: Disk, source: str, target: str) -> bool:
    """Link a file; False where the file system cannot."""
    try:
        try:
            disk.link(source, target)
        except FileExistsError:
            disk.unlink(target)
            disk.link(source, target)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    return True


def name_with_flags(index: AccountIndex, row: MailboxRow, base: str, flags: int) -> str:
    """Add the letters of flags to a base name, as they are in ``cur``."""
    letters = letters_of_bits(flags & SYSTEM_MASK)
    keywords = index.flags.keywords(flags)
    if keywords:
        numbers = {name: number for number, name in statements.keywords(index.connection, row.mailbox_id)}
        letters += keyword_letters(numbers[name] for name in keywords if name in numbers)
    return f"{base}:2,{letters}"


def email_id(token: str) -> bytes:
    """Make the permanent id of a message from its token (RFC 8474 section 5.1)."""
    return b"M" + hashlib.blake2b(token.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest().encode("ascii")


def new_message(
    summary: Summary,
    *,
    uid: int,
    flags: int,
    token: str,
    folder: str,
    file: str,
    date: int,
    saved: int,
    original_id: bytes = b"",
) -> NewMessage:
    """
    Put together what the index keeps.

    Args:
        original_id: of the message that this is a copy of.
    """
    return NewMessage(
        uid=uid,
        flags=flags,
        token=token,
        folder=folder,
        file=file,
        bits=flags,
        date=date,
        saved=saved,
        size=summary.size,
        email_id=original_id or email_id(token),
        envelope=summary.envelope,
        body=summary.body,
        structure=summary.bodystructure,
        header=summary.header,
    )


def stage_message(
    index: AccountIndex,
    transaction: Transaction,
    row: MailboxRow,
    content: bytes | Body,
    summary: Summary,
    *,
    token: str,
    flags: int,
    date: int,
    link: bool,
    sync: bool,
    original_id: bytes = b"",
) -> NewMessage:
    """
    Write a message into ``tmp``, to appear when the transaction has committed; with flags in cur, else in new.

    Args:
        sync: have its octets on disk; otherwise the caller does, where the transaction is durable.
    """
    uid = index.take_uid(row)
    file = maildir.file_name(token, summary.size, uid)
    folder = "new"
    if flags or transaction.durable:
        folder, file = "cur", name_with_flags(index, row, file, flags)
    transaction.staged.append((row, file, folder))
    staged = f"{index.folder(row)}/{maildir.TMP}/{file}"
    try:
        place_file(index.disk, content, staged, link=link, sync=sync)
    except FileNotFoundError:
        if not ensure_tmp(index, transaction, row):
            raise
        place_file(index.disk, content, staged, link=link, sync=sync)
    return new_message(
        summary,
        uid=uid,
        flags=flags,
        token=token,
        folder=folder,
        file=file,
        date=date,
        saved=int(index.place.clock()),
        original_id=original_id,
    )


def ensure_tmp(index: AccountIndex, transaction: Transaction, row: MailboxRow) -> bool:
    """Make what is missing of a mailbox's folder when its ``tmp`` is; say whether it was."""
    if os.path.isdir(f"{index.folder(row)}/{maildir.TMP}"):
        return False
    index.make_folder(row)
    if transaction.durable:
        index.sync_tree()
    return True


def find_file(index: AccountIndex, row: MailboxRow, folder: str, name: str) -> str | None:
    """
    Find a message's file when it is not where the index says: still in ``tmp``, or renamed by another program.

    Returns:
        Its path; None when it is gone.
    """
    path = index.folder(row)
    expected = f"{path}/{folder}/{name}"
    try:
        staged = f"{path}/{maildir.TMP}/{name}"
        if os.path.lexists(staged):
            index.disk.rename(staged, expected)
            return expected
    except FileNotFoundError:
        pass  # another process was faster
    except OSError:
        return staged  # on a read-only disk, say
    token = maildir.token_of(name)
    for subfolder in ("cur", "new", "cur"):  # other programs move from new to cur meanwhile
        for entry in index.disk.listdir(f"{path}/{subfolder}"):
            if entry.startswith(token) and maildir.token_of(entry) == token:
                return f"{path}/{subfolder}/{entry}"
    return None


def open_message(index: AccountIndex, row: MailboxRow, folder: str, name: str) -> tuple[int, str] | None:
    """Open a message's file wherever it is: descriptor and path; None when it is gone."""
    path = f"{index.folder(row)}/{folder}/{name}"
    try:
        return index.disk.open(path, os.O_RDONLY), path
    except FileNotFoundError:
        pass
    found = find_file(index, row, folder, name)
    if found is None:
        return None
    try:
        return index.disk.open(found, os.O_RDONLY), found
    except FileNotFoundError:
        return None
