import os
import textwrap

import pytest

from mailsuite.config import ConfigError, Origin, load_config, parse_config
from mailsuite.config.ports import anchor_endpoint

PATH = "/srv/mail/mailsuite.toml"


def _parse(text="", environment=None):
    import tomllib

    return parse_config(tomllib.loads(textwrap.dedent(text)), PATH, environment or {})


def _faults(text="", environment=None):
    with pytest.raises(ConfigError) as caught:
        _parse(text, environment)
    return {fault.key: fault.detail for fault in caught.value.faults}


def test_an_empty_file_is_a_configuration():
    config = _parse()
    assert config.server.port_offset == 0
    assert config.server.hostname
    assert list(config.services()) == ["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"]


def test_every_fault_is_told_at_once_with_its_key_and_the_nearest_right_one():
    faults = _faults(
        """
        [server]
        hostnam = "mx.example"
        port_offset = "2"
        [smpt]
        [listen]
        pop = []
        [tls]
        min_version = "1.0"
        [auth]
        port_offset = 1
        [[route]]
        domain = "*"
        hots = "x"
        """
    )
    assert faults == {
        "server.hostnam": "there is no such key; did you mean hostname?",
        "server.port_offset": "expected an integer, got text",
        "smpt": "there is no such table; did you mean smtp?",
        "listen.pop": "there is no such service; did you mean pop3?",
        "tls.min_version": "expected one of 1.2, 1.3, got '1.0'",
        "auth.port_offset": "there is no such key; did you mean server.port_offset?",
        "route[0].host": "is missing: text",
        "route[0].hots": "there is no such key; did you mean host?",
    }


def test_a_key_outside_its_table_is_told_where_it_belongs():
    assert _faults("port_offset = 1\n")["port_offset"].endswith("did you mean server.port_offset?")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("server.port_offset", "true", "an integer"),
        ("auth.allow_cleartext", "1", "true or false"),
        ("dns.nameservers", '"127.0.0.1:5353"', "a list of text"),
        ("dns.nameservers", "[1]", "text"),
        ("storage.layout", '"flat"', "one of domain, userid, address"),
        ("log.level", "3", "one of debug, info, warn, error, critical"),
        ("server.hostname", "3", "text"),
        ("listen.imap", "true", "an integer or a list of text"),
        ("imap.login_seconds", '"1"', "a number"),
        ("imap.login_seconds", "nan", "a number"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(key, value, expected):
    table, _, name = key.partition(".")
    assert _faults(f"[{table}]\n{name} = {value}\n")[key].startswith(f"expected {expected}, got")


@pytest.mark.parametrize("table", ["redis", "msgauth", "spam", "web", "dav", "metrics"])
def test_tables_of_features_to_come_are_accepted(table):
    _parse(f"[{table}]\n")


def test_keys_of_features_to_come_are_checked_and_named_and_have_no_effect():
    config = _parse(
        """
        [redis]
        url = "redis://localhost/0"
        [storage]
        backend = "s3"
        [listen]
        https = 8443
        [metrics]
        """
    )
    assert set(config.inactive) == {
        "redis.url",
        "storage.backend",
        "listen.https",
        "metrics",
    }
    assert "https" not in list(config.services())


@pytest.mark.parametrize("text", ["localhost", "127.0.0.1:0", "[::1]53"])
def test_a_nameserver_is_an_address(text):
    assert "dns.nameservers" in _faults(f'[dns]\nnameservers = ["127.0.0.1:5353", "::1", "{text}"]\n')


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("own_names", '["a..b"]'),
        ("own_addresses", '["mx.test"]'),
        ("sts_networks", '["10.0.0.1/8"]'),
        ("sts_port", "0"),
        ("ip", '"ipv5"'),
    ],
)
def test_values_for_delivery_are_checked(key, value):
    assert f"queue.{key}" in _faults(f"[queue]\n{key} = {value}\n")


def test_the_environment_wins_text_verbatim_other_types_as_toml():
    config = _parse(
        '[server]\nhostname = "file.example"\nport_offset = 1\n',
        {
            "MAILSUITE_SERVER__HOSTNAME": "env.example",
            "MAILSUITE_SERVER__PORT_OFFSET": "2000",
            "MAILSUITE_AUTH__ALLOW_CLEARTEXT": "true",
            "MAILSUITE_LISTEN__POP3": "[]",
            "MAILSUITE_DNS__NAMESERVERS": '["127.0.0.1:5353"]',
            "MAILSUITE_SMTP__BANNER": "1",
            "MAILSUITE_CONFIG": "/elsewhere",
            "OTHER__THING": "x",
        },
    )
    assert config.server.hostname == "env.example"
    assert config.server.port_offset == 2000
    assert config.auth.allow_cleartext
    assert config.smtp.allow_cleartext
    assert config.imap.allow_cleartext
    assert config.dns.nameservers == ("127.0.0.1:5353",)
    assert config.smtp.banner == "1"
    assert "pop3" not in list(config.services())


