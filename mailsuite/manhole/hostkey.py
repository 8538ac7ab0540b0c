"""The server's own key: Ed25519, made once, and shown to everybody who connects (RFC 8709)."""

import os

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from mailsuite.durable import Disk


def ensure_host_key(path: str, disk: Disk) -> None:
    """
    Make the key if there is none, and beside it the public one, for ``known_hosts``. Blocks.

    Raises:
        OSError: it could not be written.
    """
    if os.path.exists(path):
        return
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    disk.make_folders(os.path.dirname(path))
    disk.replace_file(f"{path}.pub", public + b" mailsuite\n")
    disk.replace_file(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
