"""The commands of other mail servers: their verbs and arguments on our accounts."""

import configparser
import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailsuite.cli import foreign
from mailsuite.cli.create_user import command as create_user
from mailsuite.cli.foreign import foreign_format
from mailsuite.cli.mail_user import command as mail_user
from mailsuite.cli.mailserver import command as mailserver
from mailsuite.cli.main import FOREIGN, main
from mailsuite.config import load_config

INI = (
    "[tls]\ncertificate = /etc/ssl/email_server/server.crt\n[smtp]\nrequire_auth = true\nlocal_domains = example.com\n"
)
YAML = "server:\n  hostname: mail.yourdomain.com\n  smtp_port: 25\ndomains:\n  - name: yourdomain.com\n"
TOML = '[smtp]\nlisten_addr = "0.0.0.0:2525"\nenable_tls = false\n[storage]\nmaildir_path = "data/maildir"\n'
ENVIRONMENT = "# Server Settings\nSERVER_HOSTNAME=mail.yourdomain.com\nSMTP_PORT=25\nENABLE_AUTH=true\n"
FORMATS = {"the INI file": INI, "the YAML file": YAML, "the TOML file": TOML, "the .env file": ENVIRONMENT}


@pytest.fixture
def other(run, monkeypatch):
    """Run another server's command on our configuration, as the environment names it."""
    monkeypatch.setenv("MAILSUITE_CONFIG", str(run.path))

    def call(command, *arguments, status=0, stdin=None):
        result = CliRunner().invoke(command, arguments, input=stdin)
        assert result.exit_code == status, (result.output, result.exception)
        return result

    return call


def test_create_user_knows_its_verbs(other, run):
    other(create_user, "domain", "add", "example.com")
    assert "example.com" in other(create_user, "domain", "list").stdout
    other(create_user, "add", "user@example.com", "--password-stdin", stdin="correct horse\n")
    assert other(create_user, "list").stdout.startswith("user@example.com\t")
    before = _hash(run, "user@example.com")
    other(create_user, "passwd", "user@example.com", "--password-stdin", stdin="battery staple\n")
    assert _hash(run, "user@example.com") != before
    assert "user@example.com" in other(create_user, "info", "user@example.com").stdout
    other(create_user, "delete", "user@example.com")
    assert "there is no account" in other(create_user, "info", "user@example.com", status=1).stderr


def _hash(run, email):
    import sqlite3

    database = sqlite3.connect(run.path.parent / "data" / "mailsuite.db")
    (found,) = database.execute("SELECT password_hash FROM users WHERE email = ?", (email,)).fetchone()
    database.close()
    return found


def test_mailserver_knows_its_verbs(other, run):
    other(mailserver, "migrate", "--config", str(run.path))
    other(mailserver, "domain", "add", "example.com")
    assert other(mailserver, "domain", "list").stdout.split("\n")[0].startswith("example.com")
    other(mailserver, "user", "add", "user@example.com", "--password", "secretpassword")
    other(mailserver, "user", "add", "user@example.test", "--password", "secretpassword")
    assert other(mailserver, "user", "list").stdout.count("\n") == 2
    assert other(mailserver, "user", "list", "--domain", "example.com").stdout.startswith("user@example.com\t")
    made = other(mailserver, "dkim", "generate", "--domain", "example.com")
    assert "example.com.mailsuite.pem made" in made.stderr
    assert made.stdout == other(mailserver, "dkim", "dns", "--domain", "example.com").stdout
    assert made.stdout.startswith("mailsuite._domainkey.example.com. IN TXT")
    assert "Run the server" in other(mailserver, "serve", "--help").stdout


def test_mail_user_knows_its_verbs_and_brings_the_domain_along(other):
    other(mail_user, "exists", "admin@delfour.co", status=1)
    added = other(mail_user, "add", "admin@delfour.co", "password123")
    assert added.stderr.splitlines()[0] == "delfour.co added"
    other(mail_user, "add", "second@delfour.co", "password123")
    other(mail_user, "exists", "admin@delfour.co")
    assert [line.split("\t")[0] for line in other(mail_user, "list").stdout.splitlines()] == [
        "admin@delfour.co",
        "second@delfour.co",
    ]
    other(mail_user, "delete", "admin@delfour.co")
    other(mail_user, "exists", "admin@delfour.co", status=1)
    assert "already" in other(mail_user, "add", "second@delfour.co", "password123", status=1).stderr


def test_the_same_commands_stand_below_mailsuite(run):
    run("mail-user", "add", "admin@delfour.co", "password123")
    assert "admin@delfour.co" in run("create_user", "list").stdout
    assert json.loads(run("mailserver", "user", "list", "--json").stdout)[0]["email"] == "admin@delfour.co"
    assert all(f"  {name}" not in CliRunner().invoke(main, ["--help"]).output for name in FOREIGN)


