"""The catalogue and the source say the same."""

import ast
import functools
import re
import string
from pathlib import Path

import mailsuite
from mailsuite.observe import EVENTS

NAME = re.compile(r"[a-z0-9]+(\.[a-z0-9_]+){2,3}")
IDS = {"session", "peer", "account", "queue_id"}
SOURCE = Path(mailsuite.__file__).parent


@functools.cache
def _emitted():
    """Find each call of ``emit`` and ``failure``: event name, keyword names, whether there may be more of them."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if node.func.attr not in {"emit", "failure"} or path.name == "log.py":
                continue
            names = [item.value for item in ast.walk(node.args[0]) if isinstance(item, ast.Constant)]
            keywords = {keyword.arg for keyword in node.keywords}
            where = f"{path.relative_to(SOURCE)}:{node.lineno}"
            found += [(name, keywords, where) for name in names if isinstance(name, str) and NAME.fullmatch(name)]
    return found


def test_every_emitted_event_is_in_the_catalogue():
    assert [(where, name) for name, _, where in _emitted() if name not in EVENTS] == []


def test_every_event_in_the_catalogue_is_emitted():
    assert sorted(set(EVENTS) - {name for name, _, _ in _emitted()}) == []


def test_events_are_emitted_with_the_fields_that_the_catalogue_names():
    wrong = []
    for name, keywords, where in _emitted():
        if None in keywords or name not in EVENTS:
            continue  # fields passed on as a mapping are checked where the mapping is made
        if keywords - IDS != set(EVENTS[name].fields) - IDS:
            wrong.append((where, name, sorted(keywords ^ set(EVENTS[name].fields))))
    assert wrong == []


def test_formats_use_fields_of_the_event_or_ids_of_the_session():
    for name, event in EVENTS.items():
        used = {field for _, field, _, _ in string.Formatter().parse(event.format) if field is not None}
        assert used <= set(event.fields) | IDS, name


def test_names_are_three_words_the_last_one_past():
    assert [name for name in EVENTS if not NAME.fullmatch(name)] == []
