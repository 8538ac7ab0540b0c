"""
Where accounts lie whose address changed or that were removed.

The folder of an account is named after its address, and the directory is another database, so both cannot change at
once. A record for the account is written first, then the directory changes, then the folder: whoever finds a record
that is not done can tell from the address that the directory gives whether the folder is still to follow. A record
that is done stays, so that mail queued under an old address finds its way, and that nobody opens what was removed.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Sequence

import attrs

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.store.maildir import Home
from mailsuite.store.settings import Layout
from mailsuite.store.unwritable import reason_of

RECORDS = "..accounts"
REMOVED = "..removed"
TICK_NS = 100_000_000
"""A folder changed this recently may change again without its modification time telling."""


@attrs.frozen
class Move:
    """
    What happened to the folder of an account; paths are relative to the root.

    Args:
        former: where it was, the last one being where it is until the move is done.
    """

    account_id: int
    former: Sequence[str]
    target: str
    removed: bool
    done: bool


class Moves:
    """The records of a store; any lane of any process uses them, each for its own accounts."""

    def __init__(self, disk: Disk, root: str, layout: Layout) -> None:
        self._disk = disk
        self._root = root
        self._layout = layout
        self._folder = f"{root}/{RECORDS}"
        self._lock = threading.Lock()
        self._moves: dict[int, Move] = {}
        self._stamp = 0
        try:
            disk.mkdir(self._folder)
        except OSError as error:
            if not reason_of(error):
                raise

    def _load(self) -> None:
        """Read all records, unless no process can have changed any since they were last read."""
        with self._lock:
            try:
                stamp = self._disk.stat(self._folder).st_mtime_ns
            except FileNotFoundError:
                return  # it could not be made: nothing was ever moved
            if stamp == self._stamp:
                return
            recent = abs(time.time_ns() - stamp) < TICK_NS
            moves = {}
            for name in self._disk.listdir(self._folder):
                if name.isascii() and name.isdigit():
                    try:
                        values = json.loads(self._disk.read_file(f"{self._folder}/{name}"))
                        moves[int(name)] = Move(int(name), **values)
                    except FileNotFoundError:
                        continue  # forgotten meanwhile
            self._moves = moves
            self._stamp = 0 if recent else stamp

    def _find(self, account_id: int) -> Move | None:
        self._load()
        return self._moves.get(account_id)

    def unfinished(self) -> Sequence[int]:
        """Name the accounts whose moves are not done."""
        self._load()
        return [move.account_id for move in self._moves.values() if not move.done]

    def rewrite(self, convert: Callable[[str], str]) -> None:
        """Write all paths anew; doing it twice is doing it once if that is true of `convert`."""
        self._load()
        for move in list(self._moves.values()):
            former = [convert(path) for path in move.former]
            if (former, convert(move.target)) != (list(move.former), move.target):
                self._write(attrs.evolve(move, former=former, target=convert(move.target)))

    def home(self, account_id: int, here: Home) -> Home:
        """
        Find the folder of an account.

        Args:
            here: where it would be by its address.

        Raises:
            MailError: NOT_FOUND for an account that was removed.
        """
        move = self._find(account_id)
        if move is None or (move.removed and not move.done):
            return here
        if move.removed:
            raise MailError(Kind.NOT_FOUND, "the account was removed")
        if os.path.relpath(here.path, self._root) not in {*move.former, move.target}:
            return here
        former, target = self._absolute(move.former[-1]), self._absolute(move.target)
        has_moved = move.done or (os.path.isdir(target) and not os.path.isdir(former))  # which a full disk may not note
        return Home(target if has_moved else former, self._layout)

    def is_begun(self, account_id: int) -> bool:
        """Whether the folder may be gone from where it is at any moment."""
        move = self._find(account_id)
        return move is not None and not move.done

    def is_due(self, account_id: int, here: Home) -> bool:
        """Whether the directory has changed, and the folder is still to follow."""
        move = self._find(account_id)
        if move is None or move.removed or move.done:
            return False
        return os.path.relpath(here.path, self._root) == move.target

    def claimant(self, account_id: int, home: Home) -> int:
        """Give the account whose folder is still to leave the place of this one; 0 for none."""
        self._load()
        with self._lock:
            moves = [move for move in self._moves.values() if not move.done and move.account_id != account_id]
        return next((move.account_id for move in moves if self._absolute(move.former[-1]) == home.path), 0)

    def begin_rename(self, account_id: int, old: Home, new: Home) -> None:
        """
        Note that the directory is about to change.

        Raises:
            MailError: EXISTS, when the new folder is there.
        """
        if old.path == new.path:
            return
        if os.path.lexists(new.path):
            raise MailError(Kind.EXISTS, f"the folder {new.path} is there already: move it away first")
        source, target = (os.path.relpath(home.path, self._root) for home in (old, new))
        known = self._find(account_id)
        former = [path for path in (known.former if known else ()) if path not in {source, target}]
        self._write(Move(account_id, [*former, source], target, removed=False, done=False))

    def begin_removal(self, account_id: int, home: Home) -> None:
        """Note that the directory is about to forget an account."""
        source = os.path.relpath(home.path, self._root)
        name = source.replace("/", "_")
        target = f"{REMOVED}/{account_id}-{name}"
        number = 1
        while os.path.lexists(self._absolute(target)):
            number += 1
            target = f"{REMOVED}/{account_id}-{number}-{name}"
        self._write(Move(account_id, [source], target, removed=True, done=False))

    def cancel(self, account_id: int) -> None:
        """Forget what was begun: the directory did not change."""
        move = self._find(account_id)
        if move is None or move.done:
            return
        if len(move.former) > 1:
            self._write(attrs.evolve(move, former=move.former[:-1], target=move.former[-1], removed=False, done=True))
            return
        self._disk.remove(f"{self._folder}/{account_id}")
        with self._lock:
            self._moves.pop(account_id, None)

    def source(self, account_id: int) -> Home | None:
        """Give the folder that is still to be moved, if there is one."""
        move = self._find(account_id)
        if move is None or move.done or not os.path.isdir(self._absolute(move.former[-1])):
            return None
        return Home(self._absolute(move.former[-1]), self._layout)

    def finish(self, account_id: int) -> str:
        """
        Move the folder of an account that is not open; say where its mail is, or nothing when there is none.

        Raises:
            MailError: UNAVAILABLE, when something is in the way.
        """
        move = self._find(account_id)
        if move is None:
            return ""
        source, target = self._absolute(move.former[-1]), self._absolute(move.target)
        if not move.done:
            if os.path.lexists(source):
                if os.path.lexists(target):
                    raise MailError(Kind.UNAVAILABLE, f"the folder {target} is in the way of {source}")
                self._disk.make_folders(os.path.dirname(target))
                self._disk.rename(source, target)
            for folder in {os.path.dirname(source), os.path.dirname(target)}:
                if os.path.isdir(folder):
                    self._disk.sync_folder(folder)
            self._write(attrs.evolve(move, done=True))
        return target if os.path.isdir(target) else ""

    def _absolute(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _write(self, move: Move) -> None:
        values = attrs.asdict(move, filter=lambda attribute, _: attribute.name != "account_id")
        path = f"{self._folder}/{move.account_id}"
        self._disk.replace_file(path, json.dumps(values).encode("ascii"))
        with self._lock:
            self._moves[move.account_id] = move
