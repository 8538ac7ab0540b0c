"""The table of commands that users may rely on: names, options, ``--json``, exit status."""

import json
import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from mailsuite.cli.main import main

TABLE = {
    "init": "--hostname --domain --port-offset --listen --self-signed --admin",
    "demo": "--dir --port-offset --no-sample-mail",
    "serve": "--pidfile --daemon",
    "status": "--json",
    "stop": "",
    "check": "--dns --json",
    "config show": "--json",
    "migrate": "",
    "domain add": "",
    "domain list": "--json",
    "domain info": "--json",
    "domain set": "--catch-all",
    "domain remove": "",
    "user add": "--password --password-stdin --password-hash --admin",
    "user list": "--domain --json",
    "user info": "--json",
    "user passwd": "--password --password-stdin --password-hash",
    "user exists": "",
    "user rename": "",
    "user disable": "",
    "user enable": "",
    "user remove": "",
    "user quota": "",
    "alias add": "",
    "alias list": "--json",
    "alias remove": "",
    "queue list": "--json",
    "queue show": "--json",
    "queue retry": "",
    "queue hold": "",
    "queue release": "",
    "queue remove": "",
    "queue flush": "",
    "mailbox list": "--json",
    "mailbox import": "--mailbox",
    "mailbox export": "--format --mailbox",
    "mailbox reindex": "",
    "mailbox verify": "--json",
    "rights list": "--json",
    "rights set": "",
    "rights remove": "",
    "cert self-signed": "--hostname --days --force",
    "cert show": "--json",
    "cert check": "--ca --json",
    "completion": "",
}
WITHOUT_CONFIGURATION = {"init", "demo", "completion"}
GIVEN = {  # what each command wants to be given, so that nothing but the configuration is wrong
    "domain": ["x.test"],
    "domain set": ["x.test", "--catch-all", ""],
    "user": ["x@x.test"],
    "user list": [],
    "user add": ["x@x.test", "--password", "correct horse"],
    "user passwd": ["x@x.test", "--password", "correct horse"],
    "user rename": ["x@x.test", "y@x.test"],
    "user quota": ["x@x.test", "1G"],
    "alias": ["x@x.test", "y@x.test"],
    "alias list": [],
    "domain list": [],
    "queue": ["ID"],
    "queue list": [],
    "queue flush": [],
    "mailbox": ["x@x.test"],
    "rights": ["x@x.test", "INBOX", "anyone"],
    "rights list": ["x@x.test"],
    "rights set": ["x@x.test", "INBOX", "anyone", "lr"],
    "mailbox import": ["x@x.test", "."],
    "mailbox export": ["x@x.test", "out"],
}


def leaves(group=main, words=()):
    """Give every command that is no group, with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from leaves(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


LEAVES = dict(leaves())


def options(command):
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


@pytest.mark.parametrize("name", TABLE)
def test_every_command_of_the_table_is_there_with_its_options(name):
    assert set(TABLE[name].split()) <= options(LEAVES[name])


@pytest.mark.parametrize("name", [name for name in LEAVES if name.split()[-1] in {"list", "show", "info", "check"}])
def test_what_shows_something_can_show_it_as_json(name):
    assert "--json" in options(LEAVES[name])


@pytest.mark.parametrize("name", LEAVES)
def test_an_option_that_does_not_exist_has_status_2(name):
    result = CliRunner().invoke(main, [*name.split(), "--no-such-option"])
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


@pytest.mark.parametrize("name", sorted(LEAVES.keys() & TABLE.keys() - WITHOUT_CONFIGURATION))
def test_without_a_configuration_each_is_refused_in_one_line(name, tmp_path):
    given = GIVEN.get(name, GIVEN.get(name.split()[0], []))
    result = CliRunner().invoke(main, ["-c", str(tmp_path / "no.toml"), *name.split(), *given])
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning:")]
    assert len(lines) == 1
    assert "no.toml" in lines[0]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template") / "srv"
    arguments = ["init", str(folder), "--hostname", "mx.example.test", "--domain", "example.test", "--self-signed"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    return folder


@pytest.fixture
def server(template, tmp_path):
    shutil.copytree(template, tmp_path / "srv")
    return str(tmp_path / "srv" / "mailsuite.toml")


SHOWN = {
    "check": [],
    "config show": [],
    "domain list": [],
    "domain info": ["example.test"],
    "user list": [],
    "user info": ["ann@example.test"],
    "alias list": [],
    "queue list": [],
    "mailbox list": ["ann@example.test"],
    "mailbox verify": ["ann@example.test"],
    "rights list": ["ann@example.test"],
    "cert show": [],
    "cert check": [],
}


def test_json_is_one_document_on_standard_output(server):
    runner = CliRunner()
    runner.invoke(main, ["-c", server, "user", "add", "ann@example.test", "--password", "correct horse"])
    for name, given in SHOWN.items():
        result = runner.invoke(main, ["-c", server, *name.split(), *given, "--json"])
        assert result.exit_code == 0, (name, result.output)
        assert isinstance(json.loads(result.stdout), list | dict), name
    untried = {name for name in TABLE if "--json" in TABLE[name]} - set(SHOWN)
    assert untried == {"status", "queue show"}, "these need a server that runs or a message that waits"


# long work


@pytest.mark.parametrize("terminal", [True, False])
def test_long_work_shows_on_a_terminal_that_it_goes_on_and_is_silent_elsewhere(server, terminal):
    CliRunner().invoke(main, ["-c", server, "user", "add", "ann@example.test", "--password", "correct horse"])
    reading, writing = os.openpty() if terminal else os.pipe()
    command = [sys.executable, "-m", "mailsuite.cli.main", "-c", server, "mailbox", "reindex", "ann@example.test"]
    environment = {**os.environ, "TERM": "xterm"}
    subprocess.run(command, stderr=writing, check=True, timeout=60, env=environment)
    os.set_blocking(reading, False)
    said = os.read(reading, 65536).decode()
    os.close(writing)
    os.close(reading)
    assert "0 messages of ann@example.test are indexed" in said
    assert ("indexing ann@example.test" in said) is terminal
