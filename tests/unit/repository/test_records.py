"""What the repository says of itself is true."""

import ast
import csv
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted((ROOT / "mailsuite").rglob("*.py"))
FEATURE_COUNT = 445
MODULE_LINES_MAX = 700
NAMES_IN_SQL = {
    "mailsuite/store/reading.py",
    "mailsuite/store/statements.py",
    "mailsuite/directory/rosters.py",
    "mailsuite/mta/queue_statements.py",
}
"""Modules that put names of tables and columns, which nobody sends, into a statement."""


def rows(path: str) -> list[dict[str, str]]:
    with (ROOT / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def exists(proof: str) -> bool:
    path, _, names = proof.partition("::")
    file = ROOT / path
    if not file.is_file():
        return False
    if not names:
        return True
    name = re.sub(r"\[.*\]$", "", names)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name for node in ast.walk(tree)
    )


def test_every_feature_is_listed_once() -> None:
    ids = [row["id"] for row in rows("docs/features.tsv")]
    assert len(ids) == FEATURE_COUNT
    assert len(set(ids)) == FEATURE_COUNT


def test_a_feature_is_done_only_with_a_proof_that_exists() -> None:
    for row in rows("docs/features.tsv"):
        assert row["state"] in {"done", "part", "no"}, row
        proofs = [proof for proof in (row["proof"] or "").split(" ") if proof]
        assert proofs or row["state"] == "no", f"{row['id']} names no proof"
        for proof in proofs:
            assert exists(proof), f"{row['id']} names {proof}, which does not exist"


def test_every_rfc_cited_is_in_the_ledger() -> None:
    known = {row["rfc"] for row in rows("docs/rfc/ledger.tsv")}
    cited = {
        (number, path.relative_to(ROOT).as_posix())
        for path in SOURCES
        for number in re.findall(r"\bRFC (\d+)\b", path.read_text(encoding="utf-8"))
    }
    assert {(number, path) for number, path in cited if number not in known} == set()


def test_the_ledger_is_in_order_and_names_a_state_for_each() -> None:
    ledger = rows("docs/rfc/ledger.tsv")
    numbers = [int(row["rfc"]) for row in ledger]
    assert numbers == sorted(set(numbers))
    assert {row["state"] for row in ledger} <= {"yes", "partial", "no"}
    assert all(row["title"] for row in ledger)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_is_too_long_to_read(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MODULE_LINES_MAX


def test_no_statement_holds_what_somebody_sent() -> None:
    """Values are bound; a linter rule refuses the rest, and each exception to it says whose the name is."""
    excused = {
        path.relative_to(ROOT).as_posix(): re.findall("noqa: S608.*", path.read_text(encoding="utf-8"))
        for path in SOURCES
        if "S608" in path.read_text(encoding="utf-8")
    }
    assert set(excused) == NAMES_IN_SQL
    assert all(
        re.search("S608 - (our own names|a name from the schema|one of three names)", line)
        for found in excused.values()
        for line in found
    )
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'select = ["ALL"]' in settings
    assert not re.search(r'^  "S608?"', settings.split("[tool.ruff.lint.per-file-ignores]")[0], re.MULTILINE)
