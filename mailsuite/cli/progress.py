"""Say on standard error that long work goes on, and how far it has come."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from mailsuite.cli.session import say

Item = TypeVar("Item")

SHOWN_FROM = 50
"""Fewer things than that are done before anybody wonders."""
LINE_EVERY = 500


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Show what goes on, and for how long, until it is done; where standard error is no terminal, nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(text, total=None)
        yield


def counted(items: Iterable[Item], text: str) -> Iterator[Item]:
    """Pass items on, and show on a terminal how many there were; elsewhere, nothing."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}: {task.completed}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(text, total=None)
        for item in items:
            yield item
            bar.advance(task)


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that takes how many of `total` are done: a bar on a terminal, a line now and then elsewhere."""
    if total < SHOWN_FROM:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)
    else:
        yield lambda done: say(f"{what}: {done} of {total}") if done % LINE_EVERY == 0 and done < total else None