@pytest.mark.parametrize("text", ["yes", "", "true\nother = 1", '"true"'])
def test_an_environment_variable_that_is_no_toml_value_of_its_type_is_a_fault(text):
    assert "auth.allow_cleartext" in _faults("", {"MAILSUITE_AUTH__ALLOW_CLEARTEXT": text})


def test_an_unknown_environment_variable_is_a_fault_with_the_nearest_right_key():
    faults = _faults("", {"MAILSUITE_SERVER__WORKER": "1", "MAILSUITE_SEVER__WORKERS": "1"})
    assert faults["server.worker"].endswith("did you mean workers?")
    assert faults["sever.workers"].endswith("did you mean server?")


def test_where_each_value_came_from_is_remembered():
    config = _parse('[server]\nhostname = "mx.example"\n', {"MAILSUITE_SERVER__PORT_OFFSET": "1"})
    origins = {item.key: item.origin for item in config.effective}
    assert origins["server.hostname"] is Origin.FILE
    assert origins["server.port_offset"] is Origin.ENVIRONMENT
    assert origins["tls.min_version"] is Origin.DEFAULT
    assert origins["listen.smtp"] is Origin.DEFAULT


def test_secrets_are_masked_wherever_they_are_shown():
    config = _parse(
        """
        [redis]
        url = "redis://:hunter2@localhost/0"
        [database]
        url = "postgresql://mail:hunter2@db.example/mail"
        [[route]]
        domain = "*"
        host = "relay.example"
        username = "me"
        password = "hunter2"
        """
    )
    assert config.routes[0].password == "hunter2"
    shown = {item.key: item.value for item in config.effective}
    assert "db.example" in shown["database.url"]
    assert "hunter2" not in repr(config.effective)
    assert "hunter2" not in repr(config.routes)
    assert "hunter2" not in repr(config.redis)


def test_a_secret_may_stand_in_a_file_or_in_the_environment(tmp_path):
    (tmp_path / "relay").write_text("from file\n")
    text = """
        [[route]]
        domain = "a.example"
        host = "relay.example"
        username = "me"
        password = { file = "%s" }
        [[route]]
        domain = "b.example"
        host = "relay.example"
        username = "me"
        password = { env = "RELAY" }
        """
    config = _parse(text % (tmp_path / "relay"), {"RELAY": "from env"})
    assert [route.password for route in config.routes] == ["from file", "from env"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ('{ file = "missing" }', "cannot be read"),
        ('{ env = "MISSING" }', "is not set"),
        ('{ file = "a", env = "B" }', "expected text"),
        ("{ }", "expected text"),
    ],
)
def test_a_reference_that_leads_nowhere_is_a_fault(reference, words):
    assert words in _faults(f"[server]\nhostname = {reference}\n")["server.hostname"]


def test_relative_paths_begin_at_the_folder_of_the_file():
    config = _parse('[tls]\ncertificate = "cert.pem"\nprivate_key = "/etc/key.pem"\n')
    assert config.server.data_dir == "/srv/mail/data"
    assert config.tls.certificate == "/srv/mail/cert.pem"
    assert config.tls.private_key == "/etc/key.pem"
    assert config.storage.maildir_root == "/srv/mail/data/mail"
    assert config.database.url == "sqlite:////srv/mail/data/mailsuite.db"


