"""What we rely on in ``twisted.cred``; an upgrade that moves it fails here."""

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginDenied, LoginFailed, Unauthorized, UnauthorizedLogin, UnhandledCredentials
from twisted.cred.portal import IRealm, Portal
from zope.interface import Interface, implementer

from mailsuite.sasl import PasswordLogin


class IFirst(Interface):
    pass


class ISecond(Interface):
    pass


@implementer(IRealm)
class Realm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        return interfaces[0], (avatarId, mind, interfaces), lambda: None


def checker(**users):
    made = InMemoryUsernamePasswordDatabaseDontUse()
    for name, password in users.items():
        made.addUser(name.encode(), password.encode())
    return made


def outcome(deferred):
    results = []
    deferred.addBoth(results.append)
    return results[0]


def test_a_portal_passes_mind_and_interfaces_to_the_realm_in_order():
    portal = Portal(Realm(), [checker(alice="a")])
    login = portal.login(PasswordLogin(username=b"alice", password=b"a"), "mind", IFirst, ISecond)
    interface, avatar, logout = outcome(login)
    assert (interface, avatar) == (IFirst, (b"alice", "mind", (IFirst, ISecond)))
    assert callable(logout)


def test_a_portal_keeps_one_checker_for_each_kind_of_credentials():
    # The reason for CheckerChain.
    portal = Portal(Realm(), [checker(alice="a"), checker(bob="b")])
    assert IUsernamePassword in portal.checkers
    assert outcome(portal.login(UsernamePassword(b"bob", b"b"), None, IFirst))[0] is IFirst
    refused = outcome(portal.login(UsernamePassword(b"alice", b"a"), None, IFirst))
    assert refused.check(UnauthorizedLogin)


def test_credentials_that_no_checker_takes_are_refused():
    assert outcome(Portal(Realm()).login(UsernamePassword(b"a", b"b"), None, IFirst)).check(UnhandledCredentials)


def test_every_refusal_is_one_of_the_families_that_servers_answer_as_wrong_password():
    for error in (UnauthorizedLogin, LoginDenied, UnhandledCredentials):
        assert issubclass(error, (Unauthorized, LoginFailed)), error
