"""What each package offers, and what importing it brings along."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(
    path.parent.relative_to(ROOT).as_posix().replace("/", ".") for path in ROOT.glob("mailsuite/*/__init__.py")
)
STORES = {"sqlite3", "mailsuite.store", "mailsuite.directory", "mailsuite.mta", "sqlalchemy", "alembic", "passlib"}
ABSENT = {
    "mailsuite.imap": {*STORES, "twisted.web", "twisted.conch"},
    "mailsuite.smtp": {*STORES, "mailsuite.imap", "mailsuite.pop3", "twisted.web", "twisted.conch"},
    "mailsuite.pop3": {*STORES, "mailsuite.imap", "mailsuite.smtp", "twisted.web", "twisted.conch"},
    "mailsuite.message": {"sqlite3", "mailsuite.durable", "mailsuite.observe"},
    "mailsuite.store": {"mailsuite.imap", "mailsuite.pop3", "mailsuite.smtp", "mailsuite.mta", "sqlalchemy"},
    "mailsuite.mta": {"mailsuite.imap", "mailsuite.pop3", "mailsuite.store", "mailsuite.directory", "sqlalchemy"},
    "mailsuite.sharing": {*STORES, "mailsuite.imap", "mailsuite.pop3", "mailsuite.smtp", "twisted.web"},
    "mailsuite.service": {"mailsuite.cli", "twisted.web", "twisted.conch", "alembic"},
    "mailsuite.manhole": {*STORES, "mailsuite.imap", "mailsuite.pop3", "mailsuite.smtp", "twisted.conch"},
    "mailsuite.cli.main": {"sqlalchemy", "alembic", "rich", "twisted", "mailsuite.store", "mailsuite.service"},
}


def published() -> dict[str, list[str]]:
    """Read docs/public-api.txt: a package at the margin, its names below it."""
    names: dict[str, list[str]] = {}
    package = ""
    for line in (ROOT / "docs" / "public-api.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            names[package].append(line.strip())
        elif line:
            package = line
            names[package] = []
    return names


def offered(package: str) -> list[str]:
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return sorted(ast.literal_eval(node.value))
    return []


def test_the_published_names_are_those_that_the_packages_offer():
    assert published() == {package: offered(package) for package in PACKAGES if offered(package)}


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_offered_exists_and_is_described(package):
    module = importlib.import_module(package)
    assert module.__doc__
    assert "To be described" not in module.__doc__
    for name in offered(package):
        assert hasattr(module, name), name


@pytest.mark.parametrize("name", ABSENT)
def test_importing_does_not_bring_along_what_it_does_not_need(name):
    code = f"import sys, {name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ABSENT[name] & set(done.stdout.split()) == set()
