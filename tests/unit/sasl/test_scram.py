"""SCRAM keys: derivation against the RFCs' own examples, and their encoding."""

import base64
import hashlib
import hmac

import pytest

from mailsuite.errors import MailError
from mailsuite.sasl import ScramHash, ScramKeys, derive_keys, fake_keys
from mailsuite.sasl.scram import prepare_password

# RFC 5802 section 5 and RFC 7677 section 3: user "user", password "pencil"
EXAMPLES = [
    (
        ScramHash.SHA_1,
        "QSXCR+Q6sek8bf92",
        (
            "n=user,r=fyko+d2lbbFgONRv9qkxdawL,"
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,"
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j"
        ),
        "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    (
        ScramHash.SHA_256,
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        (
            "n=user,r=rOprNGfwEbeRWgbNEkqO,"
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        ),
        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
]


@pytest.mark.parametrize(("hash_", "salt", "auth_message", "proof", "signature"), EXAMPLES)
def test_keys_check_the_proofs_of_the_rfcs(hash_, salt, auth_message, proof, signature):
    keys = derive_keys("pencil", hash_, base64.b64decode(salt), 4096)
    client_signature = hmac.digest(keys.stored_key, auth_message.encode(), hash_.digest)
    client_key = bytes(a ^ b for a, b in zip(base64.b64decode(proof), client_signature, strict=True))
    assert hashlib.new(hash_.digest, client_key).digest() == keys.stored_key
    server_signature = hmac.digest(keys.server_key, auth_message.encode(), hash_.digest)
    assert server_signature == base64.b64decode(signature)


@pytest.mark.parametrize("hash_", ScramHash)
def test_encoded_keys_read_back(hash_):
    keys = derive_keys("correct horse", hash_, b"0123456789abcdef")
    assert ScramKeys.parse(keys.encode()) == keys
    assert keys.encode().startswith(f"{hash_.value}$4096:MDEyMzQ1Njc4OWFiY2RlZg==$")


@pytest.mark.parametrize(
    "text", ["", "SCRAM-SHA-1$", "SCRAM-SHA-512$1:AA==$AA==:AA==", "SCRAM-SHA-1$1:A$A:A", "x" * 99]
)
def test_other_text_is_no_keys(text):
    with pytest.raises(MailError):
        ScramKeys.parse(text)


def test_keys_are_not_shown():
    assert "_key" not in repr(derive_keys("correct horse", ScramHash.SHA_256, b"salt"))


# RFC 4013 section 3
@pytest.mark.parametrize(
    ("given", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")],
)
def test_passwords_are_prepared_as_saslprep_says(given, prepared):
    assert prepare_password(given) == prepared


def test_an_unknown_user_has_the_same_made_up_keys_every_time():
    first = fake_keys("nobody", ScramHash.SHA_256, b"secret")
    assert fake_keys("nobody", ScramHash.SHA_256, b"secret") == first
    assert ScramKeys.parse(first.encode()) == first
    assert len(first.salt) == 16


def test_made_up_salts_differ_by_user_hash_and_installation():
    salts = {
        fake_keys("nobody", ScramHash.SHA_256, b"secret").salt,
        fake_keys("nowhere", ScramHash.SHA_256, b"secret").salt,
        fake_keys("nobody", ScramHash.SHA_1, b"secret").salt,
        fake_keys("nobody", ScramHash.SHA_256, b"other").salt,
    }
    assert len(salts) == 4
