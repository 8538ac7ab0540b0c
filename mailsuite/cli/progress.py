"""Show on a terminal that long work goes on."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Show what goes on, and for how long, until it is done; where standard error is no terminal, nothing."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(text, total=None)
        yield
