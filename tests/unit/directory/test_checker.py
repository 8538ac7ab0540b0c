"""Logins: the same answer for everybody who may not, memory for those who may, nothing that outlives a change."""

import sqlite3

import pytest
from passlib.hash import ldap_salted_sha1, sha512_crypt
from twisted.cred.checkers import ICredentialsChecker, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IAnonymous, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailsuite.directory import CheckerChain, DirectoryChecker
from mailsuite.durable import InlineLane
from mailsuite.errors import Kind, MailError
from mailsuite.sasl import PasswordLogin
from mailsuite.sasl.scram import ScramHash, derive_keys


class CountingLane(InlineLane):
    """Counts what is hashed; holds jobs back when told to."""

    def __init__(self):
        super().__init__()
        self.jobs = []
        self.held = None

    def run(self, job, *arguments):
        self.jobs.append(job.__name__)
        if self.held is None:
            return super().run(job, *arguments)
        deferred = Deferred()
        self.held.append((deferred, job, arguments))
        return deferred

    def release(self):
        held, self.held = self.held, None
        for deferred, job, arguments in held:
            if not deferred.called:
                deferred.callback(job(*arguments))


@pytest.fixture
def hashers():
    return CountingLane()


@pytest.fixture
def alice(suite):
    return suite.accounts.add("alice@example.test", password="correct horse")


@pytest.fixture
def checker(suite, hashers):
    return DirectoryChecker(suite.directory, hashers, suite.clock, hashing=suite.hashing)


@pytest.fixture
def log_in(checker, result):
    def attempt(name, password, with_=None):
        login = PasswordLogin(username=name.encode(), password=password.encode())
        return result((with_ or checker).requestAvatarId(login))

    return attempt


@pytest.fixture
def refused(log_in):
    def attempt(name, password):
        with pytest.raises(UnauthorizedLogin) as caught:
            log_in(name, password)
        return str(caught.value)

    return attempt


def test_it_is_a_checker_for_names_with_passwords(checker):
    verifyObject(ICredentialsChecker, checker)


def test_the_right_password_gives_the_address(alice, log_in):
    assert log_in("ALICE@example.test", "correct horse") == b"alice@example.test"
    assert log_in("alice", "correct horse") == b"alice@example.test"


def test_twisteds_own_credentials_work(alice, checker, result):
    assert result(checker.requestAvatarId(UsernamePassword(b"alice", b"correct horse"))) == b"alice@example.test"


def test_wrong_password_unknown_name_disabled_and_passwordless_accounts_cost_and_say_the_same(
    suite, alice, refused, hashers
):
    suite.accounts.add("bob@example.test", password="battery staple")
    suite.accounts.set_enabled("bob@example.test", enabled=False)
    suite.accounts.add("carol@example.test")
    answers = set()
    for name, password in (
        ("alice@example.test", "wrong"),
        ("nobody@example.test", "wrong"),
        ("bob@example.test", "battery staple"),
        ("bob@example.test", "wrong"),
        ("carol@example.test", ""),
        ("alice@far.test", "correct horse"),
        ("\udcff".encode("utf-8", "replace").decode(), "wrong"),
    ):
        hashers.jobs.clear()
        answers.add(refused(name, password))
        assert len(hashers.jobs) == 1
        assert hashers.jobs[0] in {"verify", "waste"}
    assert len(answers) == 1


def test_a_verified_login_is_remembered_for_some_minutes(suite, alice, log_in, hashers):
    for _ in range(5):
        log_in("alice@example.test", "correct horse")
    assert hashers.jobs == ["verify"]
    log_in("alice@EXAMPLE.test", "correct horse")
    assert hashers.jobs == ["verify"]
    suite.clock.advance(301)
    log_in("alice@example.test", "correct horse")
    assert hashers.jobs == ["verify", "verify"]


def test_a_wrong_password_is_never_remembered(alice, log_in, refused, hashers):
    log_in("alice", "correct horse")
    refused("alice", "correct horse ")
    refused("alice", "correct horse ")
    assert hashers.jobs == ["verify"] * 3


