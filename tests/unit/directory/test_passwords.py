"""Hashing, verifying what other servers left behind, judging passwords."""

import bcrypt
import pytest
from passlib.hash import (
    apr_md5_crypt,
    ldap_salted_sha1,
    ldap_salted_sha256,
    ldap_salted_sha512,
    md5_crypt,
    pbkdf2_sha256,
    pbkdf2_sha512,
    scrypt,
    sha256_crypt,
    sha512_crypt,
)

from mailsuite.directory import PasswordHashing, weakness
from mailsuite.directory.passwords import ensure_acceptable, new_password
from mailsuite.errors import MailError

SECRET = "correct hörse"
OLDER = {
    "bcrypt": bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode(),
    "bcrypt-2y": bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$"),
    "dovecot-bcrypt": "{BLF-CRYPT}" + bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode(),
    "scrypt": scrypt.using(rounds=4).hash(SECRET),
    "pbkdf2_sha256": pbkdf2_sha256.using(rounds=10).hash(SECRET),
    "pbkdf2_sha512": pbkdf2_sha512.using(rounds=10).hash(SECRET),
    "sha512_crypt": sha512_crypt.using(rounds=1000).hash(SECRET),
    "sha256_crypt": sha256_crypt.using(rounds=1000).hash(SECRET),
    "dovecot-sha512": "{SHA512-CRYPT}" + sha512_crypt.using(rounds=1000).hash(SECRET),
    "dovecot-crypt": "{crypt}" + sha256_crypt.using(rounds=1000).hash(SECRET),
    "md5_crypt": md5_crypt.hash(SECRET),
    "dovecot-md5": "{MD5}" + md5_crypt.hash(SECRET),
    "htpasswd": apr_md5_crypt.hash(SECRET),
    "ssha": ldap_salted_sha1.hash(SECRET),
    "ssha256": ldap_salted_sha256.hash(SECRET),
    "ssha512": ldap_salted_sha512.hash(SECRET),
    "argon2id-other-cost": PasswordHashing(memory_kib=32, time_cost=1).hash(SECRET),
    "dovecot-argon2id": "{ARGON2ID}" + PasswordHashing(memory_kib=32, time_cost=1).hash(SECRET),
}


def test_a_hash_is_argon2id_with_the_promised_cost():
    stored = PasswordHashing().hash(SECRET)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert len(stored) == 97


def test_a_hash_verifies_its_password_alone(hashing):
    stored = hashing.hash(SECRET)
    assert hashing.verify(SECRET.encode(), stored)
    assert not hashing.verify(b"correct horse", stored)
    assert not hashing.verify(b"", stored)
    assert not hashing.is_outdated(stored)
    assert stored != hashing.hash(SECRET)


@pytest.mark.parametrize("name", OLDER)
def test_older_schemes_are_verified_and_asked_to_be_renewed(hashing, name):
    stored = OLDER[name]
    assert hashing.recognises(stored)
    assert hashing.verify(SECRET.encode(), stored)
    assert not hashing.verify(b"wrong", stored)
    assert hashing.is_outdated(stored)


@pytest.mark.parametrize(
    "stored", ["", "x", "secret", "$9$x", "$2b$04$short", "{PLAIN}secret", "$argon2id$v=19$m=1", "é"]
)
def test_text_that_is_no_hash_verifies_nothing(hashing, stored):
    assert not hashing.verify(b"secret", stored)
    assert not hashing.verify(stored.encode(), stored)
    assert not hashing.recognises(stored) or stored.startswith("$argon2id")


@pytest.mark.parametrize("password", [b"a\0b", b"x" * 1025, b"x" * 12_000])
def test_passwords_that_nobody_can_have_are_wrong(hashing, password):
    assert not hashing.verify(password, hashing.hash("x" * 1025))
    assert not hashing.verify(password, OLDER["bcrypt"])
    hashing.waste(password)


def test_bcrypt_looks_at_72_octets_as_it_always_did(hashing):
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert hashing.verify(b"x" * 100, stored)


def test_a_password_of_the_wrong_encoding_is_wrong(hashing):
    assert not hashing.verify(b"\xff\xfe", hashing.hash(SECRET))


def test_an_unknown_user_costs_one_verification(hashing, monkeypatch):
    calls = []
    verify = hashing._context.verify
    monkeypatch.setattr(hashing._context, "verify", lambda *arguments: calls.append(arguments) or verify(*arguments))
    hashing.waste(b"anything")
    ((_, stored),) = calls
    assert not hashing.is_outdated(stored)
    assert len(stored) == len(hashing.hash(SECRET))


@pytest.mark.parametrize("password", ["", "1234567", "äöüäöüß", "tab\tinside1", "x" * 1025, "ä" * 513, "nul\0inside1"])
def test_what_nobody_may_choose_is_refused(password):
    with pytest.raises(MailError):
        ensure_acceptable(password)


@pytest.mark.parametrize("password", ["12345678", "alice-demo", "x" * 1024, "pässwörter €"])
def test_eight_characters_are_enough(password):
    ensure_acceptable(password)


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "Passw0rd!",
        "qwerty123",
        "12345678",
        "87654321",
        "abcdefgh",
        "aaaaaaaa",
        "alice123!X",
        "abababab",
        "kzrvtqpx",
    ],
)
def test_passwords_that_are_easily_guessed_get_a_warning(password):
    assert weakness(password, "alice@example.test")


@pytest.mark.parametrize("password", ["correct horse battery staple", "gT7!kqPz", "vermouth-tangerine"])
def test_others_do_not(password):
    assert weakness(password, "alice@example.test") is None


def test_a_new_password_may_stand_in_any_command_line():
    made = {new_password() for _ in range(1000)}
    assert len(made) == 1000
    for password in made:
        assert password.isascii()
        assert password.isalnum()
        ensure_acceptable(password)
        assert weakness(password) is None
