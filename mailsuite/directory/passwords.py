"""
Passwords: hashed with argon2id, verified in every scheme that other mail servers left behind.

Everything here computes for tens of milliseconds: call it from a thread.
"""

import base64
import re
import secrets
import string
import warnings

import bcrypt

from mailsuite.errors import Kind, MailError

MEMORY_KIB = 19_456  # 19 MiB: OWASP's second parameter set for argon2id
TIME_COST = 2
PARALLELISM = 1

PASSWORD_MIN_CHARACTERS = 8
PASSWORD_MAX_OCTETS = 1024
BCRYPT_MAX_OCTETS = 72

_NEW_CHARACTERS = 20
_ALPHABET = string.ascii_letters + string.digits

_STRONG_CHARACTERS = 12
_DISTINCT_MIN = 5
_COMMON = re.compile(
    r"(?:passw(?:or|0r)[dt]|pa55w0rd|qwert[yz]|asdfgh|letmein|welcome|changeme|iloveyou|admin|secret|football|dragon"
    r"|monkey|sunshine|princess|baseball|superman|trustno1|geheim|hallo|abc123)[\W\d_]*",
    re.IGNORECASE,
)
_SEQUENCES = ("0123456789", "9876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")

# Dovecot writes the scheme in front; where what follows says it again, the prefix goes.
_DOVECOT_PREFIX = re.compile(
    r"\{(?:CRYPT|BLF-CRYPT|SHA512-CRYPT|SHA256-CRYPT|MD5-CRYPT|MD5|ARGON2ID?|ARGON2I)\}(?=\$)", re.IGNORECASE
)
_SCHEMES = (
    "argon2",
    "scrypt",
    "pbkdf2_sha256",
    "pbkdf2_sha512",
    "sha512_crypt",
    "sha256_crypt",
    "md5_crypt",
    "apr_md5_crypt",
    "ldap_salted_sha512",
    "ldap_salted_sha256",
    "ldap_salted_sha1",
    "ldap_sha1",
)


class PasswordHashing:
    """
    Hashes and verifies. Safe to share between threads.

    Args:
        memory_kib: argon2id's memory; tests use less.
    """

    def __init__(
        self, *, memory_kib: int = MEMORY_KIB, time_cost: int = TIME_COST, parallelism: int = PARALLELISM
    ) -> None:
        with warnings.catch_warnings():
            # passlib 1.7.4 imports the module crypt and reads argon2.__version__; both are announced for removal.
            warnings.simplefilter("ignore", DeprecationWarning)
            from passlib.context import CryptContext
            from passlib.hash import argon2

            argon2.set_backend("argon2_cffi")
            self._context = CryptContext(
                schemes=_SCHEMES,
                argon2__type="ID",
                argon2__memory_cost=memory_kib,
                argon2__time_cost=time_cost,
                argon2__parallelism=parallelism,
            )
        self._parameters = f"$argon2id$v=19$m={memory_kib},t={time_cost},p={parallelism}$"
        salt, digest = (base64.b64encode(secrets.token_bytes(n)).decode("ascii").rstrip("=") for n in (16, 32))
        self._nobodys = f"{self._parameters}{salt}${digest}"

    def hash(self, password: str) -> str:
        """Make a PHC string of argon2id, with a fresh salt."""
        return str(self._context.hash(password))

    def verify(self, password: bytes, stored: str) -> bool:
        """Say whether this is the password; False as well for a hash in no known scheme."""
        if len(password) > PASSWORD_MAX_OCTETS or b"\0" in password:
            self.waste(b"")
            return False
        plain = _DOVECOT_PREFIX.sub("", stored, count=1)
        try:
            if plain.startswith("$2"):
                # passlib's own bcrypt backend fails with bcrypt 5, which no longer cuts long passwords by itself.
                return bcrypt.checkpw(password[:BCRYPT_MAX_OCTETS], plain.encode("ascii", "replace"))
            return bool(self._context.verify(password, plain))
        except ValueError:
            self.waste(b"")
            return False

    def waste(self, password: bytes) -> None:
        """Take as long as `verify` does, for a user who does not exist."""
        self._context.verify(password[:PASSWORD_MAX_OCTETS].replace(b"\0", b""), self._nobodys)

    def is_outdated(self, stored: str) -> bool:
        """Say whether a hash should be made anew when the password is next seen."""
        return not stored.startswith(self._parameters)

    def recognises(self, stored: str) -> bool:
        """Say whether a hash is in a scheme that can be verified."""
        plain = _DOVECOT_PREFIX.sub("", stored, count=1)
        if plain.startswith("$2"):
            return re.fullmatch(r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}", plain) is not None
        scheme = self._context.identify(plain, resolve=True)
        try:
            # What begins like a hash may be none, or only salt and cost of one.
            return scheme is not None and scheme.from_string(plain).checksum is not None
        except ValueError:
            return False


def new_password() -> str:
    """
    Make a password of 119 random bits: 20 letters and digits.

    Nothing else is in it: a hyphen at its beginning would be read as an option by any program that is given it.
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(_NEW_CHARACTERS))


def ensure_acceptable(password: str) -> None:
    """
    Refuse what nobody may choose.

    Raises:
        MailError: INVALID, with what to do.
    """
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise MailError(Kind.INVALID, f"a password has at least {PASSWORD_MIN_CHARACTERS} characters")
    if len(password.encode("utf-8", "surrogateescape")) > PASSWORD_MAX_OCTETS:
        raise MailError(Kind.INVALID, f"a password has at most {PASSWORD_MAX_OCTETS} octets")
    if "\0" in password or not password.isprintable():
        raise MailError(Kind.INVALID, "a password holds no control characters")


def weakness(password: str, email: str = "") -> str | None:
    """Say in one sentence why a password is easily guessed; None when nothing speaks against it."""
    folded = password.casefold()
    local_part = email.partition("@")[0].casefold()
    if local_part and len(local_part) > 2 and local_part in folded:  # noqa: PLR2004 - "al" is in many words
        return "the password contains the name of the account"
    if _COMMON.fullmatch(password):
        return "the password is one of the first that anybody would try"
    if len(set(folded)) < _DISTINCT_MIN:
        return "the password has only a few different characters"
    if any(folded in sequence or folded in sequence[::-1] for sequence in _SEQUENCES):
        return "the password is a row of neighbouring characters"
    kinds = sum(any(test(c) for c in password) for test in (str.islower, str.isupper, str.isdigit, _is_other))
    if len(password) < _STRONG_CHARACTERS and kinds < 3:  # noqa: PLR2004 - of four kinds
        return f"the password is short; use {_STRONG_CHARACTERS} characters or several words"
    return None


def _is_other(character: str) -> bool:
    return not character.isalnum()
