"""Forwards, and domains of another kind."""

import json

import pytest


def facts(run, *arguments):
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def alice(run):
    run("user", "add", "alice@example.test", "--password", "correct horse battery")
    return "alice@example.test"


def test_a_forward_is_set_shown_and_ended(run, alice):
    said = run("user", "forward", alice, "ann@far.test", "eve@far.test").stderr
    assert said == "mail for alice@example.test is passed on to ann@far.test, eve@far.test, and kept as well\n"
    shown = facts(run, "user", "info", alice)
    assert (shown["forward_to"], shown["keep_copy"]) == (["ann@far.test", "eve@far.test"], True)
    assert run("user", "forward", alice, "--no-keep").stderr.endswith("and not kept\n")
    run("user", "forward", alice, "ann@far.test")
    shown = facts(run, "user", "info", alice)
    assert (shown["forward_to"], shown["keep_copy"]) == (["ann@far.test"], False)
    assert run("user", "forward", alice, "--off").stderr == "mail for alice@example.test stays here\n"
    assert facts(run, "user", "info", alice)["forward_to"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 2),
        (("ann@far.test", "--off"), 2),
        (("--off", "--keep"), 2),
        (("--keep",), 1),
        (("nobody@example.test",), 1),
        (("no-address",), 1),
    ],
)
def test_a_forward_that_makes_no_sense_is_refused(run, alice, arguments, code):
    result = run("user", "forward", alice, *arguments, status=code)
    assert "Traceback" not in result.stderr


def test_a_backup_is_added_shown_and_ended(run):
    run("domain", "add", "far.test", "--backup-mx")
    assert facts(run, "domain", "info", "far.test")["backup_mx"] is True
    run("domain", "set", "far.test", "--backup-mx", "off")
    assert facts(run, "domain", "info", "far.test")["backup_mx"] is False


def test_capturing_begins_changes_and_ends(run):
    run("domain", "add", "temp.test")
    said = run("domain", "set", "temp.test", "--capture", "on").stderr
    assert "mailsuite user passwd capture@temp.test" in said
    assert facts(run, "domain", "info", "temp.test")["capture_seconds"] == 86_400
    run("domain", "set", "temp.test", "--capture-retention", "30m")
    assert facts(run, "domain", "info", "temp.test")["capture_seconds"] == 1800
    run("domain", "set", "temp.test", "--capture", "on")
    assert facts(run, "domain", "info", "temp.test")["capture_seconds"] == 1800
    assert [row["email"] for row in facts(run, "user", "list", "--domain", "temp.test")] == ["capture@temp.test"]
    run("domain", "set", "temp.test", "--capture", "off")
    assert facts(run, "domain", "info", "temp.test")["capture_seconds"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--capture", "on", "--catch-all", "x@y.test"),
        ("--capture", "on", "--backup-mx", "on"),
        ("--capture", "off", "--capture-retention", "1h"),
        ("--capture-retention", "1h"),
        ("--capture", "on", "--capture-retention", "soon"),
        ("--capture", "on", "--capture-retention", "0"),
        ("--capture", "perhaps"),
    ],
)
def test_a_change_that_makes_no_sense_is_a_mistake_in_the_command(run, arguments):
    run("domain", "add", "temp.test")
    run("domain", "set", "temp.test", *arguments, status=2)