def test_each_command_is_installed_as_a_program():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[3] / "setup.cfg")
    scripts = dict(line.split(" = ") for line in setup["options.entry_points"]["console_scripts"].split("\n") if line)
    for name in FOREIGN:
        module, _, attribute = scripts[name].partition(":")
        assert getattr(importlib.import_module(module), attribute).name == name


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("command", "before", "behind"),
    [(create_user, True, ["list"]), (mailserver, False, ["serve"]), (mailserver, False, ["migrate"])]
    + [(mail_user, True, ["exists", "a@b.test"]), (create_user, False, ["domain", "add", "b.test"])],
)
def test_another_servers_configuration_is_answered_with_the_way_to_ours(other, tmp_path, kind, command, before, behind):
    path = tmp_path / "theirs"
    path.write_text(FORMATS[kind])
    named = ["--config", str(path)]
    result = other(command, *(named if before else []), *behind, *([] if before else named), status=1)
    assert result.stderr == f"Error: {path} is {kind} of another server: run mailsuite config convert {path}\n"


def test_ours_is_not_taken_for_another_servers_even_when_it_is_broken(tmp_path, run):
    path = tmp_path / "broken.toml"
    for text in (run.path.read_text(), '[server]\nhostname = "mx.example.test\n', "[server]\nport_offset = \n", ""):
        path.write_text(text)
        assert foreign_format(str(path)) == ""
    assert foreign_format(str(tmp_path / "nothing")) == ""
    keys = {item.key.rpartition(".")[2] for item in load_config(str(run.path), {}).effective}
    assert not keys & foreign._FOREIGN_KEYS


def test_a_signing_key_is_made_once_and_another_one_beside_it(run):
    first = run("dkim", "generate", "--domain", "Example.Test").stdout  # init has made it
    assert first == run("dkim", "dns", "--domain", "example.test").stdout
    rotated = run("dkim", "rotate", "--domain", "example.test", "--selector", "next")
    assert "mailsuite dkim use --domain example.test --selector next" in rotated.stderr
    new, old = rotated.stdout.splitlines()
    assert new.startswith("next._domainkey.example.test. IN TXT")
    assert f"{old}\n" == first == run("dkim", "dns", "--domain", "example.test").stdout
    run("dkim", "use", "--domain", "example.test", "--selector", "next")
    assert run("dkim", "dns", "--domain", "example.test").stdout == f"{new}\n"
    rows = json.loads(run("dkim", "list", "--domain", "example.test", "--json").stdout)
    assert [(row["selector"], row["in_use"]) for row in rows] == [("mailsuite", False), ("next", True)]
    assert all(Path(row["path"]).stat().st_mode & 0o777 == 0o600 for row in rows)
    run("dkim", "rotate", "--domain", "example.test")
    assert len(json.loads(run("dkim", "list", "--json").stdout)) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "--domain", "elsewhere.test"),
        ("rotate", "--domain", "example.test", "--selector", "mailsuite"),
        ("use", "--domain", "example.test", "--selector", "none"),
        ("dns", "--domain", "example.test", "--selector", "none"),
        ("list", "--domain", "elsewhere.test"),
    ],
)
def test_what_cannot_be_done_with_keys_is_told_in_one_line(run, arguments):
    result = run("dkim", *arguments, status=1)
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)


def test_the_first_key_may_have_the_name_that_another_server_gave_it(run):
    run("domain", "add", "yourdomain.com")
    run("dkim", "generate", "--domain", "yourdomain.com", "--selector", "mail")
    assert run("dkim", "dns", "--domain", "yourdomain.com").stdout.startswith("mail._domainkey.yourdomain.com.")
    assert "mail._domainkey.yourdomain.com" in run("dns", "show", "yourdomain.com").stdout
    run("dkim", "generate", "--domain", "yourdomain.com", "--selector", "../x", status=2)


def test_dns_show_prints_all_records(run, monkeypatch):
    text = run("dns", "show", "example.test").stdout
    for words in (
        "IN MX 10 mx.example.test.",
        "v=spf1",
        "v=DKIM1",
        "v=DMARC1",
        "_imaps._tcp",
        "; mx.example.test. IN A",
    ):
        assert words in text
    monkeypatch.setenv("MAILSUITE_SERVER__LISTEN_ADDRESS", '["198.41.0.4", "2001:503:ba3e::2:30", "127.0.0.1"]')
    told = json.loads(run("dns", "show", "example.test", "--json").stdout)
    assert told["notes"] == []
    rows = {(row["name"], row["type"]): row["data"] for row in told["records"]}
    assert rows["mx.example.test", "A"] == "198.41.0.4"
    assert rows["mx.example.test", "AAAA"] == "2001:503:ba3e::2:30"
    assert rows["4.0.41.198.in-addr.arpa", "PTR"] == "mx.example.test."
    assert "127.0.0.1" not in rows.values()
    run("domain", "add", "second.test")
    notes = json.loads(run("dns", "show", "second.test", "--json").stdout)["notes"]
    assert notes == ["no signing key yet; make one with: mailsuite dkim generate --domain second.test"]
