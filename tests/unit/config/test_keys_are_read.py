"""A key that nobody reads would be a lie: its package reads it, or what puts packages together."""

import ast
import functools
from pathlib import Path

import attrs
import pytest

from mailsuite.config.schema import PARTS
from mailsuite.imap.settings import QuirkSettings
from mailsuite.mta.settings import RouteSettings, SourceSettings

SOURCES = Path(__file__).parents[3] / "mailsuite"
JOINING = {"service", "cli"}
"""Packages that see every setting."""

EXCUSED = {"storage.backend": "there is one backend yet, so nobody has to ask which"}
"""Keys of present features that nobody reads, and why that is right."""


def attributes(tree):
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def packages_of(module):
    package = module.split(".")[1]
    return JOINING | {package} | ({"smtp"} if package == "mta" else set())


@functools.cache
def read_names(module):
    """Names of attributes that are read where settings of this module matter, but for the module itself."""
    names = set()
    for path in SOURCES.rglob("*.py"):
        relative = path.relative_to(SOURCES)
        passing_on = relative.name in {"settings.py", "schema.py"} or "convert" in relative.parts
        if relative.parts[0] in packages_of(module) and not passing_on:
            names |= attributes(ast.parse(path.read_text("utf-8")))
    own = ast.parse((SOURCES / module.partition(".")[2].replace(".", "/")).with_suffix(".py").read_text("utf-8"))
    methods = [node for node in ast.walk(own) if isinstance(node, ast.FunctionDef) and node.name in names]
    return names.union(*map(attributes, methods))


def keys():
    """Every key of a feature that exists, with the module and the name of each field that carries its value."""
    carriers = {}
    for part in PARTS:
        for name in attrs.fields_dict(part.settings) if part.present else ():
            path = part.taken.get(name, f"{part.table}.{name}")
            if name not in part.fixed:
                carriers.setdefault(path, []).append((part.settings.__module__, name))
    return carriers


@pytest.mark.parametrize(("path", "carriers"), keys().items(), ids=keys())
def test_every_key_is_read(path, carriers):
    read = any(name in read_names(module) for module, name in carriers)
    assert read != (path in EXCUSED), EXCUSED.get(path, f"nobody reads {path}")


@pytest.mark.parametrize("settings", [RouteSettings, SourceSettings, QuirkSettings])
def test_every_key_of_a_table_of_which_there_may_be_several_is_read(settings):
    assert set(attrs.fields_dict(settings)) <= read_names(settings.__module__)
