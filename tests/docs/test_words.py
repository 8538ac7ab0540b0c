"""What the pages name exists: commands, options, keys, variables, events, files, messages."""

import ast
import functools
import re
import shlex
import sys
from pathlib import Path

import attrs
import pytest
from command_lines import check_command

from mailsuite.cli.main import FOREIGN
from mailsuite.imap.settings import QuirkSettings
from mailsuite.observe import EVENTS

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from reference import keys, lines, read_arguments
from transcripts import fits, pages, read_steps

ROOT = Path(__file__).parents[2]
PAGES = pages()
PROGRAMS = {"mailsuite", *FOREIGN}
KEYS = {key.path for key in keys()}
TABLES = {path.partition(".")[0] for path in KEYS}
FOREIGN_KEYS = {"docs/moving.rst"}
"""Pages that name the keys of other servers."""
TOUR_COUNT = 12
WORDS_OCTETS = 10
"""A message of ours has more text than that."""


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def literals(page):
    """Every inline literal, on one line."""
    return [re.sub(r"\s+", " ", text) for text in re.findall(r"``((?:[^`]|`(?!`))+)``", read(page))]


def block_lines(page):
    """Every indented line that is not the answer to a command; one that ends in a backslash goes on in the next."""
    answered = {line.strip() for step in read_steps(ROOT / page) for line in step.answer.splitlines()}
    text = re.sub(r"\\\n +", "", read(page))
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return [line for line in lines if line and line not in answered]


BEFORE_PROGRAM = re.compile(
    r"(?:exec |[A-Z_]+=\S+ |docker compose exec \S+ |docker (?:compose )?run .* |setpriv .* |\S*/)*"
    r"(?=mailsuite|create_user)"
)


def commands(page):
    """Every command line of ours, as its program and the words behind it."""
    shown = [text for text in literals(page) if not re.search(r"\*|\.\.\.", text)]
    for text in [*shown, *block_lines(page)]:
        for piece in re.split(r"\$ |\$\(|<\(|&&|[|;()#]| [<>]+ ?", text):
            program, _, words = BEFORE_PROGRAM.sub("", piece.strip(), count=1).partition(" ")
            if program in PROGRAMS and words.split()[1:2] != ["nofile"]:  # a user's limit of open files
                yield program, words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_ours_exists_with_its_options(page):
    for program, words in commands(page):
        check_command(shlex.split(words), program)


def test_commands_are_found_in_prose_and_blocks():
    found = [words for page in PAGES for _, words in commands(page)]
    assert "reload" in found
    assert "-c /srv/mail/mailsuite.toml user add alice@example.com" in found
    assert "init /srv/mail --hostname mx.example.com --domain example.com --self-signed" in found
    assert len(found) > 150


@pytest.mark.parametrize("page", PAGES)
def test_every_key_and_event_exists(page):
    for text in literals(page):
        name = text.partition(" = ")[0]
        is_name = re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_]+){1,2}", name) and not name.endswith((".com", ".org"))
        if not is_name or page in FOREIGN_KEYS:
            continue
        first = name.partition(".")[0]
        if name.count(".") == 1 and first in TABLES and not name.endswith((".sock", ".toml", ".db", ".lock")):
            module = (ROOT / "mailsuite" / name.replace(".", "/")).with_suffix(".py")
            assert name in KEYS or (first != "mailsuite" and module.exists()), name
        if name.count(".") == 2 and first in {event.partition(".")[0] for event in EVENTS}:
            assert name in EVENTS, name


@pytest.mark.parametrize("page", PAGES)
def test_every_environment_variable_is_one_of_a_key(page):
    known = {key.variable for key in keys()}
    named = set(re.findall(r"\bMAILSUITE_[A-Z0-9]+__[A-Z0-9_]+\b", read(page)))
    assert named - {"MAILSUITE_SECTION__KEY"} <= known


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_the_source_exists(page):
    for text in literals(page):
        if re.fullmatch(r"(?:mailsuite|docs|tests|etc|benchmarks)/[\w./@-]+", text):
            assert (ROOT / text).exists(), text


def test_every_key_is_explained():
    assert [key.path for key in keys() if not key.meaning] == []


def test_every_key_stands_on_the_page_once():
    from mailsuite.config import parse_config

    routes = {"route.domain", "route.host", "route.port", "route.tls", "route.username", "route.password"}
    sources = {"source.domain", "source.source_ipv4", "source.source_ipv6", "source.helo_name"}
    quirks = {f"imap_quirk.{name}" for name in attrs.fields_dict(QuirkSettings)}
    assert (
        routes | sources | quirks | {item.key for item in parse_config({}, "/srv/mailsuite.toml", {}).effective} == KEYS
    )
    assert len(KEYS) == len(list(keys()))
    shown = "\n".join(lines())
    assert all(f"``{key.name}``" in shown for key in keys())
    assert all(f"``[{table}]``" in shown or f"``[[{table}]]``" in shown for table in TABLES)


def test_the_page_says_for_which_keys_a_reload_is_enough():
    reload = {key.path for key in keys() if key.reload}
    assert {
        "smtp.message_max_octets",
        "imap.idle_seconds",
        "tls.certificate",
        "limits.rates",
        "route.host",
        "source.domain",
        "imap_quirk.off",
    } <= reload
    assert reload.isdisjoint({"server.workers", "storage.layout", "listen.smtp", "log.level", "queue.poll_seconds"})


def test_explanations_are_read_to_their_end():
    class Settings:
        """
        Some.

        Args:
            one: first line
                and second, see `two`.
            two: another.

        More.
        """

    assert read_arguments(Settings) == {"one": "first line and second, see ``two``.", "two": "another."}


def test_the_tour_has_twelve_files():
    files = re.findall(r"^``(mailsuite/\S+)``$", read("docs/tour.rst"), re.MULTILINE)
    assert len(files) == len(set(files)) == TOUR_COUNT


# what the server says


@functools.cache
def sayings():
    """Every text of ours that is long enough to be a message, as a pattern."""
    found = [re.sub(r"\{[^}]*\}", "\0", event.format) for event in EVENTS.values()]
    for path in (ROOT / "mailsuite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    patterns = {text for text in found if len(text.replace("\0", "")) >= WORDS_OCTETS}
    return [re.compile(".*".join(map(re.escape, text.split("\0")))) for text in patterns]


def is_said(text):
    """Whether some text of ours is what this one ends with."""
    return any(
        any(match.end() == len(text) and len(match[0]) > len(text) / 3 for match in pattern.finditer(text))
        for pattern in sayings()
    )


def quoted():
    """What the page says the server says, where no command shows it."""
    blocks = [line for line in block_lines("docs/troubleshooting.rst") if not line.startswith("$ ")]
    return [*blocks, *(text for text in literals("docs/troubleshooting.rst") if re.match(r"[245]\d\d ", text))]


def test_messages_that_the_page_quotes_are_ours():
    found = [text for text in quoted() if not text.startswith("--")]
    assert len(found) > 15
    assert [text for text in found if not is_said(text)] == []
    assert not is_said("550 5.1.1 we do not like you at all")


def test_fitting_needs_the_whole():
    assert not fits("a", "b")
