"""etc/mailsuite.toml says what the code does."""

import re
import tomllib
from pathlib import Path

from mailsuite.config import Origin, parse_config

SAMPLE = Path(__file__).parents[3] / "etc" / "mailsuite.toml"
LISTS = ("route", "source", "imap_quirk")
KEY = re.compile(r"#(\w+ = .*|\[\[?\w+\]\]?)")


def _load(text):
    return parse_config(tomllib.loads(text), "/srv/mail/mailsuite.toml", {})


def _uncommented():
    lines = SAMPLE.read_text("utf-8").splitlines()
    return "\n".join(match.group(1) if (match := KEY.fullmatch(line)) else line for line in lines)


def test_as_it_is_it_changes_nothing():
    config = _load(SAMPLE.read_text("utf-8"))
    assert {item.origin for item in config.effective} == {Origin.DEFAULT}
    assert config.inactive == ()


def test_each_commented_default_is_the_codes_default():
    defaults = {item.key: item.value for item in _load("").effective}
    told = {item.key: item.value for item in _load(_uncommented()).effective if not item.key.startswith(LISTS)}
    assert told == defaults


def test_every_key_is_there():
    config = _load(_uncommented())
    missing = [item.key for item in config.effective if item.origin is Origin.DEFAULT]
    assert missing == []


def test_routes_show_their_defaults():
    fields = {item.key: item.value for item in _load(_uncommented()).effective if item.key.startswith("route")}
    assert fields == {
        "route[0].domain": "*",
        "route[0].host": "relay.example.net",
        "route[0].port": 25,
        "route[0].tls": "opportunistic",
        "route[0].username": "",
        "route[0].password": "",
    }


def test_sources_show_their_defaults():
    fields = {item.key: item.value for item in _load(_uncommented()).effective if item.key.startswith("source")}
    assert fields == {
        "source[0].domain": "example.org",
        "source[0].source_ipv4": "",
        "source[0].source_ipv6": "",
        "source[0].helo_name": "",
    }


def test_quirks_show_their_defaults():
    fields = {item.key: item.value for item in _load(_uncommented()).effective if item.key.startswith("imap_quirk")}
    given = {"name", "version_from", "version_below", "off", "reason"}
    assert {key.partition(".")[2]: value for key, value in fields.items() if key.partition(".")[2] not in given} == {
        "vendor": "",
        "version": "",
        "os": "",
        "os_version": "",
        "account": "",
        "domain": "",
        "on": [],
        "source": "",
    }
    assert {f"imap_quirk[0].{name}" for name in given} <= fields.keys()
