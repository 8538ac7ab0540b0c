"""What `check_certificate` finds, on files that openssl made."""

import datetime as dt
import shutil
import subprocess

import attrs
import pytest

from mailsuite.config.certificate import WARN_DAYS, check_certificate, covers, describe_chain, read_chain
from mailsuite.config.settings import TLSSettings
from mailsuite.config.tls import make_self_signed

HOST = "mx.example.test"
NOW = dt.datetime.now(dt.UTC) + dt.timedelta(hours=6)  # later than what the tests make, however long the others take


class Authority:
    """A root, an intermediate, and certificates below it."""

    def __init__(self, folder):
        self.folder = folder
        self.settings = TLSSettings(certificate=str(folder / "cert.pem"), private_key=str(folder / "key.pem"))
        self.root = str(folder / "root.crt")
        self._make("root", "basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign", above=None)
        self._make("middle", "basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=critical,keyCertSign", above="root")

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def _make(self, name, extensions, above, days=365):
        (self.folder / f"{name}.ext").write_text(f"{extensions}\nsubjectKeyIdentifier=hash\n")
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key"]
        self._openssl("req", "-new", *key, "-subj", f"/CN={name}", "-out", f"{name}.csr")
        signer = ["-CA", f"{above}.crt", "-CAkey", f"{above}.key"] if above else ["-signkey", f"{name}.key"]
        self._openssl(
            *["x509", "-req", "-in", f"{name}.csr", "-days", str(days), "-extfile", f"{name}.ext"],
            *[*signer, "-out", f"{name}.crt"],
        )

    def issue(self, names=f"DNS:{HOST}", usage="serverAuth", days=90, chain=("leaf", "middle")):
        """Put a new certificate where the settings name it."""
        self._make("leaf", f"subjectAltName={names}\nextendedKeyUsage={usage}", "middle", days)
        pem = "".join((self.folder / f"{name}.crt").read_text() for name in chain)
        (self.folder / "cert.pem").write_text(pem)
        shutil.copy(self.folder / "leaf.key", self.folder / "key.pem")
        (self.folder / "key.pem").chmod(0o600)

    def faults(self, now=NOW, names=(HOST,), authorities=None):
        report = check_certificate(
            self.settings, names, now, authorities=self.root if authorities is None else authorities
        )
        return report.faults


