"""What the pages tell a reader to type works, and answers what they say."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from free_ports import free_offset

sys.path.insert(0, str(Path(__file__).parent))

from transcripts import Terminal, fits, pages, programs, read_steps

ROOT = Path(__file__).parents[2]
PACKAGES = {"ssh": "openssh-client", "dig": "bind9-dnsutils"}
ELSEWHERE = {"docs/embedding.rst": "test_examples.py runs its programs"}
"""Pages whose commands are run by another test, and which."""
PAGES = [page for page in pages() if read_steps(ROOT / page) and page not in ELSEWHERE]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_answers_as_shown(page, tmp_path):
    steps = read_steps(ROOT / page)
    assert steps
    for program in sorted(programs(steps)):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program} (Debian package {PACKAGES.get(program, program)})")
    terminal = Terminal(tmp_path, free_offset())
    try:
        for step in steps:
            terminal.run(step)
        terminal.stop_servers()
    finally:
        terminal.kill_servers()


def test_commands_and_answers_are_read_from_a_page(tmp_path):
    page = tmp_path / "page.rst"
    page.write_text("Text::\n\n    $ one \\\n        more\n    answer\n\n    rest\n    $ two\n\nText\n")
    assert [(step.line, step.command, step.answer) for step in read_steps(page)] == [
        (3, "one more", "answer\n\nrest"),
        (8, "two", ""),
    ]


@pytest.mark.parametrize("page", pages())
def test_no_command_stands_where_it_would_not_be_run(page):
    shown = re.findall(r"^ *\$ ", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert len(shown) == len(read_steps(ROOT / page))


def test_pages_with_commands_are_found():
    assert {"README.rst", "docs/quickstart.rst", "docs/operations.rst", "docs/troubleshooting.rst"} <= set(PAGES)
    assert all(read_steps(ROOT / page) for page in ELSEWHERE)


def test_an_answer_fits_only_what_was_printed():
    assert fits("a\n...\nd", "a\nb\nc\nd\n")
    assert fits("", "")
    assert not fits("a", "a\nb")
    assert not fits("a...c", "a\nb")