def test_a_changed_password_ends_the_memory_at_once(suite, alice, log_in, refused):
    log_in("alice", "correct horse")
    suite.accounts.set_password("alice@example.test", "battery staple")  # by a database object of its own
    refused("alice", "correct horse")
    log_in("alice", "battery staple")
    refused("alice", "correct horse")


def test_a_disabled_or_removed_account_ends_the_memory_at_once(suite, alice, log_in, refused):
    log_in("alice", "correct horse")
    suite.accounts.set_enabled("alice@example.test", enabled=False)
    refused("alice", "correct horse")
    suite.accounts.set_enabled("alice@example.test", enabled=True)
    log_in("alice", "correct horse")
    suite.accounts.remove("alice@example.test")
    refused("alice", "correct horse")


def test_changes_elsewhere_leave_the_memory_alone(suite, alice, log_in, hashers):
    log_in("alice", "correct horse")
    suite.accounts.add("bob@example.test")
    log_in("alice", "correct horse")
    assert hashers.jobs == ["verify"]


def test_the_memory_can_be_turned_off_and_is_bounded(suite, alice, log_in, hashers):
    off = DirectoryChecker(suite.directory, hashers, suite.clock, hashing=suite.hashing, cache_seconds=0)
    log_in("alice", "correct horse", off)
    log_in("alice", "correct horse", off)
    assert hashers.jobs == ["verify"] * 2
    small = DirectoryChecker(suite.directory, hashers, suite.clock, hashing=suite.hashing, cache_max=4)
    for number in range(20):
        suite.accounts.add(f"user{number}@example.test", password="correct horse")
        log_in(f"user{number}", "correct horse", small)
    assert len(small._verified) <= 4
    log_in("user19", "correct horse", small)
    assert hashers.jobs == ["verify"] * 22


def test_the_memory_holds_no_password(alice, checker, log_in):
    log_in("alice", "correct horse")
    assert "correct horse" not in repr(vars(checker))


def test_equal_logins_that_arrive_together_are_verified_once(alice, checker, hashers, result):
    hashers.held = []
    login = PasswordLogin(username=b"alice", password=b"correct horse")
    attempts = [checker.requestAvatarId(login) for _ in range(5)]
    other = checker.requestAvatarId(PasswordLogin(username=b"alice", password=b"wrong"))
    hashers.release()
    assert [result(attempt) for attempt in attempts] == [b"alice@example.test"] * 5
    with pytest.raises(UnauthorizedLogin):
        result(other)
    assert hashers.jobs == ["verify", "verify"]


def test_a_client_that_leaves_does_not_fail_those_that_wait_with_it(alice, checker, hashers, result):
    hashers.held = []
    login = PasswordLogin(username=b"alice", password=b"correct horse")
    first, second = checker.requestAvatarId(login), checker.requestAvatarId(login)
    first.addErrback(lambda _: None)
    first.cancel()
    hashers.release()
    assert result(second) == b"alice@example.test"


def test_a_password_changed_while_the_old_one_is_verified_is_not_joined(suite, alice, checker, hashers, result):
    hashers.held = []
    login = PasswordLogin(username=b"alice", password=b"correct horse")
    first = checker.requestAvatarId(login)
    suite.accounts.set_password("alice@example.test", "battery staple")
    second = checker.requestAvatarId(login)
    hashers.release()
    assert result(first) == b"alice@example.test"
    with pytest.raises(UnauthorizedLogin):
        result(second)


def test_an_old_hash_is_renewed_and_scram_keys_are_stored_at_login(suite, log_in, refused, hashers, result):
    suite.accounts.add("bob@example.test", password_hash=sha512_crypt.using(rounds=1000).hash("battery staple"))
    refused("bob", "wrong")
    assert not result(suite.directory.login_record("bob")).has_scram_keys
    log_in("bob", "battery staple")
    record = result(suite.directory.login_record("bob"))
    assert record.has_scram_keys
    assert not suite.hashing.is_outdated(record.password_hash)
    assert suite.hashing.verify(b"battery staple", record.password_hash)
    keys = result(suite.directory.scram_keys("bob@example.test", ScramHash.SHA_1))
    assert keys == derive_keys("battery staple", ScramHash.SHA_1, keys.salt)
    hashers.jobs.clear()
    log_in("bob", "battery staple")  # still remembered, though the stored hash is another one
    assert hashers.jobs == []


