"""What is in the certificate files, and what is wrong with them before a mail program finds out."""

import datetime as dt
import itertools
import os
import ssl
import stat
from collections.abc import Iterator, Sequence

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from mailsuite.config.settings import TLSSettings
from mailsuite.config.tls import explain_refusal, load_options

WARN_DAYS = 14
_GROUP = stat.S_IRGRP | stat.S_IWGRP
_FOR_SERVERS = frozenset({ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


@attrs.frozen
class Finding:
    """
    Something that is not as it should be.

    Args:
        detail: one sentence.
        fault: mail programs will refuse the certificate; otherwise it works for now.
    """

    detail: str
    fault: bool = True


@attrs.frozen
class Report:
    """
    What was found.

    Args:
        days_left: whole days until the certificate ends; None when there is none to read.
        self_signed: it vouches for itself.
    """

    findings: Sequence[Finding]
    days_left: int | None = None
    self_signed: bool = False

    @property
    def faults(self) -> list[str]:
        """Why mail programs will refuse it."""
        return [finding.detail for finding in self.findings if finding.fault]

    @property
    def warnings(self) -> list[str]:
        """What works for now."""
        return [finding.detail for finding in self.findings if not finding.fault]


def read_chain(path: str) -> Sequence[x509.Certificate]:
    """
    Read a certificate and those that lead from it to its authority, in the order of the file. Blocks.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no certificate.
    """
    with open(path, "rb") as stream:
        pem = stream.read()
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise ValueError(f"{path} is not a PEM certificate") from error


def describe_chain(chain: Sequence[x509.Certificate], now: dt.datetime) -> dict[str, object]:
    """Tell what a certificate says, as plain values; ``chain`` in it holds what follows the certificate."""
    return {**_describe(chain[0], now), "chain": [_describe(above, now) for above in chain[1:]]}


def _describe(certificate: x509.Certificate, now: dt.datetime) -> dict[str, object]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": names_of(certificate),
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "days_left": days_left(certificate, now),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        "key": _describe_key(certificate),
        "self_signed": is_self_signed(certificate),
    }


def _describe_key(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name} {key.key_size} bits"
    return type(key).__name__.removesuffix("PublicKey").lstrip("_")


def names_of(certificate: x509.Certificate) -> list[str]:
    """List the host names and addresses that a certificate vouches for. RFC 9525 section 6.3: no others count."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    names = extension.value
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *(str(address) for address in addresses)]


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate vouches for itself."""
    return certificate.subject == certificate.issuer and _issued(certificate, certificate)


def _issued(upper: x509.Certificate, lower: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def days_left(certificate: x509.Certificate, now: dt.datetime) -> int:
    """Count the whole days until a certificate ends; negative when it has."""
    return (certificate.not_valid_after_utc - now).days


def check_certificate(
    settings: TLSSettings, names: Sequence[str], now: dt.datetime, *, authorities: str = ""
) -> Report:
    """
    Look for everything that is wrong with a certificate, its chain and its key. Blocks.

    Args:
        names: host names and addresses under which mail programs reach the server.
        authorities: PEM file of the authorities to trust; empty means those of the system.

    Raises:
        OSError: `authorities` cannot be read.
        ValueError: it holds no certificates.
    """
    findings = list(_check_pair(settings))
    try:
        chain = read_chain(settings.certificate)
    except (OSError, ValueError):
        return Report(findings)  # the pair has said so
    findings += _check_days(chain[0], now)
    findings += _check_names(chain[0], names)
    findings += _check_purpose(chain[0])
    findings += _check_order(chain)
    findings += _check_trust(chain, settings, now, authorities)
    return Report(findings, days_left(chain[0], now), is_self_signed(chain[0]))


def _check_pair(settings: TLSSettings) -> Iterator[Finding]:
    try:
        load_options(settings)
    except (OSError, ValueError) as error:
        yield Finding(explain_refusal(error))
    else:
        if os.stat(settings.private_key).st_mode & _GROUP:
            yield Finding(f"the group may use {settings.private_key}; chmod 600 it", fault=False)


def _check_days(certificate: x509.Certificate, now: dt.datetime) -> Iterator[Finding]:
    left = days_left(certificate, now)
    if now > certificate.not_valid_after_utc:
        yield Finding(f"the certificate has expired on {certificate.not_valid_after_utc:%Y-%m-%d}; renew it")
    elif now < certificate.not_valid_before_utc:
        begin = certificate.not_valid_before_utc
        yield Finding(f"the certificate is valid from {begin:%Y-%m-%d %H:%M} UTC only; look at the clock")
    elif left < WARN_DAYS:
        yield Finding(f"the certificate expires in {left} days; renew it", fault=False)


def _check_names(certificate: x509.Certificate, names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        if not covers(certificate, name):
            has = ", ".join(names_of(certificate)) or "no name at all"
            yield Finding(f"the certificate is not for {name}: it has {has}")


def covers(certificate: x509.Certificate, name: str) -> bool:
    """Tell whether a certificate vouches for a host name or an address, wildcards included. RFC 9525 section 6."""
    verify = verify_certificate_ip_address if _is_address(name) else verify_certificate_hostname
    try:
        verify(certificate, name)
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _check_purpose(certificate: x509.Certificate) -> Iterator[Finding]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return
    if not _FOR_SERVERS & set(usage):
        yield Finding("the certificate is not for servers: its extended key usage has no serverAuth")


def _check_order(chain: Sequence[x509.Certificate]) -> Iterator[Finding]:
    for lower, upper in itertools.pairwise(chain):
        if not _issued(upper, lower):
            yield Finding(
                f"the chain is out of order: {upper.subject.rfc4514_string()} did not issue"
                f" {lower.subject.rfc4514_string()}; put the certificate first, then who issued it, and so on"
            )
            return


def _check_trust(
    chain: Sequence[x509.Certificate], settings: TLSSettings, now: dt.datetime, authorities: str
) -> Iterator[Finding]:
    """Follow the chain to an authority, as mail programs do. RFC 5280 section 6."""
    if not chain[0].not_valid_before_utc <= now <= chain[0].not_valid_after_utc:
        return  # that is said already, and nothing else would be
    store = _open_store(authorities)
    store.set_time(now)
    certificate, *above = [crypto.X509.from_cryptography(each) for each in chain]
    try:
        crypto.X509StoreContext(store, certificate, above).verify_certificate()
    except crypto.X509StoreContextError as error:
        if authorities or not is_self_signed(chain[0]):
            whom = error.certificate.to_cryptography().subject.rfc4514_string()
            yield Finding(f"the chain does not verify: {error} ({whom})")
        elif not settings.self_signed:
            text = "the certificate is self-signed, which mail programs do not trust; if that is meant: tls.self_signed"
            yield Finding(f"{text} = true")


def _open_store(authorities: str) -> crypto.X509Store:
    store = crypto.X509Store()
    if authorities:
        read_chain(authorities)  # says what is wrong with it, which OpenSSL does not
        store.load_locations(authorities)
        return store
    paths = ssl.get_default_verify_paths()
    if paths.cafile or paths.capath:
        store.load_locations(paths.cafile, paths.capath)
    return store
