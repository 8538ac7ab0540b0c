"""What the world must be told about a domain: DNS records, and the DKIM key behind one of them."""

import base64
import os
import re
import textwrap
from collections.abc import Sequence

import attrs
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mailsuite.durable import Disk

KEY_BITS = 2048  # RFC 8301 section 3.2
SELECTOR = "mailsuite"
STRING_MAX_OCTETS = 255  # RFC 1035 section 3.3


@attrs.frozen
class DNSRecord:
    """One record, as a zone file writes it."""

    name: str
    type: str
    data: str

    def __str__(self) -> str:
        return f"{self.name}. IN {self.type} {self.data}"


def make_dkim_key() -> bytes:
    """Make an RSA key for signing, as PEM. Takes a tenth of a second."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def dkim_key_path(data_dir: str, domain: str, selector: str = SELECTOR) -> str:
    """Say where the signing key of a domain lies."""
    return os.path.join(data_dir, "keys", "dkim", f"{domain}.{selector}.pem")


def dkim_selectors(data_dir: str, domain: str) -> Sequence[str]:
    """Name the selectors of all signing keys of a domain, in order."""
    folder, prefix = os.path.join(data_dir, "keys", "dkim"), f"{domain}."
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = [name.removeprefix(prefix).removesuffix(".pem") for name in names if name.startswith(prefix)]
    return sorted(selector for selector in found if is_selector(selector) and f"{prefix}{selector}.pem" in names)


def is_selector(text: str) -> bool:
    """Whether a text can be a selector of ours: one label. RFC 6376 section 3.1."""
    return re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", text) is not None


def current_selector(data_dir: str, domain: str, disk: Disk) -> str:
    """Name the selector of the key to sign with: the one that was chosen, or the first one that there ever is."""
    path = _choice_path(data_dir, domain)
    if not os.path.exists(path):
        return SELECTOR
    return disk.read_file(path).decode("ascii", "replace").strip()


def choose_selector(data_dir: str, domain: str, selector: str, disk: Disk) -> None:
    """Sign with this key from now on. Blocks."""
    disk.replace_file(_choice_path(data_dir, domain), f"{selector}\n".encode("ascii"))


def _choice_path(data_dir: str, domain: str) -> str:
    return os.path.join(data_dir, "keys", "dkim", f"{domain}.selector")


def ensure_dkim_key(data_dir: str, domain: str, disk: Disk, selector: str = SELECTOR) -> bytes:
    """Read the signing key of a domain, or make it when there is none. Blocks."""
    path = dkim_key_path(data_dir, domain, selector)
    if os.path.exists(path):
        return disk.read_file(path)
    pem = make_dkim_key()
    disk.make_folders(os.path.dirname(path))
    disk.replace_file(path, pem)
    return pem


def dkim_record(domain: str, selector: str, pem: bytes) -> DNSRecord:
    """Write the record of a signing key. RFC 6376 section 3.6.1."""
    key = serialization.load_pem_private_key(pem, None)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    text = f"v=DKIM1; k=rsa; p={base64.b64encode(public).decode('ascii')}"
    return DNSRecord(f"{selector}._domainkey.{domain}", "TXT", _strings(text))


def dns_records(hostname: str, domain: str, dkim_pem: bytes | None, selector: str = SELECTOR) -> Sequence[DNSRecord]:
    """
    List the records that a domain served by this host publishes.

    RFC 5321 section 5 (MX), RFC 7208 (SPF), RFC 6376 section 3.6.2 (DKIM), RFC 7489 (DMARC), RFC 6186 and RFC 8314
    section 5.1 (SRV).

    Args:
        dkim_pem: None leaves out the record of the key.
    """
    return [
        DNSRecord(domain, "MX", f"10 {hostname}."),
        DNSRecord(domain, "TXT", '"v=spf1 mx -all"'),
        *([] if dkim_pem is None else [dkim_record(domain, selector, dkim_pem)]),
        DNSRecord(f"_dmarc.{domain}", "TXT", f'"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}"'),
        DNSRecord(f"_submissions._tcp.{domain}", "SRV", f"0 1 465 {hostname}."),
        DNSRecord(f"_submission._tcp.{domain}", "SRV", f"0 1 587 {hostname}."),
        DNSRecord(f"_imaps._tcp.{domain}", "SRV", f"0 1 993 {hostname}."),
        DNSRecord(f"_pop3s._tcp.{domain}", "SRV", f"10 1 995 {hostname}."),
    ]


def _strings(text: str) -> str:
    """Cut a long TXT value into the strings that a record holds."""
    pieces = [text[at : at + STRING_MAX_OCTETS] for at in range(0, len(text), STRING_MAX_OCTETS)]
    return "( " + " ".join(f'"{piece}"' for piece in pieces) + " )" if len(pieces) > 1 else f'"{text}"'


def zone_text(hostname: str, records: Sequence[DNSRecord]) -> str:
    """Write the records for a zone file, with what only the operator knows as a comment."""
    lines = [f"; {hostname}. IN A / AAAA: the addresses of this machine, and PTR records that lead back to it"]
    lines += [str(record) for record in records]
    return textwrap.indent("\n".join(lines), "    ")
