from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import UsernamePassword
from twisted.cred.portal import IRealm
from zope.interface import implementer

from mailsuite.directory.settings import AuthSettings
from mailsuite.interfaces import Account, IMailAccount
from mailsuite.service.portal import make_portal

ALICE = Account(account_id=1, email="alice@example.test")


class Accounts:
    async def find(self, email):
        return ALICE if email == ALICE.email else None


def _login(portal, name=b"alice@example.test", password=b"secret"):
    results = []
    portal.login(UsernamePassword(name, password), None, IMailAccount).addBoth(results.append)
    (result,) = results
    return result


def _own():
    return InMemoryUsernamePasswordDatabaseDontUse(**{"alice@example.test": b"secret"})


def other_checker(**options):
    """A checker from elsewhere, made with the table of options that the configuration has for it."""
    return InMemoryUsernamePasswordDatabaseDontUse(**{"alice@example.test": options["password"].encode()})


@implementer(IRealm)
class OtherRealm:
    def __init__(self, default):
        self.default = default

    def requestAvatar(self, avatarId, mind, *interfaces):
        return interfaces[0], ("other", avatarId), lambda: None


OTHER = f"{__name__}:other_checker"


def test_an_account_gets_the_avatar_of_the_interface_that_was_asked_for():
    portal = make_portal(AuthSettings(), Accounts(), _own(), {IMailAccount: lambda account, mind: ("box", account)})
    assert _login(portal)[:2] == (IMailAccount, ("box", ALICE))


def test_a_checker_named_in_the_configuration_is_asked_as_well(monkeypatch):
    import sys
    import types

    module = types.ModuleType("someone_elses")
    module.other_checker = other_checker
    monkeypatch.setitem(sys.modules, "someone_elses", module)
    name = "someone_elses:other_checker"
    settings = AuthSettings(checkers=("directory", name), options={name: {"password": "else"}})
    portal = make_portal(settings, Accounts(), _own(), {IMailAccount: lambda account, mind: account})
    assert _login(portal, password=b"else")[1] == ALICE
    assert _login(portal, password=b"secret")[1] == ALICE


def test_a_realm_named_in_the_configuration_takes_the_place_of_ours(monkeypatch):
    import sys
    import types

    module = types.ModuleType("someone_elses")
    module.OtherRealm = OtherRealm
    monkeypatch.setitem(sys.modules, "someone_elses", module)
    portal = make_portal(AuthSettings(realm="someone_elses:OtherRealm"), Accounts(), _own(), {})
    assert _login(portal)[1] == ("other", b"alice@example.test")
