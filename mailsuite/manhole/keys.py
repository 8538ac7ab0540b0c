"""Who may come in: public keys in the form of OpenSSH's ``authorized_keys``, without its options."""

import base64
import binascii
import hashlib
import os
import stat
from collections.abc import Mapping

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

FILE_MAX_OCTETS = 1024 * 1024
RSA_MIN_BITS = 2048
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

SIGNATURES: Mapping[str, tuple[str, ...]] = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
"""Kinds of keys that are taken, each with its signatures that are: none with SHA-1 (RFC 8332, RFC 8709, RFC 5656)."""


@attrs.frozen
class PublicKey:
    """
    A key that opens the manhole.

    Args:
        kind: as the first word of its line.
        blob: the key in the form of RFC 4253 section 6.6.
        comment: the rest of its line; says whose it is.
    """

    kind: str
    blob: bytes
    comment: str

    @property
    def who(self) -> str:
        """Name its owner in the log."""
        return f"{self.comment} {fingerprint(self.blob)}".strip()


def fingerprint(blob: bytes) -> str:
    """Write a key as ``ssh-keygen -l`` does."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def parse_key(line: str) -> PublicKey:
    """
    Read one public key.

    Raises:
        ValueError: it is none that is taken, with the reason.
    """
    kind, _, rest = line.strip().partition(" ")
    text, _, comment = rest.strip().partition(" ")
    if kind not in SIGNATURES:
        kinds = ", ".join(SIGNATURES)
        raise ValueError(f"expected a public key that begins with one of {kinds}, without options")
    try:
        blob = base64.b64decode(text, validate=True)
        key = load_ssh_public_key(f"{kind} {text}".encode("ascii"))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise ValueError(f"the {kind} key cannot be read: copy the whole line of the .pub file") from error
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_MIN_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits is too short; make one with: ssh-keygen -t ed25519")
    return PublicKey(kind, blob, comment.strip())


def load_keys(configured: str | tuple[str, ...]) -> list[PublicKey]:
    """
    Read who may come in. Blocks for as long as a small file takes.

    Args:
        configured: the name of a file, or keys.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no key that is taken, or others may write the file.
    """
    if not isinstance(configured, str):
        return [parse_key(line) for line in configured]
    if not configured:
        return []
    with open(configured, encoding="utf-8", errors="replace") as stream:
        if os.fstat(stream.fileno()).st_mode & WRITABLE_BY_OTHERS:
            raise ValueError(f"others can write {configured}; chmod go-w it")
        lines = stream.read(FILE_MAX_OCTETS).splitlines()
    keys = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                keys.append(parse_key(line))
            except ValueError as error:
                raise ValueError(f"line {number} of {configured}: {error}") from error
    return keys
