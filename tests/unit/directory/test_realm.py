"""The realm's table, and checkers and realms that others bring."""

import sys
import textwrap

import pytest
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import LoginDenied, UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from zope.interface import Interface
from zope.interface.verify import verifyObject

from mailsuite.directory import MailRealm, make_checker, make_realm
from mailsuite.errors import Kind, MailError


class IFirst(Interface):
    pass


class ISecond(Interface):
    pass


class Avatar:
    def __init__(self, account, mind):
        self.account, self.mind, self.out = account, mind, False

    def logout(self):
        self.out = True


class Unfired:
    """An avatar that nobody can log out."""


@pytest.fixture
def realm(suite):
    suite.accounts.add("alice@example.test", quota_octets=9)

    async def later(account, mind):
        return Avatar(account, mind)

    return MailRealm({IFirst: Avatar, ISecond: later}, suite.directory)


def test_it_is_a_realm(realm):
    verifyObject(IRealm, realm)


def test_the_first_interface_in_the_table_wins(realm, result):
    interface, avatar, logout = result(realm.requestAvatar(b"alice@example.test", "mind", Interface, IFirst, ISecond))
    assert interface is IFirst
    assert (avatar.account.email, avatar.account.quota_octets, avatar.mind) == ("alice@example.test", 9, "mind")
    logout()
    assert avatar.out


def test_an_avatar_may_take_its_time_and_need_no_logout(suite, realm, result):
    interface, avatar, _ = result(realm.requestAvatar(b"alice@example.test", None, ISecond))
    assert interface is ISecond
    assert avatar.account.email == "alice@example.test"
    plain = MailRealm({IFirst: lambda account, mind: Unfired()}, suite.directory)
    result(plain.requestAvatar(b"alice@example.test", None, IFirst))[2]()


@pytest.mark.parametrize("avatar_id", [b"bob@example.test", b"", b"\xff", ()])
def test_who_is_not_there_gets_nothing(realm, result, avatar_id):
    with pytest.raises(LoginDenied):
        result(realm.requestAvatar(avatar_id, None, IFirst))


def test_what_is_not_in_the_table_is_denied(realm, result):
    with pytest.raises(LoginDenied):
        result(realm.requestAvatar(b"alice@example.test", None, Interface))


def test_a_disabled_account_gets_nothing(suite, realm, result):
    suite.accounts.set_enabled("alice@example.test", enabled=False)
    with pytest.raises(LoginDenied):
        result(realm.requestAvatar(b"alice@example.test", None, IFirst))


# what others bring

PLUGIN = """
    from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
    from twisted.cred.portal import IRealm
    from twisted.plugin import IPlugin
    from zope.interface import implementer

    from mailsuite.interfaces import ICheckerPlugin, IRealmPlugin


    @implementer(ICheckerPlugin, IPlugin)
    class Fixed:
        name = "fixed"

        def make_checker(self, options):
            checker = InMemoryUsernamePasswordDatabaseDontUse()
            for user, password in options.items():
                checker.addUser(user.encode(), password.encode())
            return checker


    @implementer(IRealm)
    class Wrapping:
        def __init__(self, default, greeting=""):
            self.default, self.greeting = default, greeting

        def requestAvatar(self, avatarId, mind, *interfaces):
            return interfaces[0], (self.greeting, avatarId), lambda: None


    @implementer(IRealmPlugin, IPlugin)
    class WrappingPlugin:
        name = "wrapping"

        def make_realm(self, options, default):
            return Wrapping(default, **options)


    fixed = Fixed()
    wrapping = WrappingPlugin()
    number = 7


    def make(user, password):
        return fixed.make_checker({user: password})
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of plugins, as ``twisted.plugins`` is one."""
    folder = tmp_path / "others_plugins"
    folder.mkdir()
    (folder / "__init__.py").write_text("from twisted.plugin import pluginPackagePaths\n__path__ += []\n")
    (folder / "others.py").write_text(textwrap.dedent(PLUGIN))
    monkeypatch.syspath_prepend(str(tmp_path))
    import others_plugins

    yield others_plugins
    for name in [name for name in sys.modules if name.split(".")[0] == "others_plugins"]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fixed", {"eve": "secret"}),
        ("others_plugins.others:fixed", {"eve": "secret"}),
        ("others_plugins.others:make", {"user": "eve", "password": "secret"}),
    ],
)
def test_a_second_checker_logs_into_our_realm(suite, package, result, name, options):
    suite.accounts.add("eve@example.test")
    checker = make_checker(name, options, package)

    class ByName:
        """Our accounts under another server's names."""

        async def find(self, email):
            return await suite.directory.find(f"{email}@example.test")

    portal = Portal(MailRealm({IFirst: Avatar}, ByName()), [checker])
    _, avatar, _ = result(portal.login(UsernamePassword(b"eve", b"secret"), None, IFirst))
    assert avatar.account.email == "eve@example.test"
    with pytest.raises(UnauthorizedLogin):
        result(portal.login(UsernamePassword(b"eve", b"wrong"), None, IFirst))


@pytest.mark.parametrize("name", ["wrapping", "others_plugins.others:wrapping", "others_plugins.others:Wrapping"])
def test_a_second_realm_is_found(package, realm, result, name):
    other = make_realm(name, {"greeting": "hello"}, realm, package)
    assert other.default is realm
    portal = Portal(other, [InMemoryUsernamePasswordDatabaseDontUse(eve=b"x")])
    login = portal.login(UsernamePassword(b"eve", b"x"), None, IFirst)
    assert isinstance(login, Deferred)
    assert result(login)[1] == ("hello", b"eve")


def test_plugins_are_found_in_twisteds_own_package():
    with pytest.raises(MailError, match="no plugin is called nowhere"):
        make_checker("nowhere", {})


@pytest.mark.parametrize("name", ["nowhere", "others_plugins.others:missing", "no_such_module:x", ":x", "x:"])
def test_what_is_not_there_is_named(package, realm, name):
    for make in (lambda: make_checker(name, {}, package), lambda: make_realm(name, {}, realm, package)):
        with pytest.raises(MailError) as caught:
            make()
        assert caught.value.kind is Kind.NOT_FOUND
        assert name in caught.value.detail


def test_an_unknown_name_comes_with_those_that_exist(package):
    with pytest.raises(MailError, match="there are: fixed"):
        make_checker("fixd", {}, package)


@pytest.mark.parametrize("name", ["others_plugins.others:number", "others_plugins.others:PLUGIN", "builtins:dict"])
def test_an_object_of_another_kind_is_refused(package, realm, name):
    for make in (lambda: make_checker(name, {}, package), lambda: make_realm(name, {}, None, package)):
        with pytest.raises((MailError, TypeError)):
            make()
