import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mailsuite.cli.main import COMMANDS, main


def test_help_names_every_command_and_imports_none():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.output for name in COMMANDS)
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom mailsuite.cli.main import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "heavy = {'twisted.internet', 'sqlalchemy', 'rich', 'cryptography', 'mailsuite.smtp', 'mailsuite.config'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_a_reader_that_has_seen_enough_is_no_error(run):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "mailsuite.cli.main", "-c", str(run.path), "config", "show"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + 13, b"")


def test_users_are_added_listed_changed_and_removed(run):
    run("user", "add", "Alice@example.test", "--password", "correct horse")
    run("user", "add", "bob@example.test", "--password-stdin", "--quota", "2M", stdin="battery staple\n")
    rows = json.loads(run("user", "list", "--json").stdout)
    assert [(row["email"], row["quota_octets"], row["enabled"]) for row in rows] == [
        ("alice@example.test", 0, True),
        ("bob@example.test", 2 * 2**20, True),
    ]
    run("user", "disable", "bob@example.test")
    run("user", "quota", "bob@example.test", "1G")
    run("user", "rename", "bob@example.test", "rob@example.test")
    facts = json.loads(run("user", "info", "rob@example.test", "--json").stdout)
    assert (facts["enabled"], facts["quota_octets"], facts["has_password"]) == (False, 2**30, True)
    run("user", "enable", "rob@example.test")
    run("user", "exists", "rob@example.test")
    run("user", "exists", "bob@example.test", status=1)
    run("user", "passwd", "rob@example.test", "--password", "another one")
    run("user", "remove", "rob@example.test")
    assert len(json.loads(run("user", "list", "--domain", "example.test", "--json").stdout)) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "add", "x@elsewhere.test", "--password", "correct horse"),
        ("user", "add", "not an address", "--password", "correct horse"),
        ("user", "add", "x@example.test", "--password", "short"),
        ("user", "add", "x@example.test", "--password-hash", "nonsense"),
        ("user", "info", "nobody@example.test"),
        ("user", "remove", "nobody@example.test"),
        ("user", "passwd", "nobody@example.test", "--password", "correct horse"),
        ("user", "list", "--domain", "elsewhere.test"),
        ("alias", "add", "x@elsewhere.test", "y@example.test"),
        ("alias", "remove", "x@example.test"),
        ("domain", "add", "example.test"),
        ("domain", "info", "elsewhere.test"),
        ("domain", "remove", "elsewhere.test"),
        ("queue", "show", "nothing"),
    ],
)
def test_a_refusal_is_one_line_on_standard_error_and_status_1(run, arguments):
    result = run(*arguments, status=1)
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning:")]
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("user", "add"),
        ("user", "add", "x@example.test"),
        ("user", "add", "x@example.test", "--password", "correct horse", "--password-hash", "x"),
        ("user", "quota", "x@example.test", "much"),
        ("domain", "set", "example.test"),
    ],
)
def test_wrong_use_has_status_2(run, arguments):
    run(*arguments, status=2)


def test_aliases_and_domains(run):
    run("user", "add", "alice@example.test", "--password", "correct horse")
    run("alias", "add", "sales@example.test", "alice@example.test", "far@elsewhere.test")
    assert json.loads(run("alias", "list", "--json").stdout) == [
        {"source": "sales@example.test", "targets": ["alice@example.test", "far@elsewhere.test"]}
    ]
    run("alias", "remove", "sales@example.test", "far@elsewhere.test")
    run("domain", "add", "second.test")
    run("domain", "set", "second.test", "--catch-all", "alice@example.test")
    facts = json.loads(run("domain", "info", "second.test", "--json").stdout)
    assert facts["catch_all"] == "alice@example.test"
    assert [row["name"] for row in json.loads(run("domain", "list", "--json").stdout)] == [
        "example.test",
        "second.test",
    ]
    run("domain", "remove", "second.test")


def test_the_configuration_may_be_named_before_and_behind_the_command(run):
    result = CliRunner().invoke(main, ["user", "list", "-c", str(run.path), "--json"])
    assert json.loads(result.stdout) == []


def test_the_environment_names_the_configuration(run, monkeypatch):
    monkeypatch.setenv("MAILSUITE_CONFIG", str(run.path))
    assert CliRunner().invoke(main, ["user", "list"]).exit_code == 0


def test_without_a_configuration_the_way_to_one_is_told(tmp_path):
    result = CliRunner().invoke(main, ["-c", str(tmp_path / "no.toml"), "user", "list"])
    assert result.exit_code == 1
    assert "mailsuite init" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_init_keeps_what_is_there(run):
    before = run.path.read_text()
    result = CliRunner().invoke(main, ["init", str(run.path.parent), "--hostname", "x.test", "--domain", "x.test"])
    assert result.exit_code == 1
    assert run.path.read_text() == before


def test_init_prints_records_and_the_administrators_password_once(tmp_path):
    arguments = ["init", str(tmp_path / "a"), "--hostname", "mx.example.test", "--domain", "example.test"]
    result = CliRunner().invoke(main, [*arguments, "--self-signed", "--admin", "root@example.test"])
    assert result.exit_code == 0, result.output
    for words in ("IN MX 10 mx.example.test.", "v=spf1", "v=DKIM1", "v=DMARC1", "root@example.test, password "):
        assert words in result.stdout
    data = tmp_path / "a" / "data"
    for private in (data / "keys/tls/key.pem", data / "keys/dkim/example.test.mailsuite.pem", data / "mailsuite.db"):
        assert private.stat().st_mode & 0o777 == 0o600
    for folder in ("mail", "spool", "keys"):
        assert (data / folder).stat().st_mode & 0o777 == 0o700


