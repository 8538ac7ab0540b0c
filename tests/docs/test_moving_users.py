"""What docs/moving-users.rst says to programmers is true."""

import doctest
from pathlib import Path

import bcrypt
import pytest
from passlib.context import CryptContext

from mailsuite.directory import DirectoryDatabase, Domains, PasswordHashing

PAGE = Path(__file__).parents[2] / "docs" / "moving-users.rst"
SECRET = "secure_password"


def test_the_library_calls_of_the_page_do_what_it_shows(tmp_path):
    text = PAGE.read_text(encoding="utf-8").replace("/srv/mail/data", str(tmp_path))
    database = DirectoryDatabase(f"sqlite:///{tmp_path}/mailsuite.db")
    database.migrate()
    Domains(database).add("yourdomain.com")
    examples = doctest.DocTestParser().get_doctest(text, {}, "page", None, None)
    assert len(examples.examples) == 6
    report = []
    doctest.DocTestRunner().run(examples, out=report.append)
    assert report == []
    examples.globs.clear()
    database.close()


@pytest.mark.parametrize(
    "scheme", ["argon2", "pbkdf2_sha256", "pbkdf2_sha512", "sha512_crypt", "sha256_crypt", "scrypt"]
)
def test_what_a_context_of_passlib_made_lets_its_owner_in(scheme):
    stored = CryptContext([scheme], deprecated="auto").hash(SECRET)
    hashing = PasswordHashing()
    assert hashing.recognises(stored)
    assert hashing.verify(SECRET.encode(), stored)
    assert not hashing.verify(b"another", stored)


def test_what_a_context_of_passlib_with_bcrypt_made_lets_its_owner_in():
    stored = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4, b"2b")).decode()  # passlib calls just this
    assert CryptContext(["bcrypt"]).identify(stored) == "bcrypt"
    assert PasswordHashing().verify(SECRET.encode(), stored)
