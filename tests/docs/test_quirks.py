"""The page about IMAP shows the rows that come with mailsuite, and no others."""

import re
from pathlib import Path

from mailsuite.imap.quirks import SHIPPED, SWITCHABLE, describe

PAGE = (Path(__file__).parents[2] / "docs" / "imap.rst").read_text(encoding="utf-8")


def test_the_table_of_faults_is_the_one_that_acts():
    _, _, section = PAGE.partition("\nPrograms with faults\n")
    table = section.partition(".. list-table::")[2].partition("\nMailboxes\n")[0]
    head, *shown = [re.findall(r"- (.+)", row) for row in re.split(r"\n   \* ", table)[1:]]
    assert head == ["program", "off", "because it", "source"]
    assert shown == [[describe(row), ", ".join(row.off), row.reason, row.source] for row in SHIPPED]


def test_what_is_not_offered_is_told():
    missing = sorted({name for row in SHIPPED for name in row.off} - {name.decode("ascii") for name in SWITCHABLE})
    assert re.findall(r"^(\S+) is not offered by this version\.$", PAGE, re.MULTILINE) == missing
