"""
Note beside the mail how it lies, so that nothing is opened, and found empty, in another layout.

While a conversion is under way its journal lies there, too, and nothing is opened at all.
"""

import json
import os
from collections.abc import Sequence

from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.store.settings import Layout
from mailsuite.store.unwritable import reason_of

FILE = "..layout"
JOURNAL = "..convert"


def read_layout(disk: Disk, root: str) -> Layout | None:
    """
    Tell in which layout the accounts lie; None where nobody has noted it.

    Raises:
        MailError: CONFLICT, for a layout that this version does not know.
    """
    path = f"{root}/{FILE}"
    if not os.path.exists(path):
        return None
    text = disk.read_file(path).decode("ascii", "replace").strip()
    if text and text not in {layout.value for layout in Layout}:
        raise MailError(Kind.CONFLICT, f"the mail in {root} lies in layout {text!r}, which this version does not know")
    return Layout(text) if text else None


def write_layout(disk: Disk, root: str, layout: Layout) -> None:
    """Note in which layout the accounts lie."""
    disk.replace_file(f"{root}/{FILE}", f"{layout.value}\n".encode("ascii"))


def read_journal(disk: Disk, root: str) -> tuple[Layout, Sequence[tuple[str, str]]]:
    """Read what a conversion is about: the layout, and all steps."""
    content = json.loads(disk.read_file(f"{root}/{JOURNAL}"))
    return Layout(content["to"]), [(source, target) for source, target in content["steps"]]


def ensure_layout(disk: Disk, root: str, layout: Layout) -> None:
    """
    Make sure that the accounts lie as the configuration says; note it where nobody has.

    Raises:
        MailError: CONFLICT, with what to do.
    """
    if os.path.exists(f"{root}/{JOURNAL}"):
        wanted = read_journal(disk, root)[0].value
        raise MailError(
            Kind.CONFLICT, f"a conversion of {root} was cut off: end it with: mailsuite storage convert --to {wanted}"
        )
    found = read_layout(disk, root)
    if found is None:
        # Several processes may do it at the same time; all write the same.
        try:
            disk.write_file(f"{root}/{FILE}", [f"{layout.value}\n".encode("ascii")], sync=False)
        except OSError as error:
            if not reason_of(error):
                raise
    elif found is not layout:
        raise MailError(
            Kind.CONFLICT,
            f"the mail in {root} lies in layout {found.value}, and storage.layout says {layout.value}:"
            f" set that to {found.value}, or run: mailsuite storage convert --to {layout.value}",
        )
