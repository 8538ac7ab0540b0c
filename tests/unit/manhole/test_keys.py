import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.conch.ssh.keys import FingerprintFormats, Key

from mailsuite.config import ConfigError, parse_config
from mailsuite.durable import Disk
from mailsuite.manhole import ensure_host_key
from mailsuite.manhole.keys import load_keys, parse_key


def line_of(key, comment="alice@laptop"):
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")
    return f"{public} {comment}"


ED25519 = line_of(ed25519.Ed25519PrivateKey.generate())


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    ],
    ids=["ed25519", "ecdsa", "rsa"],
)
def test_keys_of_today_are_taken_and_named_by_comment_and_fingerprint(key):
    line = line_of(key, "alice on her laptop")
    expected = Key.fromString(line.encode()).fingerprint(FingerprintFormats.SHA256_BASE64).rstrip("=")
    assert parse_key(line).who == f"alice on her laptop SHA256:{expected}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "expected a public key"),
        ("nonsense", "expected a public key"),
        ("ssh-ed25519", "cannot be read"),
        ("ssh-ed25519 !!!", "cannot be read"),
        (ED25519.replace("ssh-ed25519", "ssh-rsa", 1), "cannot be read"),
        (f'command="true" {ED25519}', "without options"),
        (f"no-pty {ED25519}", "without options"),
        (line_of(rsa.generate_private_key(public_exponent=65537, key_size=1024)), "too short"),
        ("ssh-dss AAAAB3NzaC1kc3M= old", "expected a public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "expected a public key"),
    ],
    ids=range(10),  # the keys are other ones in each process that collects tests
)
def test_what_is_no_key_of_today_is_refused_with_the_reason(line, reason):
    with pytest.raises(ValueError, match=reason):
        parse_key(line)


def test_a_file_may_have_comments_and_empty_lines(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# operators\n\n{ED25519}\n")
    path.chmod(0o644)
    assert [key.comment for key in load_keys(str(path))] == ["alice@laptop"]


def test_a_bad_line_closes_the_manhole_and_is_named(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"{ED25519}\nssh-ed25519 AAAA\n")
    path.chmod(0o600)
    with pytest.raises(ValueError, match="line 2 of"):
        load_keys(str(path))


def test_a_file_that_others_can_write_counts_for_nothing(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"{ED25519}\n")
    path.chmod(0o620)
    with pytest.raises(ValueError, match="chmod go-w"):
        load_keys(str(path))


def test_the_host_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    path = tmp_path / "keys" / "manhole" / "key"
    ensure_host_key(str(path), Disk())
    octets = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Key.fromFile(str(path)).sshType() == b"ssh-ed25519"
    assert Key.fromFile(str(path)).public() == Key.fromFile(f"{path}.pub")
    ensure_host_key(str(path), Disk())
    assert path.read_bytes() == octets


# the configuration


def parse(table, environment=None):
    return parse_config(table, "/srv/mail/mailsuite.toml", environment or {})


def test_without_a_key_the_manhole_is_off():
    assert "manhole" not in parse({}).services()
    assert "manhole" not in parse({"listen": {"manhole": 4000}}).services()
    assert "manhole" not in parse({"manhole": {"authorized_keys": ""}}).services()


def test_with_a_key_it_listens_on_loopback_whatever_the_others_do():
    config = parse({"manhole": {"authorized_keys": [ED25519]}, "server": {"listen_address": "", "port_offset": 2000}})
    assert "manhole" in config.services()
    assert config.port("manhole") == 4222
    assert config.addresses("manhole") == ("127.0.0.1",)
    assert config.addresses("imap") == ()


def test_an_empty_list_turns_it_off_in_spite_of_the_key():
    assert "manhole" not in parse({"manhole": {"authorized_keys": [ED25519]}, "listen": {"manhole": []}}).services()


def test_names_of_files_begin_at_the_folder_of_the_configuration():
    config = parse({"manhole": {"authorized_keys": "keys/admins"}})
    assert config.manhole.authorized_keys == "/srv/mail/keys/admins"
    assert config.manhole.host_key == "/srv/mail/data/keys/manhole/ssh_host_ed25519_key"


@pytest.mark.parametrize(
    ("settings", "key", "hint"),
    [
        ({"address": "0.0.0.0"}, "manhole.address", "listen.manhole"),
        ({"address": "nowhere"}, "manhole.address", "listen.manhole"),
        ({"authorized_keys": ["ssh-ed25519 AAAA"]}, "manhole.authorized_keys", "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(settings, key, hint):
    with pytest.raises(ConfigError) as caught:
        parse({"manhole": settings})
    (fault,) = caught.value.faults
    assert fault.key == key
    assert hint in fault.detail


def test_elsewhere_it_listens_only_by_an_endpoint_string():
    config = parse({"manhole": {"authorized_keys": [ED25519]}, "listen": {"manhole": ["tcp:2222:interface=192.0.2.1"]}})
    assert config.listen["manhole"] == ("tcp:2222:interface=192.0.2.1",)
