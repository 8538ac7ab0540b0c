"""
Bring all accounts into another layout, by renaming folders within one file system.

First a journal with every step is written, then the steps are taken in order. Whoever finds the journal takes them
again: a step whose target is there was taken before, since at the beginning no target was there that an earlier step
did not move away.
"""

import contextlib
import errno
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import attrs

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Account
from mailsuite.store import maildir
from mailsuite.store.index import AccountIndex
from mailsuite.store.maildir import INBOX, Home, home_of
from mailsuite.store.marker import JOURNAL, read_journal, write_layout
from mailsuite.store.moves import Moves
from mailsuite.store.settings import Layout

INBOX_ENTRIES = (*maildir.SUBFOLDERS, maildir.STATE, maildir.UIDS, maildir.RIGHTS, maildir.ANNOTATIONS)
"""What belongs to INBOX in the folder of an account."""
FOLDER_MARK = "maildirfolder"


@attrs.frozen
class Step:
    """
    Rename a file or folder, or remove a file or empty folder when there is no target; relative to the root.

    What cannot be removed because something is in it stays.
    """

    source: str
    target: str


@attrs.frozen
class AccountMove:
    """The folder of one account; paths are relative to the root."""

    account: Account
    source: str
    target: str


@attrs.frozen
class Plan:
    """
    What a conversion does.

    Args:
        conflicts: sentences; nothing is done while there are any.
        unclaimed: folders of nobody, which stay where they are.
    """

    current: Layout
    wanted: Layout
    accounts: Sequence[AccountMove]
    steps: Sequence[Step]
    conflicts: Sequence[str]
    unclaimed: Sequence[str]


def make_plan(disk: Disk, root: str, accounts: Sequence[Account], current: Layout, wanted: Layout) -> Plan:
    """Look at all accounts; changes nothing. Folders that are named as the address is written are found as well."""
    moves: list[AccountMove] = []
    steps: list[Step] = []
    conflicts: list[str] = []
    homes: set[str] = set()
    for account in accounts:
        source = _find_home(root, current, account)
        target = home_of(root, wanted, account.account_id, account.email)
        homes.add(source.path)
        if not os.path.isdir(source.path) or (source.path == target.path and current is wanted):
            continue
        found = [*_check_folder(disk, root, source.path, target.path)]
        inner, clashes = _inner_steps(disk, source, target)
        conflicts += [*found, *(f"{source.path}/{name} is in the way" for name in clashes)]
        move = AccountMove(account, os.path.relpath(source.path, root), os.path.relpath(target.path, root))
        moves.append(move)
        if move.source != move.target:
            steps.append(Step(move.source, move.target))
        steps += [
            Step(f"{move.target}/{step.source}", step.target and f"{move.target}/{step.target}") for step in inner
        ]
    folders = sorted({os.path.dirname(move.source) for move in moves} - {""})
    steps += [Step(folder, "") for folder in folders]
    return Plan(current, wanted, moves, steps, conflicts, [*_find_unclaimed(disk, root, current, homes)])


def _find_home(root: str, layout: Layout, account: Account) -> Home:
    """Find the folder of an account, also where another program named it without our escaping."""
    home = home_of(root, layout, account.account_id, account.email)
    if os.path.isdir(home.path) or layout is Layout.USERID:
        return home
    local, _, domain = account.email.rpartition("@")
    if "/" in local or local in {"", ".", ".."}:
        return home
    local = unicodedata.normalize("NFC", local)
    plain = f"{root}/{domain}/{local}" if layout is Layout.DOMAIN else f"{root}/{local}@{domain}"
    return Home(plain, layout) if os.path.isdir(f"{plain}/cur") else home


def _check_folder(disk: Disk, root: str, source: str, target: str) -> Iterator[str]:
    if os.path.islink(source):
        yield f"{source} is a symbolic link"
    elif disk.stat(source).st_dev != os.stat(root).st_dev:
        yield f"{source} is in another file system"
    if source != target and os.path.lexists(target):
        yield f"{target} is there already"


def _inner_steps(disk: Disk, source: Home, target: Home) -> tuple[list[Step], list[str]]:
    """Give the steps within the folder of an account, and the names that are in the way."""
    if (source.layout is Layout.USERID) is (target.layout is Layout.USERID):
        return [], []
    names = set(disk.listdir(source.path))
    mailboxes = [
        Step(entry, os.path.basename(target.folder(name)))
        for entry in sorted(names)
        if (name := source.mailbox_name(entry)) is not None and name != INBOX and _is_maildir(f"{source.path}/{entry}")
    ]
    clashes: list[str] = []
    if target.layout is Layout.USERID:
        inbox = [Step(name, f"{INBOX}/{name}") for name in INBOX_ENTRIES if name in names]
        if INBOX in names:
            clashes.append(INBOX)
        names -= {step.source for step in inbox}
        return [*inbox, *mailboxes], clashes + _clashes(names, mailboxes)
    content = set(disk.listdir(f"{source.path}/{INBOX}")) if _is_maildir(f"{source.path}/{INBOX}") else set()
    inbox = [Step(f"{INBOX}/{name}", name) for name in sorted(content - {FOLDER_MARK})]
    clashes = _clashes(names, [*mailboxes, *inbox])
    ends = [Step(f"{INBOX}/{FOLDER_MARK}", ""), Step(INBOX, "")] if content else []
    return [*mailboxes, *inbox, *ends], clashes