def test_an_old_password_that_is_no_utf_8_goes_on_working(suite, checker, result):
    password = "pässwort".encode("latin-1")
    suite.accounts.add("bob@example.test", password_hash=ldap_salted_sha1.hash(password))
    login = PasswordLogin(username=b"bob", password=password)
    assert result(checker.requestAvatarId(login)) == b"bob@example.test"
    assert not result(suite.directory.login_record("bob")).has_scram_keys


def test_a_password_changed_during_renewal_stays_changed(suite, checker, hashers, refused, log_in, result):
    suite.accounts.add("bob@example.test", password_hash=sha512_crypt.using(rounds=1000).hash("battery staple"))
    record = result(suite.directory.login_record("bob"))
    suite.accounts.set_password("bob@example.test", "new password")
    assert not result(suite.directory.store_verifiers(record, "stale", {"scram-sha-1": "stale"}, 0))
    log_in("bob", "new password")
    with sqlite3.connect(suite.database.path) as connection:
        assert connection.execute("SELECT count(*) FROM verifiers WHERE value = 'stale'").fetchone() == (0,)
    connection.close()


def test_logins_that_wait_are_bounded(suite, alice, hashers, result):
    checker = DirectoryChecker(suite.directory, hashers, suite.clock, hashing=suite.hashing, waiting_max=2)
    hashers.held = []
    attempts = [
        checker.requestAvatarId(PasswordLogin(username=b"alice", password=password))
        for password in (b"correct horse", b"two", b"three", b"two")
    ]
    with pytest.raises(MailError) as caught:
        result(attempts[2])
    assert caught.value.kind is Kind.UNAVAILABLE
    hashers.release()
    assert result(attempts[0]) == b"alice@example.test"
    for attempt in (attempts[1], attempts[3]):
        with pytest.raises(UnauthorizedLogin):
            result(attempt)


def test_a_full_hashing_pool_is_a_temporary_failure(suite, alice, result):
    class Full(InlineLane):
        def run(self, job, *arguments):
            deferred = Deferred()
            deferred.errback(MailError(Kind.UNAVAILABLE))
            return deferred

    checker = DirectoryChecker(suite.directory, Full(), suite.clock, hashing=suite.hashing)
    with pytest.raises(MailError):
        result(checker.requestAvatarId(PasswordLogin(username=b"alice", password=b"correct horse")))


# several checkers


@implementer(ICredentialsChecker)
class Anonymous:
    credentialInterfaces = (IAnonymous,)

    def requestAvatarId(self, credentials):
        raise AssertionError


def test_a_chain_asks_its_checkers_in_order(alice, checker, result):
    second = InMemoryUsernamePasswordDatabaseDontUse(eve=b"from elsewhere")
    chain = CheckerChain([Anonymous(), checker, second])
    verifyObject(ICredentialsChecker, chain)
    assert set(chain.credentialInterfaces) >= {IAnonymous, *checker.credentialInterfaces}
    assert result(chain.requestAvatarId(UsernamePassword(b"alice", b"correct horse"))) == b"alice@example.test"
    assert result(chain.requestAvatarId(UsernamePassword(b"eve", b"from elsewhere"))) == b"eve"
    with pytest.raises(UnauthorizedLogin):
        result(chain.requestAvatarId(UsernamePassword(b"eve", b"wrong")))


def test_a_chain_stops_at_a_failure_that_is_no_refusal(suite, result):
    @implementer(ICredentialsChecker)
    class Broken:
        credentialInterfaces = DirectoryChecker.credentialInterfaces

        def requestAvatarId(self, credentials):
            raise MailError(Kind.UNAVAILABLE)

    chain = CheckerChain([Broken(), InMemoryUsernamePasswordDatabaseDontUse(eve=b"x")])
    with pytest.raises(MailError):
        result(chain.requestAvatarId(UsernamePassword(b"eve", b"x")))