@pytest.fixture
def authority(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; Debian package openssl")
    return Authority(tmp_path)


def test_a_chain_to_a_trusted_root_is_in_order(authority):
    authority.issue()
    report = check_certificate(authority.settings, [HOST], NOW, authorities=authority.root)
    assert (report.faults, report.warnings, report.self_signed) == ([], [], False)
    assert report.days_left in {89, 90}


def test_what_a_certificate_says_is_what_openssl_says(authority):
    authority.issue(names=f"DNS:{HOST},DNS:*.example.test,IP:192.0.2.1")
    facts = describe_chain(read_chain(authority.settings.certificate), NOW)
    told = subprocess.run(
        ["openssl", "x509", "-in", authority.settings.certificate, "-noout", "-fingerprint", "-sha256"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.strip().partition("=")[2] == facts["sha256"]
    assert (facts["subject"], facts["issuer"]) == ("CN=leaf", "CN=middle")
    assert facts["names"] == [HOST, "*.example.test", "192.0.2.1"]
    assert facts["key"] == "EC secp256r1 256 bits"
    assert [above["subject"] for above in facts["chain"]] == ["CN=middle"]


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (("leaf",), "unable to get local issuer certificate"),
        (("leaf", "root", "middle"), "out of order: CN=root did not issue CN=leaf"),
        (("leaf", "root"), "out of order"),
        (("middle", "leaf"), "does not belong to the certificate"),
    ],
)
def test_a_chain_with_a_gap_or_out_of_order_is_found(authority, chain, words):
    authority.issue(chain=chain)
    assert any(words in fault for fault in authority.faults()), authority.faults()


def test_the_root_at_the_end_of_the_chain_does_no_harm(authority):
    authority.issue(chain=("leaf", "middle", "root"))
    assert authority.faults() == []


def test_a_root_that_nobody_trusts_is_found(authority):
    authority.issue()
    (fault,) = authority.faults(authorities="")
    assert "the chain does not verify: " in fault


def test_a_key_of_another_certificate_is_found(authority):
    authority.issue()
    shutil.copy(authority.folder / "middle.key", authority.settings.private_key)
    assert authority.faults() == ["the key does not belong to the certificate"]


def test_an_expired_certificate_and_one_of_tomorrow_are_found(authority):
    authority.issue(days=5)
    (expired,) = authority.faults(now=NOW + dt.timedelta(days=6))
    assert "has expired on" in expired
    (early,) = authority.faults(now=NOW - dt.timedelta(days=1))
    assert "look at the clock" in early


def test_an_expired_intermediate_is_found(authority):
    authority.issue(days=5000)
    (fault,) = authority.faults(now=NOW + dt.timedelta(days=400))
    assert "certificate has expired" in fault
    assert "CN=middle" in fault or "CN=root" in fault


@pytest.mark.parametrize(("days", "warned"), [(WARN_DAYS, True), (WARN_DAYS + 1, False)])
def test_two_weeks_before_the_end_is_a_warning(authority, days, warned):
    authority.issue(days=days)
    report = check_certificate(authority.settings, [HOST], NOW, authorities=authority.root)
    assert report.faults == []
    assert bool(report.warnings) is warned


@pytest.mark.parametrize(
    ("names", "host", "good"),
    [
        (f"DNS:{HOST}", HOST, True),
        (f"DNS:{HOST}", "imap.example.test", False),
        ("DNS:*.example.test", HOST, True),
        ("DNS:*.example.test", "a.mx.example.test", False),
        ("IP:192.0.2.1", "192.0.2.1", True),
        ("IP:192.0.2.1", HOST, False),
    ],
)
def test_the_names_are_compared_as_mail_programs_do(authority, names, host, good):
    authority.issue(names=names)
    assert covers(read_chain(authority.settings.certificate)[0], host) is good
    faults = authority.faults(names=[host])
    assert faults == [] if good else len(faults) == 1 and f"is not for {host}" in faults[0]


def test_a_certificate_for_clients_is_found(authority):
    authority.issue(usage="clientAuth")
    (fault,) = authority.faults()
    assert "serverAuth" in fault


def test_a_key_that_others_can_read_is_found(authority):
    authority.issue()
    key = authority.folder / "key.pem"
    key.chmod(0o640)
    report = check_certificate(authority.settings, [HOST], NOW, authorities=authority.root)
    assert report.faults == []
    (warning,) = report.warnings
    assert f"chmod 600 {key}" in warning or "chmod 600 it" in warning
    key.chmod(0o644)
    (fault,) = authority.faults()
    assert "everybody can read" in fault


@pytest.mark.parametrize("file", ["cert.pem", "key.pem"])
def test_a_file_that_is_missing_or_holds_nonsense_is_one_fault(authority, file):
    authority.issue()
    (authority.folder / file).write_text("nonsense\n")
    (fault,) = authority.faults()
    assert "PEM" in fault
    (authority.folder / file).unlink()
    (fault,) = authority.faults()
    assert file in fault


def test_authorities_that_are_none_are_refused(authority):
    authority.issue()
    with pytest.raises(ValueError, match=r"key\.pem is not a PEM certificate"):
        authority.faults(authorities=authority.settings.private_key)


def test_a_self_signed_one_is_a_fault_unless_that_is_meant(tmp_path):
    settings = TLSSettings(certificate=str(tmp_path / "c.pem"), private_key=str(tmp_path / "k.pem"))
    pem, key = make_self_signed(HOST, NOW, days=30)
    (tmp_path / "c.pem").write_bytes(pem)
    (tmp_path / "k.pem").write_bytes(key)
    (tmp_path / "k.pem").chmod(0o600)
    report = check_certificate(settings, [HOST], NOW)
    assert report.self_signed
    (fault,) = report.faults
    assert "self-signed" in fault
    assert check_certificate(attrs.evolve(settings, self_signed=True), [HOST], NOW).faults == []
    assert check_certificate(settings, [HOST], NOW, authorities=settings.certificate).faults == []