def test_the_certificate_is_below_the_data_folder_unless_named():
    assert _parse().tls.certificate == "/srv/mail/data/keys/tls/cert.pem"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[server]\nhostname = "not a name"\n', "server.hostname"),
        ('[server]\nlisten_address = "localhost"\n', "server.listen_address"),
        ('[server]\nproxy_peers = ["localhost"]\n', "server.proxy_peers"),
        ('[server]\nproxy_peers = ["192.0.2.1/24"]\n', "server.proxy_peers"),
        ('[smtp]\nxclient_peers = ["proxy"]\n', "smtp.xclient_peers"),
        ('[submission]\nxclient_peers = ["::/0"]\n', "submission.xclient_peers"),
        ("[smtp]\nfuture_release_seconds = 60\n", "smtp.future_release_seconds"),
        ('[server]\nproxy_peers = ["unix", "0.0.0.0/0"]\n', "server.proxy_peers"),
        ('[server]\nproxy_services = ["imap4"]\n', "server.proxy_services"),
        ("[server]\nbacklog = 0\n", "server.backlog"),
        ("[server]\nstall_seconds = -1\n", "server.stall_seconds"),
        ('[listen]\nimap = ["haproxy:tcp:143"]\n', "listen.imap"),
        ("[server]\nport_offset = -1\n", "server.port_offset"),
        ("[server]\nport_offset = 65000\n", "listen.imaps"),
        ("[listen]\nimap = 25\n", "listen.imap"),
        ('[listen]\nimap = ["143"]\n', "listen.imap"),
        ('[database]\nurl = "mysql://x"\n', "database.url"),
        ('[redis]\nurl = "http://x"\n', "redis.url"),
        ("[imap]\nidle_seconds = -1\n", "imap.idle_seconds"),
        ('[[route]]\ndomain = "bad domain"\nhost = "h"\n', "route[0].domain"),
        ('[[route]]\ndomain = "*"\nhost = ""\n', "route[0].host"),
        ('[[route]]\ndomain = "*"\nhost = "h"\nport = 0\n', "route[0].port"),
        ('[[route]]\ndomain = "*"\nhost = "h"\nusername = "u"\n', "route[0].username"),
        (
            '[[route]]\ndomain = "x.example"\nhost = "h"\n[[route]]\ndomain = "X.example."\nhost = "h"\n',
            "route[1].domain",
        ),
        ("[storage]\nlanes = 0\n", "storage"),
        ('[imap]\ncapabilities_off = ["QRSYNC"]\n', "imap.capabilities_off"),
        ('[[imap_quirk]]\noff = ["IDLE"]\n', "imap_quirk[0]"),
        ('[[imap_quirk]]\nname = "x"\n', "imap_quirk[0].off"),
        ('[[imap_quirk]]\nname = "x"\noff = "IDLE"\n', "imap_quirk[0].off"),
        ('[[imap_quirk]]\nname = "x"\non = ["IDEL"]\n', "imap_quirk[0].on"),
        ('[[imap_quirk]]\nname = "*x"\noff = ["IDLE"]\n', "imap_quirk[0].name"),
        ('[[imap_quirk]]\nos_version = "*"\noff = ["IDLE"]\n', "imap_quirk[0].os_version"),
        ('[[imap_quirk]]\nname = "x"\nversion_below = "?"\noff = ["IDLE"]\n', "imap_quirk[0].version_below"),
        ('[[imap_quirk]]\naccount = "alice"\noff = ["IDLE"]\n', "imap_quirk[0].account"),
        ('[[imap_quirk]]\ndomain = "*"\noff = ["IDLE"]\n', "imap_quirk[0].domain"),
    ],
)
def test_values_that_cannot_be_meant_are_faults(text, key):
    assert key in _faults(text)


def test_proxies_are_addresses_networks_and_whoever_comes_by_a_unix_socket():
    text = '[server]\nproxy_peers = ["192.0.2.1", "2001:db8::/32", "unix"]\nproxy_services = ["smtp", "imaps"]\n'
    assert _parse(text).server.proxy_services == ("smtp", "imaps")


@pytest.mark.parametrize(
    ("text", "anchored"),
    [
        ("unix:run/lmtp.sock:mode=600", "unix:/srv/mail/run/lmtp.sock:mode=600"),
        ("unix:address=run/lmtp.sock", "unix:/srv/mail/run/lmtp.sock"),
        ("unix:/run/lmtp.sock", "unix:/run/lmtp.sock"),
        ("unix:address=/run/lmtp.sock", "unix:address=/run/lmtp.sock"),
        ("tcp:24:interface=127.0.0.1", "tcp:24:interface=127.0.0.1"),
        ("unix:", "unix:"),
    ],
)
def test_the_relative_path_of_a_unix_socket_begins_at_the_files_folder(text, anchored):
    assert anchor_endpoint(text, "/srv/mail") == anchored
    assert anchor_endpoint(text, "") == text


def test_a_folder_of_any_name_may_hold_a_unix_socket():
    assert anchor_endpoint("unix:lmtp.sock", "/srv/a:b=c\\d") == "unix:/srv/a\\:b\\=c\\\\d/lmtp.sock"


