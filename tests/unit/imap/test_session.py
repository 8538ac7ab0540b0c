"""States, commands and capabilities."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from zope.interface import alsoProvides

from mailsuite import imap
from mailsuite.imap import commands
from mailsuite.imap.session import ALLOWED, State
from mailsuite.imap.verbs import VERBS
from mailsuite.interfaces import IQuotaAdministrator

NOT_BEFORE_LOGIN = [
    b"SELECT INBOX", b"EXAMINE INBOX", b"CREATE x", b"DELETE x", b"RENAME x y", b"SUBSCRIBE x", b"UNSUBSCRIBE x",
    b'LIST "" *', b'LSUB "" *', b"NAMESPACE", b"STATUS INBOX (MESSAGES)", b"IDLE", b"ENABLE X",
    b"UNAUTHENTICATE", b'GETQUOTA ""', b"GETQUOTAROOT INBOX", b'SETQUOTA "" ()',
]  # fmt: skip
ONLY_SELECTED = [
    b"CHECK", b"CLOSE", b"UNSELECT", b"EXPUNGE", b"SEARCH ALL", b"FETCH 1 FLAGS", b"STORE 1 FLAGS ()", b"COPY 1 x",
    b"MOVE 1 x", b"UID FETCH 1 FLAGS", b"UID EXPUNGE 1", b"REPLACE 1 x {1+}\r\na", b"UID REPLACE 1 x {1+}\r\na",
]  # fmt: skip


def all_commands():
    names = [module.name for module in pkgutil.iter_modules(imap.__path__) if module.name.endswith("commands")]
    assert len(names) > 1
    modules = [importlib.import_module(f"{imap.__name__}.{name}") for name in names]
    values = [value for module in modules for value in vars(module).values()]
    return {each for each in values if isinstance(each, type) and issubclass(each, commands.Command)}


def test_every_command_has_its_states_and_its_verb():
    every = all_commands() - {commands.Command}
    assert set(ALLOWED) == every
    assert set(VERBS) == every - {commands.Append, commands.Idle, commands.Replace}


@pytest.mark.parametrize("command", NOT_BEFORE_LOGIN + ONLY_SELECTED)
def test_nothing_reaches_the_store_before_login(suite, command):
    client = suite.connect()
    client.received()
    _, status = client.run(command)
    assert status.startswith(b"BAD")
    assert b"not authenticated" in status
    assert suite.account.calls == []


@pytest.mark.parametrize("command", ONLY_SELECTED)
def test_message_commands_need_a_selected_mailbox(suite, command):
    client = suite.connect().login()
    assert client.run(command)[1].startswith(b"BAD")


@pytest.mark.parametrize("command", [b"LOGIN alice@example.test secret", b"AUTHENTICATE PLAIN", b"STARTTLS"])
def test_nobody_logs_in_twice(suite, command):
    client = suite.connect().login()
    assert client.run(command)[1].startswith(b"BAD")


@pytest.mark.parametrize("command", [b"CLOSE", b"UNSELECT"])
def test_leaving_the_mailbox_leads_back_to_authenticated(suite, command):
    client = suite.connect().login().select()
    client.ok(command)
    assert client.server.session.state is State.AUTHENTICATED
    assert client.run(b"CHECK")[1].startswith(b"BAD")
    client.select()


def test_capabilities_follow_the_state(make_suite):
    suite = make_suite(context_factory=object(), allow_cleartext=False)
    client = suite.connect()
    greeting = client.received()
    assert greeting.startswith(b"* OK [CAPABILITY IMAP4rev1 ")
    assert b"STARTTLS" in greeting
    assert b"LOGINDISABLED" in greeting
    assert b"AUTH=" not in greeting
    client.server.session.tls = True
    (line,) = client.ok(b"CAPABILITY")
    words = line.split()
    assert b"LOGINDISABLED" not in words
    assert b"STARTTLS" not in words
    assert {b"AUTH=PLAIN", b"SASL-IR"} <= set(words)
    assert b"MOVE" not in words
    _, status = client.run(b"LOGIN alice@example.test secret")
    for name in (b"UIDPLUS", b"MOVE", b"IDLE", b"NAMESPACE", b"SPECIAL-USE", b"UNSELECT", b"CHILDREN", b"STATUS=SIZE",
                 b"CONDSTORE", b"SAVEDATE", b"OBJECTID", b"QRESYNC"):  # fmt: skip
        assert name in status
    assert b"AUTH=" not in status


def test_importing_the_package_brings_no_storage_no_web_and_no_reactor():
    script = (
        "import sys, mailsuite.imap;"
        "loaded = {'sqlite3', 'mailsuite.store', 'mailsuite.directory', 'twisted.web', 'twisted.internet.reactor',"
        " 'sqlalchemy'} & set(sys.modules);"
        "sys.exit(repr(loaded) if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_capability_has_its_row_in_the_documentation(suite):
    page = (Path(__file__).parents[3] / "docs" / "imap.rst").read_text(encoding="utf-8")
    rows = {line.split()[0] for line in page.splitlines() if line[:1].isupper()}
    alsoProvides(suite.account, IQuotaAdministrator)
    client = suite.connect()
    words = {word.decode() for word in client.received().partition(b"]")[0].split()[3:]}
    words |= {word.decode() for word in client.login().ok(b"CAPABILITY")[0].split()[2:]}
    names = {word.partition("=")[0] + "=" if word.startswith(("AUTH=", "APPENDLIMIT=")) else word for word in words}
    assert not names - rows
