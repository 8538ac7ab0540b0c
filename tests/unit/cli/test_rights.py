"""``mailsuite rights`` without a server: on the folder itself."""

import json

import pytest
from click.testing import CliRunner

from mailsuite.cli.main import main


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "srv"
    arguments = ["init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test", "--self-signed"]
    assert CliRunner().invoke(main, arguments).exit_code == 0

    def run(*arguments, expect=0):
        result = CliRunner().invoke(main, ["-c", str(folder / "mailsuite.toml"), *arguments])
        assert result.exit_code == expect, result.output
        return result

    for name in ("ann", "ben"):
        run("user", "add", f"{name}@example.test", "--password", "correct horse")
    return run


def listed(run):
    return json.loads(run("rights", "list", "ann@example.test", "--json").stdout)


def test_rights_are_set_listed_and_removed(run):
    assert listed(run) == []
    run("rights", "set", "ann@example.test", "INBOX", "Ben@example.test", "srl")
    run("rights", "set", "ann@example.test", "Sent", "anyone", "l")
    assert listed(run) == [
        {"mailbox": "INBOX", "identifier": "ben@example.test", "rights": "lrs"},
        {"mailbox": "Sent", "identifier": "anyone", "rights": "l"},
    ]
    run("rights", "remove", "ann@example.test", "Sent", "anyone")
    run("user", "remove", "ben@example.test")
    assert listed(run) == []
    run("user", "add", "ben@example.test", "--password", "correct horse")
    assert listed(run) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ann@example.test", "INBOX", "ben@example.test", "lrq"], "rights are letters"),
        (["ann@example.test", "INBOX", "zoe@example.test", "lr"], "no account zoe@example.test"),
        (["ann@example.test", "Nothing", "ben@example.test", "lr"], "no such mailbox"),
        (["ann@example.test", "INBOX", "ann@example.test", "lr"], "all rights"),
        (["zoe@example.test", "INBOX", "ben@example.test", "lr"], "no account zoe@example.test"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_line(run, arguments, said):
    result = run("rights", "set", *arguments, expect=1)
    assert said in result.stderr
    assert len([line for line in result.stderr.splitlines() if not line.startswith("warning:")]) == 1


def test_anyone_can_be_turned_off(run, monkeypatch):
    monkeypatch.setenv("MAILSUITE_SHARING__ANYONE", "false")
    assert "sharing.anyone" in run("rights", "set", "ann@example.test", "INBOX", "anyone", "l", expect=1).stderr
    run("rights", "remove", "ann@example.test", "INBOX", "anyone")