def test_lmtp_listens_only_where_it_is_told_to():
    assert "lmtp" not in _parse("").services()
    config = _parse('[listen]\nlmtp = ["unix:run/lmtp.sock:mode=600"]\n')
    assert "lmtp" in config.services()
    (text,) = config.listen["lmtp"]
    assert text.startswith("unix:/")
    assert _parse("[listen]\nlmtp = 24\n").port("lmtp") == 24


def test_ports_of_disabled_services_do_not_collide():
    _parse("[listen]\nimap = 25\nsmtp = []\n")


def test_the_offset_is_added_to_numbers():
    config = _parse("[server]\nport_offset = 2000\n[listen]\nimap = 144\n")
    assert (config.port("smtp"), config.port("imap")) == (2025, 2144)


def test_an_address_may_be_text_or_a_list():
    assert _parse('[server]\nlisten_address = "127.0.0.1"\n').server.addresses == ("127.0.0.1",)
    assert _parse('[server]\nlisten_address = ["127.0.0.1", "::1"]\n').server.addresses == ("127.0.0.1", "::1")
    assert _parse("", {"MAILSUITE_SERVER__LISTEN_ADDRESS": '["::1"]'}).server.addresses == ("::1",)
    assert _parse("", {"MAILSUITE_SERVER__LISTEN_ADDRESS": "::1"}).server.addresses == ("::1",)


def test_a_file_that_is_missing_or_broken_is_one_fault(tmp_path):
    for name, content, words in [
        ("a", None, "mailsuite init"),
        ("b", b"[server", "is not TOML"),
        ("c", b"\xff", "is not UTF-8"),
    ]:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigError, match=words):
            load_config(str(path), {})


def test_the_file_is_named_by_argument_then_by_environment(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).write_text(f'[server]\nhostname = "{name}.example"\n')
    environment = {"MAILSUITE_CONFIG": str(tmp_path / "two")}
    assert load_config(str(tmp_path / "one"), environment).server.hostname == "one.example"
    assert load_config(None, environment).server.hostname == "two.example"
    assert os.path.isabs(load_config(None, environment).path)


def test_wrong_types_do_not_hide_wrong_values():
    faults = _faults(
        """
        [server]
        port_offset = "x"
        user = "no-such-user"
        group = "no-such-group"
        listen_address = "1.2.3"
        [listen]
        imap = ["tpc:143"]
        pop3 = ["tcp"]
        smtp = ["systemd:domain=INET:index=7", "tcp:25:interface=127.0.0.1"]
        [database]
        url = "mysql://x"
        [imap]
        idle_seconds = -3
        [[route]]
        domain = "one.test"
        host = "sink"
        tls = "maybe"
        [[route]]
        domain = "b\u00fccher.test"
        host = ""
        [[route]]
        domain = "XN--BCHER-KVA.test"
        host = "sink"
        port = 70000
        """
    )
    assert set(faults) == {
        "server.port_offset",
        "server.user",
        "server.group",
        "server.listen_address",
        "listen.imap",
        "listen.pop3",
        "database.url",
        "imap.idle_seconds",
        "route[0].tls",
        "route[1].host",
        "route[2].domain",
        "route[2].port",
    }
    assert "tpc" in faults["listen.imap"]


def test_the_domain_of_a_route_is_written_in_any_form():
    config = _parse("[[route]]\ndomain = 'B\u00fccher.Test'\nhost = 'a'\n[[route]]\ndomain = '*'\nhost = 'b'\n")
    assert [route.domain for route in config.routes] == ["xn--bcher-kva.test", "*"]


def test_a_wrong_value_is_blamed_on_who_said_it():
    with pytest.raises(ConfigError) as caught:
        _parse("[listen]\npop3 = ['tcp']", {"MAILSUITE_LISTEN__IMAP": '["tpc:1"]'})
    assert {fault.key: fault.source for fault in caught.value.faults} == {
        "listen.imap": "MAILSUITE_LISTEN__IMAP",
        "listen.pop3": PATH,
    }


def test_what_is_shown_is_what_is_in_force():
    shown = {item.key: item.value for item in _parse("").effective}
    assert shown["server.hostname"]
    assert shown["tls.certificate"] == "/srv/mail/data/keys/tls/cert.pem"
    assert shown["database.url"] == "sqlite:////srv/mail/data/mailsuite.db"


