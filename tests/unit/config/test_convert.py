"""Configurations of other servers become ours, whole, and nothing is dropped without a word."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from mailsuite.cli.convert import FILE_MAX_OCTETS, FORMAT_NAMES
from mailsuite.cli.main import main
from mailsuite.config import Origin, load_config
from mailsuite.config.convert import FORMATS, Entry, convert_text
from mailsuite.config.convert.detect import detect_format
from mailsuite.config.convert.mapping import SYSTEMS
from mailsuite.config.convert.outcomes import Given

EXAMPLES = Path(__file__).parents[2] / "data" / "convert"
NAMES = ["server.conf", "config.yaml", "config.toml", "rest.env", "smtp.env"]
OFF = {"http", "https", "dav", "managesieve", "manhole", "metrics"}


@pytest.fixture
def convert(tmp_path):
    """Convert a text or an example; give our configuration, what was written, and what was said."""

    def call(name, text=None, *options, status=0):
        path = tmp_path / name
        path.write_bytes((EXAMPLES / name).read_bytes() if text is None else text.encode("utf-8"))
        output = tmp_path / "mailsuite.toml"
        done = CliRunner().invoke(main, ["config", "convert", str(path), "--output", str(output), *options])
        assert done.exit_code == status, (done.output, done.exception)
        if status:
            assert not output.exists()
            return done.stderr
        return load_config(str(output), {}), output.read_text("utf-8"), done.stderr

    return call


def given(config):
    """What the new file itself says."""
    return {item.key: item.value for item in config.effective if item.origin is Origin.FILE}


def off(*services):
    return {f"listen.{service}": [] for service in services}


def test_ini_of_the_email_server_suite(convert):
    config, _, said = convert("server.conf")
    assert given(config) == {
        "server.hostname": "mail.example.com",
        "server.data_dir": "/var/lib/email_server",
        "listen.smtp": 25,
        "listen.submission": 587,
        "listen.submissions": 465,
        "listen.imap": 143,
        "listen.imaps": 993,
        "listen.pop3": 110,
        "listen.pop3s": 995,
        "tls.certificate": "/etc/ssl/email_server/server.crt",
        "tls.private_key": "/etc/ssl/email_server/server.key",
        "database.url": "sqlite:////var/lib/email_server/mailsuite.db",
        "storage.layout": "domain",
        "storage.maildir_root": "/var/mail",
        "smtp.message_max_octets": 26214400,
        "log.level": "info",
        "log.output": "/var/log/email_server/smtp.log",
        **off(*OFF),
    }
    assert "mailsuite.toml domain add example.com\n" in said
    assert "mailsuite.toml domain add example.org\n" in said
    assert "smtp.require_auth (line 18): needs no key" in said


def test_yaml_of_the_personal_email_server(convert):
    config, text, said = convert("config.yaml")
    assert given(config) == {
        "server.hostname": "mail.example.com",
        "server.data_dir": "/var/lib/mailserver",
        "listen.smtp": 25,
        "listen.submission": 587,
        "listen.submissions": 465,
        "listen.imap": 143,
        "listen.imaps": 993,
        "listen.dav": 8443,
        "tls.certificate": "/etc/letsencrypt/live/mail.example.com/fullchain.pem",
        "tls.private_key": "/etc/letsencrypt/live/mail.example.com/privkey.pem",
        "database.url": "sqlite:////var/lib/mailserver/mailsuite.db",
        "storage.layout": "userid",
        "storage.maildir_root": "/var/lib/mailserver/maildir",
        "msgauth.verify": True,
        "msgauth.sign": True,
        "smtp.message_max_octets": 26214400,
        "imap.literal_max_octets": 26214400,
        "submission.require_tls": True,
        "log.level": "info",
        "log.format": "json",
        "log.output": "stdout",
        **off("pop3", "pop3s", *OFF - {"dav"}),
    }
    assert "# server.hostname (line 3)\nhostname = " in text
    assert "# security.verify_spf (line 31); security.verify_dkim (line 32); security.verify_dmarc (line 33)" in text
    for name in ("example.com", "example.org"):
        key = f"/etc/mailserver/dkim/{name}.key /var/lib/mailserver/keys/dkim/{name}.mail.pem"
        assert f"install -D -m 600 {key}\n" in said
        assert f"#     install -D -m 600 {key}\n" in text
    assert "certbot certonly --standalone -d mail.example.com -m admin@example.com\n" in said


def test_toml_of_mail_rs(convert):
    config, text, said = convert("config.toml")
    folder = config.path.rpartition("/")[0]
    assert given(config) == {
        "server.listen_address": "0.0.0.0",
        "server.data_dir": f"{folder}/data",
        "listen.smtp": 2525,
        "listen.imap": 1993,
        "listen.http": 8080,
        "tls.self_signed": True,
        "database.url": f"sqlite:///{folder}/data/mailsuite.db",
        "storage.layout": "address",
        "storage.maildir_root": f"{folder}/data/maildir",
        "smtp.message_max_octets": 10485760,
        "smtp.command_seconds": 300,
        "imap.idle_seconds": 1800,
        **off("submission", "submissions", "imaps", "pop3", "pop3s", *OFF - {"http"}),
    }
    assert config.auth.allow_cleartext is False
    for key in ("tls_cert_path", "tls_key_path"):
        assert f"smtp.{key}: not in use there" in said
    for key in ("jwt_secret", "token_expiry_hours", "cors_origins"):
        assert f"api.{key}: " in said
        assert f"# - api.{key}: " in text


def test_toml_of_mail_rs_with_tls(convert):
    text = '[smtp]\nenable_tls = true\ntls_cert_path = "/c.pem"\ntls_key_path = "k.pem"\n'
    config, _, _ = convert("config.toml", text)
    assert config.tls.certificate == "/c.pem"
    assert config.tls.private_key == config.path.replace("mailsuite.toml", "k.pem")
    assert config.tls.self_signed is False


def test_environment_of_the_server_with_rest(convert):
    config, _, said = convert("rest.env")
    folder = config.path.rpartition("/")[0]
    mail = ("submission", "submissions", "imap", "imaps", "pop3", "pop3s")
    assert given(config) == {
        "server.hostname": "example.com",
        "tls.certificate": f"{folder}/certs/fullchain.pem",
        "tls.private_key": f"{folder}/certs/privkey.pem",
        "redis.url": "redis://localhost:6379/0",
        "log.level": "info",
        **off(*mail, *OFF - {"http", "https"}),
    }
    assert "mailsuite.toml domain add example.com\n" in said
    assert "mailsuite.toml domain set example.com --capture on\n" in said
    assert "API_KEY (line 3): " in said


def test_environment_of_the_custom_smtp_server(convert):
    config, _, said = convert("smtp.env")
    assert given(config) == {
        "server.hostname": "mail.example.com",
        "listen.smtp": 25,
        "listen.submission": 587,
        "tls.certificate": "/etc/ssl/certs/mail.crt",
        "tls.private_key": "/etc/ssl/private/mail.key",
        "redis.url": "redis://:********@localhost:6379/0",
        "auth.mechanisms": ["PLAIN", "LOGIN"],
        "limits.messages_per_account_hour": 1000,
        "limits.messages_per_account_day": 10_000,
        "log.level": "debug",
        **off("submissions", "imap", "imaps", "pop3", "pop3s", *OFF - {"metrics"}),
    }
    assert config.redis.url.value == "redis://:kX0q-redis@localhost:6379/0"
    for key in ("DATABASE_URL", "AUTH_METHODS"):
        assert f"{key} (line " in said


@pytest.mark.parametrize("name", NAMES)
def test_every_key_becomes_one_of_ours_or_is_named_in_both_places(convert, name):
    entries = FORMATS[detect_format(name, "")]((EXAMPLES / name).read_text("utf-8"))
    assert len(entries) >= 4
    _, text, said = convert(name)
    comments = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    sources = [line for line in text.splitlines() if line.startswith("# ") and not line.startswith("# - ")]
    for entry in entries:
        place = f"{entry.key} (line {entry.line})" if entry.line else entry.key
        written = any(place in line for line in sources)
        assert written or (f"\n{place}: " in said and f"- {place}: " in comments), place


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_said(convert, name):
    _, _, said = convert(name)
    assert "kX0q" not in said
    assert "change-in-production" not in said


@pytest.mark.parametrize("name", NAMES)
def test_our_file_is_for_its_owner_only_and_is_not_overwritten(convert, tmp_path, name):
    convert(name)
    output = tmp_path / "mailsuite.toml"
    assert output.stat().st_mode & 0o777 == 0o600
    before = output.read_bytes()
    done = CliRunner().invoke(main, ["config", "convert", str(tmp_path / name), "--output", str(output)])
    assert done.exit_code == 1
    assert "is there already" in done.stderr
    assert output.read_bytes() == before


def test_a_secret_that_everybody_knows_is_refused_unless_for_development(convert, tmp_path):
    _, _, said = convert("config.toml")
    assert "api.jwt_secret: refused: " in said
    (tmp_path / "mailsuite.toml").unlink()
    config, text, said = convert("config.toml", None, "--profile", "dev")
    assert "api.jwt_secret: there are no web pages yet" in said
    assert config.auth.allow_cleartext is True
    assert config.server.addresses == ("127.0.0.1",)
    assert "# for development; smtp.listen_addr; imap.listen_addr; api.listen_addr\nlisten_address" in text


def test_without_output_our_configuration_is_printed_and_nothing_else(tmp_path):
    done = CliRunner().invoke(main, ["config", "convert", str(EXAMPLES / "config.yaml")])
    assert done.exit_code == 0
    assert tomllib.loads(done.stdout)["server"]["hostname"] == "mail.example.com"


def test_as_json(tmp_path):
    done = CliRunner().invoke(main, ["config", "convert", str(EXAMPLES / "config.yaml"), "--json"])
    facts = json.loads(done.stdout)
    assert facts["system"] == "Personal Email Server"
    assert facts["format"] == "yaml"
    assert tomllib.loads(facts["toml"])["listen"]["dav"] == 8443
    assert {"key": "server.hostname", "value": "mail.example.com", "sources": ["server.hostname (line 3)"]} in (
        facts["settings"]
    )
    assert ["mailsuite", "domain", "add", "example.com"] in facts["commands"]
    assert {lost["key"] for lost in facts["not_taken"]} >= {"tls.email", "tls.cache_dir"}


def test_relative_names_keep_their_meaning_when_ours_lies_elsewhere(tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    (old / "config.toml").write_bytes((EXAMPLES / "config.toml").read_bytes())
    output = tmp_path / "mailsuite.toml"
    done = CliRunner().invoke(main, ["config", "convert", str(old / "config.toml"), "--output", str(output)])
    assert done.exit_code == 0, done.output
    config = load_config(str(output), {})
    assert config.storage.maildir_root == str(old / "data" / "maildir")
    assert config.server.data_dir == str(old / "data")


def test_services_on_several_addresses_get_endpoint_strings(convert):
    addresses = {"smtp": "192.0.2.1:25", "imap": "[2001:db8::1]:143", "api": ":8080"}
    text = "".join(f'[{table}]\nlisten_addr = "{address}"\n' for table, address in addresses.items())
    config, _, _ = convert("config.toml", text)
    assert config.listen["smtp"] == ("tcp:25:interface=192.0.2.1",)
    assert config.listen["imap"] == (r"tcp6:143:interface=2001\:db8\:\:1",)
    assert config.listen["http"] == ("tcp6:8080",)
    assert config.server.addresses == ()


def test_what_cannot_be_used_is_named_and_the_rest_is_taken(convert):
    text = (
        "server:\n  hostname: bad host\n  smtp_port: 99999\n  imap_port: 26\n  imaps_port: 26\n"
        '  "odd\\nkey": 1\nsecurity:\n  verify_spf: true\n  verify_dkim: false\n  max_message_size: huge\n'
        "logging:\n  level: loud\n"
    )
    first = "security.verify_spf (line 8)"
    config, _, said = convert("config.yaml", text)
    assert "listen.smtp" not in given(config)
    for line in (
        "server.hostname (line 2): not taken over: expected the name of a host",
        "server.smtp_port (line 3): not taken over: expected a port between 1 and 65535",
        "server.imaps_port (line 5): not taken over as listen.imaps: port 26 is also the port of imap",
        r"server.odd\x0akey (line 6): not taken over: no key of Personal Email Server that we know",
        f"security.verify_dkim (line 9): not taken over: msgauth.verify is set otherwise by {first}",
        "security.max_message_size (line 10): not taken over: expected a whole number",
    ):
        assert line in said.splitlines()
    assert "logging.level (line 12): not taken over: expected one of " in said


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.conf", "[smtp]\nfoo\n", "line 2: expected key = value"),
        ("x.conf", "port = 1\n", "line 1: expected a [section]"),
        ("x.conf", "[smtp]\nport = 1\nport = 2\n", "line 3: smtp.port is there twice"),
        ("x.conf", "[smtp]\n[smtp]\n", "line 2: the section 'smtp' is there twice"),
        ("x.yaml", "server: {hostname: x\n", "line 2: "),
        ("x.yaml", "a: &a [1, 2]\nb: [*a, *a]\n", "line 2: aliases are not taken"),
        ("x.yaml", "a: " + "[" * 60_000, "line 1: nested too deeply"),
        ("x.yaml", "a: !!python/object/apply:os.getpid []\n", "line 1: tags are not taken"),
        ("x.yaml", "a: 2024-99-99\n", "line 1: the value cannot be read"),
        ("x.yaml", "a: 1\na: 2\n", "line 2: a is there twice"),
        ("x.yaml", "a: 1\n---\nb: 2\n", "line 2: "),
        ("x.yaml", "a: \x01\n", "characters that YAML does not allow"),
        ("x.toml", "a = \n", "line 1"),
        ("x.toml", "a = " + "[" * 60_000, "nested too deeply"),
        ("x.env", "=3\n", "line 1: expected NAME=value"),
        ("x.env", "A=1\n\n\nA=2\n", "line 4: A is there twice"),
        ("x", "hello there\n", "say it with --format"),
        ("x.toml", '[server]\nhostname = "mx.example.com"\n', "no key of a mail server that we know, read as toml"),
        ("x.yaml", "", "no key of a mail server that we know"),
        ("x.yaml", "a" * (FILE_MAX_OCTETS + 1), "is longer than 128 KiB"),
    ],
)
def test_a_broken_file_is_one_line(convert, name, text, words):
    said = convert(name, text, status=1)
    assert words in said
    assert said.count("\n") == 1


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    for path in (tmp_path / "nothing.yaml", tmp_path):
        done = CliRunner().invoke(main, ["config", "convert", str(path)])
        assert done.exit_code in {1, 2}
        assert "Traceback" not in done.output
    (tmp_path / "latin.yaml").write_bytes(b"\xff")
    done = CliRunner().invoke(main, ["config", "convert", str(tmp_path / "latin.yaml")])
    assert done.exit_code == 1
    assert done.stderr.endswith("is not UTF-8 text\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/etc/email_server/server.conf", "ini"),
        ("server.conf.example", "ini"),
        ("config.yaml", "yaml"),
        ("config.example.yml", "yaml"),
        ("config.toml", "toml"),
        (".env", "env"),
        ("config/.env.example", "env"),
        (".env.production", "env"),
        ("rest.env", "env"),
    ],
)
def test_the_name_tells_the_format(name, expected):
    assert detect_format(name, "") == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_content_tells_the_format_when_the_name_does_not(name):
    assert detect_format("settings", (EXAMPLES / name).read_text("utf-8")) == detect_format(name, "")


def test_an_option_says_the_format_against_the_name():
    text = (EXAMPLES / "config.yaml").read_text("utf-8")
    assert convert_text(text, "x.conf", format_name="yaml").system.format == "yaml"
    assert set(FORMAT_NAMES) == set(FORMATS)


def said(turn, given):
    """Whatever comes of a value: outcomes, or the reason why there are none."""
    try:
        return list(turn(given))
    except ValueError as error:
        return str(error).startswith("expected ")


ODD = [None, "", " ", "x" * 5000, "a\x00b", "a,,b", 0, -1, 1.5, 10**30, True, [], [""], [1], ["x", None], {}]


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.title)
def test_a_value_of_the_wrong_kind_is_a_reason_and_no_fault_of_ours(system):
    for row, turn in system.rules.items():
        for value in ODD:
            key = row.split()[0].replace("[]", "[0]")
            table, dot, _ = key.rpartition(".")
            odd = {
                f"{table}{dot}{name}": Entry(f"{table}{dot}{name}", value) for name in ("name", "enable_tls", "email")
            }
            assert said(turn, Given(entry=Entry(key, value), entries=odd))


def test_nothing_is_no_domain(convert):
    _, _, said = convert("x.yaml", "server:\n  hostname: mx.example.com\ndomains:\n  - name:\n")
    assert "domains[0].name (line 4): not taken over: expected a list of words" in said
    assert "domain add" not in said


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.title)
def test_no_key_has_two_rows(system):
    names = [name for row in system.rules for name in row.split()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("text", "level"),
    [("RUST_LOG=debug", "debug"), ("RUST_LOG=mail_rs=trace,warn", "warn"), ("RUST_LOG=mail_rs=info", "info")],
)
def test_levels_of_rust_are_understood(convert, text, level):
    config, _, _ = convert("x.env", f"SERVER_HOSTNAME=mx.example.com\n{text}\n")
    assert config.log.level == level


@pytest.mark.parametrize(("mode", "level"), [("debug", "debug"), ("release", "info")])
def test_the_mode_of_gin_is_a_level_of_ours(convert, mode, level):
    config, _, _ = convert("x.env", f"DOMAIN=example.com\nGIN_MODE={mode}\n")
    assert config.log.level == level


def test_values_of_shells_are_read_as_shells_do(convert):
    text = "export SERVER_HOSTNAME=\"mx.example.com\"  # ours\nSMTP_PORT='2525'\nLOG_LEVEL=\n"
    config, _, said = convert("x.env", text)
    assert config.server.hostname == "mx.example.com"
    assert config.listen["smtp"] == 2525
    assert "LOG_LEVEL (line 3): not taken over: expected text" in said
