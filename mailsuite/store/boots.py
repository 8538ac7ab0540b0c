"""
Remember at the end of which runs of the kernel everything was synced.

An account whose index was last written in another run of the kernel may have lost what clients were shown, unless the
store was stopped in order before that run ended.
"""

import os

from mailsuite.durable import Disk

FILE = "..stopped"
LINES_MAX = 1000


def take(disk: Disk, root: str, boot: str) -> frozenset[str]:
    """List the runs that ended in order; the present one no longer counts, since it goes on."""
    lines = _read(disk, root)
    if boot in lines:
        lines.remove(boot)
        _write(disk, root, lines)
    elif os.path.exists(f"{root}/{FILE}"):
        disk.sync_folder(root)  # who took it may not have come that far
    return frozenset(lines)


def give(disk: Disk, root: str, boot: str) -> None:
    """Everything of this run is synced."""
    lines = _read(disk, root)
    if boot and boot not in lines:
        _write(disk, root, [*lines, boot][-LINES_MAX:])


def _read(disk: Disk, root: str) -> list[str]:
    path = f"{root}/{FILE}"
    return disk.read_file(path).decode("ascii", "replace").split() if os.path.exists(path) else []


def _write(disk: Disk, root: str, lines: list[str]) -> None:
    disk.replace_file(f"{root}/{FILE}", "".join(f"{line}\n" for line in lines).encode("ascii", "replace"))
