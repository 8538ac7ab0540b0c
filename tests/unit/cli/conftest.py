"""The command line on a server's folder."""

import shutil

import pytest
from click.testing import CliRunner

from mailsuite.cli.main import main


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Make one server; signing keys and migrations take their time."""
    folder = tmp_path_factory.mktemp("template") / "srv"
    arguments = ["init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test"]
    made = CliRunner().invoke(main, arguments)
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture
def run(template, tmp_path, monkeypatch):
    """Run a command on a server of the test's own."""
    monkeypatch.delenv("MAILSUITE_CONFIG", raising=False)
    shutil.copytree(template, tmp_path / "srv")
    path = tmp_path / "srv" / "mailsuite.toml"
    runner = CliRunner()

    def call(*arguments, status=0, stdin=None):
        result = runner.invoke(main, ["-c", str(path), *arguments], input=stdin)
        assert result.exit_code == status, (result.output, result.exception)
        return result

    call.path = path
    return call
