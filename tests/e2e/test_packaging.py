"""What is packed, and what is found once it is installed."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "_build", "_generated")
NAME = "from setuptools import build_meta; print(build_meta.{}(sys.argv[1]))"


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Build a wheel and a source distribution from a copy of the tree."""
    folder = tmp_path_factory.mktemp("packed")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
    files = []
    for kind in ("build_wheel", "build_sdist"):
        code = f"import sys; {NAME.format(kind)}"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, str(folder)],
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        files.append(folder / done.stdout.split()[-1])
    shutil.rmtree(tree / "build", ignore_errors=True)
    return tree, *files


def ours(tree, pattern):
    return {path.relative_to(tree).as_posix() for path in tree.glob(pattern) if path.is_file()}


@pytest.mark.slow
def test_the_wheel_holds_all_that_runs_and_nothing_else(packed):
    tree, wheel, _ = packed
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = ours(tree, "mailsuite/**/*.py") | ours(tree, "mailsuite/**/*.sql") | {"mailsuite/py.typed"}
    assert any(name.endswith(".sql") for name in wanted)
    assert any("/migrations/" in name for name in wanted)
    assert {name for name in names if ".dist-info/" not in name} == wanted | {"twisted/plugins/mailsuite_plugin.py"}
    metadata = next(name for name in names if name.endswith("entry_points.txt"))
    programs = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "mailsuite = mailsuite.cli.main:main" in programs
    assert all(f"\n{name} = " in programs for name in ("create_user", "mailserver", "mail-user"))


@pytest.mark.slow
def test_the_source_distribution_holds_what_packagers_and_testers_need(packed):
    tree, _, source = packed
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"LICENSE", "README.rst", "NEWS.rst", "SECURITY.rst", "CONTRIBUTING.rst", "setup.cfg", "pyproject.toml"}
    wanted |= ours(tree, "etc/**/*") | ours(tree, "tests/**/*.py") | ours(tree, "docs/examples/*.py")
    wanted |= ours(tree, "docs/**/*.rst") | ours(tree, "tests/data/**/*.*")
    wanted |= {"docs/features.tsv", "docs/rfc/ledger.tsv", "docs/public-api.txt", "twisted/plugins/mailsuite_plugin.py"}
    assert wanted - names == set()


def test_twistd_lists_the_plugins():
    done = subprocess.run(
        [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "--help"],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    listed = {line.split()[0] for line in done.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert {"mailsuite", "mailsuite-smtp", "mailsuite-imap", "mailsuite-pop3"} <= listed
