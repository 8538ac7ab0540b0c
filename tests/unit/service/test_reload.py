import tomllib

import attrs
import pytest

from mailsuite.config import parse_config
from mailsuite.errors import Kind, MailError
from mailsuite.service.link import Link
from mailsuite.service.reload import RELOADED, give, merge, read_given, reload_config, reload_facts, settings_of
from mailsuite.service.seat import SHARED_LIMITS, Seat

ROUTE = '[[route]]\ndomain = "far.test"\nhost = "relay.test"\nusername = "u"\npassword = "{}"\n'


def parse(text, path="/srv/mailsuite.toml", environment=None):
    return parse_config(tomllib.loads(text), path, environment or {})


def test_what_can_act_at_once_does_and_the_rest_waits():
    old = parse('[server]\nhostname = "mx.example.test"\n[imap]\nidle_seconds = 1800.0\n')
    new = parse(
        """
        [server]
        hostname = "other.example.test"
        port_offset = 7
        [smtp]
        message_max_octets = 1000
        [auth]
        allow_cleartext = true
        cache_seconds = 1.0
        """
    )
    reloaded = merge(old, new)
    assert set(reloaded.changed) == {"smtp.message_max_octets", "auth.allow_cleartext"}
    assert set(reloaded.waiting) == {"server.hostname", "server.port_offset", "auth.cache_seconds"}
    config = reloaded.config
    assert config.smtp.message_max_octets == config.receive.message_max_octets == 1000
    assert config.submission.message_max_octets == 1000
    assert all(getattr(config, name).allow_cleartext for name in ("smtp", "submission", "imap", "pop3"))
    assert config.server == old.server
    assert config.auth == old.auth
    shown = {item.key: item.value for item in config.effective}
    assert shown["smtp.message_max_octets"] == 1000
    assert shown["server.port_offset"] == 0
    again = merge(config, new)
    assert again.changed == []
    assert set(again.waiting) == set(reloaded.waiting)


def test_a_password_that_is_not_shown_counts_as_a_change():
    old, new = (parse(ROUTE.format(password)) for password in ("one", "other"))
    assert merge(old, new).changed == ["route"]
    assert merge(old, new).config.routes[0].password == "other"
    assert merge(old, old).changed == []


def test_other_quirks_act_at_once():
    row = '[[imap_quirk]]\nname = "x"\noff = ["{}"]\n'
    reloaded = merge(parse(row.format("IDLE")), parse("[imap]\nshipped_quirks = false\n" + row.format("MOVE")))
    assert set(reloaded.changed) == {"imap.shipped_quirks", "imap_quirk[0].off"}
    assert reloaded.waiting == []
    assert [row.off for row in reloaded.config.imap.quirks] == [("MOVE",)]
    assert merge(reloaded.config, parse("")).config.imap.quirks == ()


def test_every_attribute_that_acts_at_once_is_one():
    assert {attribute.name for attribute in attrs.fields(type(parse("")))} >= set(RELOADED)


def test_another_process_reads_the_same():
    environment = {"MAILSUITE_SERVER__PORT_OFFSET": "9", "HOME": "/root"}
    config = parse('[imap]\nidle_seconds = 60.0\n[listen]\npop3 = ["tcp:110"]\n' + ROUTE.format("x"), "/x", environment)
    given = give(config)
    assert "HOME" not in given["environment"]
    assert read_given(given, "/x") == config


def test_what_cannot_be_used_leaves_the_old_one_in_force(tmp_path):
    path = tmp_path / "mailsuite.toml"
    path.write_text("[imap]\nidle_seconds = 60.0\n")
    config = parse(path.read_text(), str(path))
    for text in ("[imap]\nidle_secnds = 1\n", "no toml at all ]", '[imap]\nidle_seconds = "x"\n'):
        path.write_text(text)
        with pytest.raises(MailError) as caught:
            reload_config(config)
        assert caught.value.kind is Kind.INVALID
        assert caught.value.detail.startswith("the old configuration stays in force: ")
    path.unlink()
    with pytest.raises(MailError):
        reload_config(config)


def test_a_certificate_that_cannot_be_used_is_a_refusal():
    reloaded = merge(parse(""), parse(""))
    facts = reload_facts(reloaded, "", certificate_changed=True)
    assert facts["certificate_changed"] is True
    with pytest.raises(MailError) as caught:
        reload_facts(reloaded, "the key does not belong to the certificate", certificate_changed=False)
    assert "the former one stays" in caught.value.detail


@pytest.mark.parametrize("service", ["smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"])
def test_workers_share_the_limits_on_connections(service):
    config = parse("")
    seat = Seat(name="worker-1", number=1, count=3, link=Link({}, {}), channel=None, pair=None)
    whole, share = settings_of(service, config, None), settings_of(service, config, seat)
    shared = [name for name in SHARED_LIMITS if hasattr(whole, name)]
    assert len(shared) >= 2
    for name in shared:
        assert getattr(share, name) * 3 >= getattr(whole, name) > (getattr(share, name) - 1) * 3
    assert attrs.evolve(share, **{name: getattr(whole, name) for name in shared}) == whole
