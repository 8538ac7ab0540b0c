"""Sphinx settings; pages made from the code are written to ``docs/_generated`` before each build."""

import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from reference import lines as key_lines  # noqa: E402

from mailsuite import __version__  # noqa: E402
from mailsuite.observe import EVENTS  # noqa: E402

project = "mailsuite"
author = "The mailsuite authors"
copyright = "2026, The mailsuite authors"
version = release = __version__
extensions: list[str] = []
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"mailsuite {__version__}"
nitpicky = True


def write_events() -> None:
    """Make the list of events from the catalogue."""
    lines = [
        "Events",
        "======",
        "",
        "Every event that mailsuite can log, made from ``mailsuite/observe/catalog.py``.",
        "",
    ]
    lines += [".. list-table::", "   :header-rows: 1", "   :widths: 30 10 60", ""]
    lines += ["   * - event", "     - level", "     - fields"]
    for name in sorted(EVENTS):
        event = EVENTS[name]
        fields = "; ".join(f"``{field}``: {meaning}" for field, meaning in event.fields.items()) or "none of its own"
        lines += [f"   * - ``{name}``", f"     - {event.level.name}", f"     - {fields}"]
    write_page("events.rst", lines)


def write_page(name: str, lines: Iterable[str]) -> None:
    """Write what was made from the code."""
    (HERE / "_generated").mkdir(exist_ok=True)
    (HERE / "_generated" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def setup(app: object) -> None:
    """Write the generated pages."""
    del app
    write_events()
    write_page("keys.inc", key_lines())
