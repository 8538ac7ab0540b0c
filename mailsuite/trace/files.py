"""
The files of the trace: ``2026-11-29.db``, and ``2026-11-29.1.db`` and so on where one became too big or was damaged.

Several processes write into the newest file of the day. Who finds it full or damaged goes on in the next one, whose
name all of them find alike; so no file is ever renamed while another process has it open.
"""

import datetime as dt
import os
import re
from collections.abc import Sequence

import attrs

from mailsuite.durable import Disk

_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\.(\d{1,6}))?\.db(?:-wal|-shm)?")
_ENDINGS = ("", "-wal", "-shm")
PARTS_OF_LIMIT = 8  # a part of a day is at most this part of everything, so that what goes is little at a time
PART_MIN_OCTETS = 2**20


@attrs.frozen(order=True)
class Part:
    """
    One database.

    Args:
        day: as ISO 8601 has it, in UTC.
        number: 0 is the first of its day.
    """

    day: str
    number: int = 0

    @property
    def file_name(self) -> str:
        """Name the file."""
        return f"{self.day}.{self.number}.db" if self.number else f"{self.day}.db"

    @property
    def next(self) -> "Part":
        """Name the part that follows."""
        return attrs.evolve(self, number=self.number + 1)


def day_of(seconds: float) -> str:
    """Name the day of a moment."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).date().isoformat()


def part_max_octets(max_octets: int) -> int:
    """Say how big a part may become."""
    return max(PART_MIN_OCTETS, max_octets // PARTS_OF_LIMIT)


@attrs.frozen
class TraceFolder:
    """The folder of all parts. Methods block."""

    path: str
    disk: Disk

    def path_of(self, part: Part) -> str:
        """Say where a part lies."""
        return os.path.join(self.path, part.file_name)

    def parts(self) -> Sequence[Part]:
        """Name what is there, the oldest first, also where only a log of it is left; nothing without a folder."""
        try:
            names = self.disk.listdir(self.path)
        except FileNotFoundError:
            return ()
        found = {Part(match[1], int(match[2] or 0)) for name in names if (match := _NAME.fullmatch(name))}
        return sorted(found)

    def choose(self, day: str, part_octets: int, unfit: Part | None = None) -> Part:
        """
        Choose the part of a day to write into.

        Args:
            part_octets: one of this size is full.
            unfit: cannot be used.
        """
        parts = [part for part in self.parts() if part.day == day]
        if not parts:
            return Part(day)
        newest = parts[-1]
        if newest == unfit or self.size(newest) >= part_octets:
            return newest.next
        return newest

    def size(self, part: Part) -> int:
        """Count the octets of a part."""
        return sum(self._size(self.path_of(part) + ending) for ending in _ENDINGS)

    def _size(self, path: str) -> int:
        try:
            return self.disk.stat(path).st_size
        except FileNotFoundError:
            return 0

    def sweep(self, oldest_day: str, max_octets: int, in_use: Part) -> None:
        """
        Remove what is too old, and the oldest of what is too much.

        Args:
            oldest_day: the first that is kept.
            in_use: is kept.
        """
        kept = []
        for part in self.parts():
            if part.day < oldest_day and part != in_use:
                self._remove(part)
            else:
                kept.append(part)
        sizes = {part: self.size(part) for part in kept}
        total = sum(sizes.values())
        for part in kept:
            if total <= max_octets or part >= in_use:
                return
            self._remove(part)
            total -= sizes[part]

    def _remove(self, part: Part) -> None:
        for ending in _ENDINGS:
            self.disk.remove(self.path_of(part) + ending)