def test_tables_may_be_appended_to_the_file_that_init_wrote(run):
    with run.path.open("a") as stream:
        stream.write('[auth]\nallow_cleartext = true\n[storage]\nlayout = "userid"\n[database]\nauto_migrate = true\n')
    rows = {row["key"]: row for row in json.loads(run("config", "show", "--json").stdout)}
    assert rows["auth.allow_cleartext"]["value"] is True
    assert rows["auth.allow_cleartext"]["origin"] == "file"
    assert rows["imap.idle_seconds"]["origin"] == "default"


def test_check_tells_every_fault_with_its_key(run):
    with run.path.open("a") as stream:
        stream.write("[server2]\n[auth]\nallow_cleartxt = true\n[imap]\nidle_seconds = 'x'\n")
    result = run("check", status=1)
    assert "auth.allow_cleartxt" in result.stderr
    assert "did you mean allow_cleartext?" in result.stderr
    assert "imap.idle_seconds" in result.stderr
    faults = json.loads(run("check", "--json", status=1).stdout)
    assert {fault["key"] for fault in faults} == {"server2", "auth.allow_cleartxt", "imap.idle_seconds"}
    assert len(run("user", "list", status=1).stderr.splitlines()) == 1


def test_check_looks_for_the_authorities_of_other_hosts(run):
    with run.path.open("a") as stream:
        stream.write('[queue]\nca_file = "nowhere.pem"\n')
    (line,) = run("check", status=1).stderr.splitlines()
    assert "queue.ca_file" in line
    assert "nowhere.pem cannot be read" in line


def test_check_names_what_has_no_effect(run):
    with run.path.open("a") as stream:
        stream.write("[spam]\nenabled = false\n")
    told = run("check").stderr
    assert "spam.enabled" in told
    assert "services with TLS wait for" in told


def test_an_empty_queue_is_an_empty_list(run):
    assert json.loads(run("queue", "list", "--json").stdout) == []


def test_what_a_peer_wrote_cannot_reach_the_terminal_as_control_characters():
    from mailsuite.observe.cell import cell

    assert cell("\x1b[2Jx\u202e") == "\\x1b[2Jx\\u202e"


def test_migrate_says_when_there_is_nothing_to_do(run):
    assert "nothing to do" in run("migrate").stderr


def test_migrate_brings_a_database_to_this_version(run):
    path = run.path.parent / "data" / "mailsuite.db"
    path.unlink()
    assert "the directory was at version none and is at " in run("migrate").stderr
    assert "nothing to do" in run("migrate").stderr
    assert run("domain", "list").stdout == ""


def test_init_publishes_the_key_that_it_made_however_the_domain_is_written(tmp_path):
    arguments = ["init", str(tmp_path / "a"), "--hostname", "MX.B\u00fccher.test", "--domain", "B\u00fccher.Test"]
    result = CliRunner().invoke(main, [*arguments, "--admin", "root@b\u00fccher.test"])
    assert result.exit_code == 0, result.output
    assert "_imaps._tcp.xn--bcher-kva.test. IN SRV" in result.stdout
    keys = [path.name for path in (tmp_path / "a/data/keys/dkim").iterdir()]
    assert keys == ["xn--bcher-kva.test.mailsuite.pem"]


@pytest.mark.parametrize(
    ("hostname", "domain", "admin", "words"),
    [
        ("bad host", "example.test", "root@example.test", "--hostname: 'bad host'"),
        ("mx.example.test", "bad domain", "root@example.test", "--domain: 'bad domain'"),
        ("mx.example.test", "example.test", "root@other.test", "--admin: root@other.test"),
        ("mx.example.test", "example.test", "root", "name@domain"),
    ],
)
def test_init_that_is_refused_makes_nothing(tmp_path, hostname, domain, admin, words):
    folder = tmp_path / "a"
    result = CliRunner().invoke(
        main, ["init", str(folder), "--hostname", hostname, "--domain", domain, "--admin", admin]
    )
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert words in line
    assert not folder.exists()


def test_mail_follows_a_rename_and_is_kept_at_a_removal_without_a_server(run):
    run("user", "add", "first@example.test", "--password", "correct horse")
    run("mailbox", "list", "first@example.test")
    root = run.path.parent / "data" / "mail"
    (root / "example.test" / "first" / "new" / "1.letter.host").write_bytes(b"Subject: x\r\n\r\n")
    run("user", "rename", "first@example.test", "second@example.test")
    assert not (root / "example.test" / "first").exists()
    assert (root / "example.test" / "second" / "new" / "1.letter.host").exists()
    run("user", "add", "third@example.test", "--password", "correct horse")
    assert "already" in run("user", "rename", "third@example.test", "second@example.test", status=1).stderr
    folder = run("user", "remove", "second@example.test").stdout.strip()
    assert folder.startswith(str(root / "..removed"))
    run("user", "add", "second@example.test", "--password", "correct horse")
    listed = json.loads(run("mailbox", "list", "second@example.test", "--json").stdout)
    assert {row["messages"] for row in listed} == {0}


def test_the_configuration_costs_no_protocol_and_no_twisted():
    code = (
        "import sys\nimport mailsuite.config\n"
        "heavy = {'twisted', 'sqlalchemy', 'cryptography', 'mailsuite.smtp.server', 'mailsuite.imap.server'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
