"""
Stored keys of SCRAM-SHA-1 and SCRAM-SHA-256: what lets a server check a password it does not have.

RFC 5802 section 3, RFC 7677. Encoded as RFC 5803 does, with the iteration count and salt in front:
``SCRAM-SHA-256$4096:salt$StoredKey:ServerKey``.
"""

import base64
import binascii
import enum
import hashlib
import hmac
import re
from typing import Self

import attrs

from mailsuite.errors import Kind, MailError
from mailsuite.sasl.saslprep import map_and_normalize

SALT_OCTETS = 16
ITERATIONS = 4096  # RFC 7677 section 4: at least 4096

_ENCODED = re.compile(
    r"(SCRAM-SHA-1|SCRAM-SHA-256)\$([0-9]{1,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)"
)


class ScramHash(enum.Enum):
    """The hash functions, by the name of their mechanism."""

    SHA_1 = "SCRAM-SHA-1"
    SHA_256 = "SCRAM-SHA-256"

    @property
    def digest(self) -> str:
        """The name under which ``hashlib`` knows it."""
        return "sha1" if self is ScramHash.SHA_1 else "sha256"


@attrs.frozen(kw_only=True)
class ScramKeys:
    """
    What is kept for one password and one hash function.

    Args:
        stored_key: proves that a client knows the password.
        server_key: proves to the client that the server was told of it.
    """

    hash: ScramHash
    salt: bytes
    iterations: int
    stored_key: bytes = attrs.field(repr=False)
    server_key: bytes = attrs.field(repr=False)

    def encode(self) -> str:
        """Write the keys as one line of ASCII."""
        salt, stored, server = (
            base64.b64encode(value).decode("ascii") for value in (self.salt, self.stored_key, self.server_key)
        )
        return f"{self.hash.value}${self.iterations}:{salt}${stored}:{server}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read what `encode` wrote.

        Raises:
            MailError: INVALID, when it is not that.
        """
        match = _ENCODED.fullmatch(text)
        if match is None:
            raise MailError(Kind.INVALID, "these are not SCRAM keys")
        name, iterations, *octets = match.groups()
        try:
            salt, stored, server = (base64.b64decode(value, validate=True) for value in octets)
        except binascii.Error as error:
            raise MailError(Kind.INVALID, "these are not SCRAM keys") from error
        return cls(hash=ScramHash(name), salt=salt, iterations=int(iterations), stored_key=stored, server_key=server)


def prepare_password(password: str) -> str:
    """
    Write a password in its one comparable form: SASLprep's mapping and NFKC (RFC 4013 section 2).

    What SASLprep prohibits is left as it is: a password that we let somebody choose must go on working.
    """
    return map_and_normalize(password)


def derive_keys(password: str, hash_: ScramHash, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """
    Make the keys of a password (RFC 5802 section 3). Takes some milliseconds: call it from a thread.

    Args:
        salt: random, fresh for each password and hash function.
    """
    digest = hash_.digest
    salted = hashlib.pbkdf2_hmac(digest, prepare_password(password).encode("utf-8"), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", digest)
    return ScramKeys(
        hash=hash_,
        salt=salt,
        iterations=iterations,
        stored_key=hashlib.new(digest, client_key).digest(),
        server_key=hmac.digest(salted, b"Server Key", digest),
    )


def fake_keys(username: str, hash_: ScramHash, secret: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """
    Make up keys for a user who does not exist: the same at each attempt, so that nobody learns who does.

    Args:
        secret: this installation's; whoever knows it can tell made-up salts from real ones.
    """
    name = username.encode("utf-8", "surrogateescape")

    def made_up(purpose: bytes) -> bytes:
        return hmac.digest(secret, purpose + b"\0" + hash_.value.encode("ascii") + b"\0" + name, "sha512")

    size = hashlib.new(hash_.digest).digest_size
    return ScramKeys(
        hash=hash_,
        salt=made_up(b"salt")[:SALT_OCTETS],
        iterations=iterations,
        stored_key=made_up(b"stored key")[:size],
        server_key=made_up(b"server key")[:size],
    )
