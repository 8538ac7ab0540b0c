"""Processes held to a part of a processor, so that the load of a benchmark never takes theirs."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 10_000


@contextlib.contextmanager
def held(processes: Iterable[int], percent: int) -> Iterator[None]:
    """
    Hold each process to a part of one processor; needs root, and groups that may be written (version 1 or 2).

    Args:
        percent: of one processor; 0 holds nobody.
    """
    made: list[Path] = []
    try:
        for process in processes if percent else ():
            made.append(_make(f"mailsuite-benchmark-{process}", percent))
            (made[-1] / "cgroup.procs").write_text(f"{process}\n", encoding="ascii")
        yield
    except OSError as error:
        raise SystemExit(f"processes cannot be held to a part of a processor here: {error}") from error
    finally:
        for group in made:
            for process in (group / "cgroup.procs").read_text(encoding="ascii").split():
                (group.parent / "cgroup.procs").write_text(f"{process}\n", encoding="ascii")
            group.rmdir()


def _make(name: str, percent: int) -> Path:
    quota = PERIOD_MICROSECONDS * percent // 100
    first = GROUPS / "cpu"
    if first.is_dir():
        group = first / name
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text(f"{PERIOD_MICROSECONDS}", encoding="ascii")
        (group / "cpu.cfs_quota_us").write_text(f"{quota}", encoding="ascii")
    else:
        group = GROUPS / name
        group.mkdir()
        (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}", encoding="ascii")
    return group