def _clashes(names: set[str], steps: Sequence[Step]) -> list[str]:
    """Take steps on names alone; give the targets that are there already."""
    names, found = set(names), []
    for step in steps:
        if step.target in names:
            found.append(step.target)
        names.discard(step.source)
        names.add(step.target)
    return found


def _is_maildir(path: str) -> bool:
    return os.path.isdir(f"{path}/cur") and not os.path.islink(path)


def _find_unclaimed(disk: Disk, root: str, layout: Layout, homes: set[str]) -> Iterator[str]:
    for name in sorted(disk.listdir(root)):
        path = f"{root}/{name}"
        if name.startswith("..") or not os.path.isdir(path):
            continue
        users = [f"/{user}" for user in sorted(disk.listdir(path))] if layout is Layout.DOMAIN else [""]
        inner = INBOX if layout is Layout.USERID else ""
        for candidate in (path + user for user in users):
            if candidate not in homes and os.path.isdir(os.path.join(candidate, inner, "cur")):
                yield os.path.relpath(candidate, root)


def settle(index: AccountIndex) -> None:
    """
    Let an open account do what it promised to do at its present place.

    Raises:
        MailError: UNAVAILABLE, when that cannot be done now.
    """
    if index.work.finish():
        raise MailError(Kind.UNAVAILABLE, f"{index.home.path} has something left to remove; try again later")
    with index.writing():
        pass


def settle_moves(disk: Disk, root: str, layout: Layout, accounts: Sequence[Account]) -> None:
    """
    End what was begun with accounts that got another address or were removed.

    Raises:
        MailError, OSError: it cannot be done now.
    """
    moves = Moves(disk, root, layout)
    known = {account.account_id: account for account in accounts}
    for account_id in moves.unfinished():
        account = known.get(account_id)
        if account is None:
            moves.finish(account_id)
        else:
            if moves.is_due(account_id, home_of(root, layout, account_id, account.email)):
                moves.finish(account_id)
            moves.cancel(account_id)


def write_journal(disk: Disk, root: str, plan: Plan) -> None:
    """Note durably what is about to be done."""
    steps = [[step.source, step.target] for step in plan.steps]
    text = json.dumps({"to": plan.wanted.value, "steps": steps})
    disk.replace_file(f"{root}/{JOURNAL}", text.encode("ascii"))


def take_steps(disk: Disk, root: str, told: Callable[[int], None] = lambda _: None) -> None:
    """
    Take all steps of the journal, again or for the first time; then note the new layout, and forget the journal.

    Args:
        told: called with how many are done.

    Raises:
        OSError: the disk does not take it; do it again later.
    """
    wanted, pairs = read_journal(disk, root)
    steps = [Step(*pair) for pair in pairs]
    for number, step in enumerate(steps, 1):
        _take(disk, root, step)
        told(number)
    _sync(disk, root, steps)
    moves = Moves(disk, root, wanted)
    moves.rewrite(lambda path: convert_path(path, wanted))
    write_layout(disk, root, wanted)
    disk.remove(f"{root}/{JOURNAL}")
    disk.sync_folder(root)


def _take(disk: Disk, root: str, step: Step) -> None:
    source, target = f"{root}/{step.source}", f"{root}/{step.target}"
    if not os.path.lexists(source):
        return
    if not step.target:
        with contextlib.suppress(OSError):  # not empty: it stays
            if os.path.isdir(source):
                disk.rmdir(source)
            else:
                disk.remove(source)
    elif not os.path.lexists(target):
        disk.make_folders(os.path.dirname(target))
        disk.rename(source, target)


def _sync(disk: Disk, root: str, steps: Sequence[Step]) -> None:
    try:
        disk.sync_file_system(root)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        paths = {os.path.dirname(f"{root}/{path}") for step in steps for path in (step.source, step.target) if path}
        for folder in sorted(paths):
            if os.path.isdir(folder):
                disk.sync_folder(folder)


def convert_path(path: str, wanted: Layout) -> str:
    """Write the former place of an account as another layout has it; what does not tell an address stays."""
    if path.startswith("..") or wanted is Layout.USERID:
        return path
    if wanted is Layout.ADDRESS:
        return re.sub(r"^([^/@]+)/([^/]+)$", r"\2@\1", path)
    return re.sub(r"^([^/]+)@([^/@]+)$", r"\2/\1", path)