def test_a_secret_that_cannot_be_read_is_one_fault():
    faults = _faults("[[route]]\ndomain = 'a.test'\nhost = 'b'\nusername = 'u'\npassword = { env = 'NOT_SET' }\n")
    assert set(faults) == {"route[0].password"}


def test_sources_are_read_by_the_domain_of_the_sender():
    text = "[queue]\nhelo_name = 'out.test'\nsource_ipv6 = '2001:db8::1'\n"
    config = _parse(text + "[[source]]\ndomain = 'B\u00fccher.Test'\nsource_ipv4 = '192.0.2.1'\nhelo_name = 'b.test'\n")
    assert (config.relay.helo_name, config.relay.source_ipv6) == ("out.test", "2001:db8::1")
    (source,) = config.sources
    assert (source.domain, source.source_ipv4, source.helo_name) == ("xn--bcher-kva.test", "192.0.2.1", "b.test")


def test_what_is_wrong_with_sources_is_told():
    faults = _faults(
        "[queue]\nsource_ipv4 = '2001:db8::1'\nhelo_name = 'no name'\n"
        "[[source]]\ndomain = 'a.test'\nsource_ipv6 = '192.0.2.1'\n"
        "[[source]]\ndomain = 'A.test'\nhelo_name = '-'\n"
        "[[source]]\ndomain = '*'\nipv4 = ''\n"
    )
    assert set(faults) == {
        "queue.source_ipv4",
        "queue.helo_name",
        "source[0].source_ipv6",
        "source[1].domain",
        "source[1].helo_name",
        "source[2].domain",
        "source[2].ipv4",
    }


def test_the_domain_of_rewritten_senders_is_checked():
    assert parse_config({"smtp": {"srs_domain": "srs.example.com"}}, PATH, {}).receive.srs_domain == "srs.example.com"
    for wrong in ("SRS.example.com", "a b"):
        with pytest.raises(ConfigError, match="srs_domain is written"):
            parse_config({"smtp": {"srs_domain": wrong}}, PATH, {})


QUIRKS = """
    [imap]
    capabilities_off = ["binary"]
    shipped_quirks = false
    [[imap_quirk]]
    name = "Example Mail*"
    version_below = "3.2"
    off = ["QRESYNC", "utf8=accept"]
    reason = "forgets messages"
    [[imap_quirk]]
    account = "Alice@B\u00fccher.Test"
    on = ["CONDSTORE"]
    [[imap_quirk]]
    domain = "B\u00fccher.Test."
    off = ["SORT", "COMPRESS=DEFLATE", "THREAD=REFERENCES", "APPENDLIMIT", "IMAP4rev2", "SASL-IR"]
    """


def test_what_imap_leaves_out_for_some_is_read():
    config = _parse(QUIRKS)
    assert config.imap.capabilities_off == ("binary",)
    assert not config.imap.shipped_quirks
    client, account, domain = config.imap.quirks
    assert (client.name, client.version_below, client.reason) == ("Example Mail*", "3.2", "forgets messages")
    assert client.off == ("QRESYNC", "utf8=accept")
    assert (account.account, account.on) == ("alice@xn--bcher-kva.test", ("CONDSTORE",))
    assert domain.domain == "xn--bcher-kva.test"
    assert {"imap_quirk[0].off": ["QRESYNC", "utf8=accept"]}.items() <= {
        item.key: item.value for item in config.effective
    }.items()


def test_a_wrong_capability_is_told_with_a_proposal():
    faults = _faults('[imap]\ncapabilities_off = ["QRSYNC"]\n[[imap_quirk]]\nname = "x"\noff = ["CONDSTOR"]\n')
    assert "did you mean QRESYNC?" in faults["imap.capabilities_off"]
    assert "did you mean CONDSTORE?" in faults["imap_quirk[0].off"]


@pytest.mark.parametrize("name", ["IMAP4rev1", "imap4REV1", "STARTTLS", "LOGINDISABLED", "AUTH", "AUTH=PLAIN"])
def test_what_protects_passwords_and_the_protocol_itself_stay_on(name):
    assert "cannot be switched off" in _faults(f'[imap]\ncapabilities_off = ["{name}"]\n')["imap.capabilities_off"]


def test_a_row_says_whom_it_is_about_or_is_refused():
    fault = _faults('[[imap_quirk]]\noff = ["IDLE"]\n')["imap_quirk[0]"]
    assert "imap.capabilities_off" in fault
