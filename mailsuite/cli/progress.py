"""Say how far a long command has come: a bar on a terminal, a line now and then elsewhere; always on standard error."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from mailsuite.cli.session import say

SHOWN_FROM = 50
"""Fewer things than that are done before anybody wonders."""
LINE_EVERY = 500


@contextlib.contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that takes how many of `total` are done."""
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
