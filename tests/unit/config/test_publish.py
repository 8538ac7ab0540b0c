import base64
import re

from cryptography.hazmat.primitives import serialization

from mailsuite.config.publish import KEY_BITS, dkim_key_path, dns_records, ensure_dkim_key, zone_text
from mailsuite.durable import Disk


def test_the_dkim_record_holds_the_public_half_in_strings_that_fit(tmp_path):
    pem = ensure_dkim_key(str(tmp_path), "example.test", Disk())
    key = serialization.load_pem_private_key(pem, None)
    assert key.key_size == KEY_BITS
    (record,) = [item for item in dns_records("mx.example.test", "example.test", pem) if "_domainkey" in item.name]
    strings = re.findall(r'"([^"]*)"', record.data)
    assert all(len(text) <= 255 for text in strings)
    public = base64.b64decode("".join(strings).partition("p=")[2])
    assert public == key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_signing_key_is_made_once_and_private(tmp_path):
    first = ensure_dkim_key(str(tmp_path), "example.test", Disk())
    assert ensure_dkim_key(str(tmp_path), "example.test", Disk()) == first
    path = tmp_path / dkim_key_path("", "example.test")
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_zone_names_host_mail_and_services(tmp_path):
    pem = ensure_dkim_key(str(tmp_path), "example.test", Disk())
    text = zone_text("mx.example.test", dns_records("mx.example.test", "example.test", pem))
    assert "example.test. IN MX 10 mx.example.test." in text
    assert "_imaps._tcp.example.test. IN SRV 0 1 993 mx.example.test." in text
