"""
Certificates: self-signed ones, and contexts that follow the files on disk.

RFC 8996 (no TLS below 1.2), RFC 8314 section 3.
"""

import datetime as dt
import ipaddress
import os
import stat

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailsuite.config.settings import TLSSettings
from mailsuite.durable import Disk
from mailsuite.observe import EventLog

CHECK_SECONDS = 1.0
VALID_DAYS = 3650
CLOCK_SKEW_DAYS = 1
COMMON_NAME_MAX = 64  # RFC 5280 appendix A.1, ub-common-name

_VERSIONS = {"1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3}


def make_self_signed(hostname: str, now: dt.datetime, days: int = VALID_DAYS) -> tuple[bytes, bytes]:
    """
    Make a certificate that vouches for itself, for `hostname`, ``localhost`` and the loopback addresses.

    Returns:
        Certificate and private key, each as PEM.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:COMMON_NAME_MAX])])
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in dict.fromkeys([hostname, "localhost"])]
    names += [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=CLOCK_SKEW_DAYS))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _key_usage() -> x509.KeyUsage:
    """Sign handshakes, and, as its own authority, this certificate: what strict clients look for."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def write_self_signed(
    settings: TLSSettings, hostname: str, disk: Disk, now: dt.datetime, days: int = VALID_DAYS
) -> None:
    """
    Write a new self-signed pair where the settings name it, the key first and readable by its owner alone. Blocks.

    Raises:
        OSError: it could not be written.
    """
    certificate, key = make_self_signed(hostname, now, days)
    for path, data in ((settings.private_key, key), (settings.certificate, certificate)):
        disk.make_folders(os.path.dirname(path))
        disk.replace_file(path, data)


@attrs.frozen
class Stamp:
    """Tells whether a file is still the same one."""

    inode: int
    modified: int
    size: int


@attrs.frozen
class Pair:
    """
    A certificate with its chain, and its key, each as PEM.

    Args:
        stamps: of the files that they were read from.
    """

    certificate: bytes
    private_key: bytes = attrs.field(repr=False)
    stamps: tuple[Stamp, ...] = ()


def read_pair(settings: TLSSettings) -> Pair:
    """
    Read certificate, chain and key. Blocks for as long as two small files take.

    Raises:
        OSError: a file cannot be read.
        ValueError: everybody may read the key.
    """
    with open(settings.certificate, "rb") as stream:
        stamp, pem = _stamp(os.fstat(stream.fileno())), stream.read()
    with open(settings.private_key, "rb") as stream:
        status = os.fstat(stream.fileno())
        if status.st_mode & stat.S_IROTH:
            raise ValueError(f"everybody can read {settings.private_key}; chmod 600 it")
        return Pair(pem, stream.read(), (stamp, _stamp(status)))


def load_options(settings: TLSSettings) -> CertificateOptions:
    """
    Read certificate, chain and key, and make of them what connections begin with.

    Raises:
        OSError: a file cannot be read.
        ValueError: the files are no certificate and its key, or everybody may read the key.
    """
    return make_options(read_pair(settings), settings)


def make_options(pair: Pair, settings: TLSSettings) -> CertificateOptions:
    """
    Make of a certificate and its key what connections begin with.

    Raises:
        ValueError: they are no certificate and its key.
    """
    try:
        chain = x509.load_pem_x509_certificates(pair.certificate)
        key = serialization.load_pem_private_key(pair.private_key, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("not a PEM certificate and its unencrypted key") from error
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise ValueError("the key does not belong to the certificate")
    try:
        options = CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(key),  # type: ignore[arg-type]  # whatever OpenSSL refuses
            certificate=crypto.X509.from_cryptography(chain[0]),
            extraCertChain=[crypto.X509.from_cryptography(above) for above in chain[1:]],
            raiseMinimumTo=_VERSIONS[settings.min_version],
        )
        options.getContext()
    except (SSL.Error, ValueError, TypeError) as error:
        raise ValueError("OpenSSL does not take the certificate") from error
    return options


def explain_refusal(error: OSError | ValueError) -> str:
    """Say in one sentence why `load_options` failed."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror or 'cannot be read'}"
    return str(error)


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _digest(certificate: crypto.X509 | None) -> bytes:
    return b"" if certificate is None else certificate.digest("sha256")


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_mtime_ns, status.st_size)


@implementer(IOpenSSLServerConnectionCreator)
class ReloadingTLS:
    """
    Server contexts from files that may change at any time: a renewed certificate needs no restart.

    Looks at the files at most once a second, when somebody connects. A pair that cannot be used is logged once and
    the last good one stays.

    Args:
        clock: tells when to look again.
        pair: what another process read for us, while it had the rights.
    """

    def __init__(self, settings: TLSSettings, clock: IReactorTime, pair: "Pair | None" = None) -> None:
        self._settings = settings
        self._clock = clock
        self._log = EventLog(Logger())
        self._options: CertificateOptions | None = None
        self.pair = pair
        """The newest good one; None before there is any."""
        self._stamps: tuple[Stamp, ...] | None = None
        self._looked: float | None = None
        self.fault = ""
        """What is wrong with the files that are there; empty when nothing is, or they are missing."""
        if pair is not None:
            self._options = make_options(pair, settings)
            self._stamps = pair.stamps

    @property
    def available(self) -> bool:
        """Whether there is a certificate to show."""
        self._look()
        return self._options is not None

    def getContext(self) -> SSL.Context:
        """
        Give the context of the newest good pair, as Twisted's context factories do.

        Raises:
            ValueError: there has never been a good pair.
        """
        self._look()
        if self._options is None:
            raise ValueError("there is no certificate yet")
        return self._options.getContext()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make a connection from the newest good pair."""
        self._look()
        if self._options is None:
            raise ValueError("there is no certificate yet")
        connection: SSL.Connection = self._options.serverConnectionForTLS(tlsProtocol)
        return connection

    def look_again(self, settings: TLSSettings) -> bool:
        """Look at the files now, whether they seem to have changed or not; say whether another pair is in use now."""
        before = None if self._options is None else self._options.certificate
        self._settings = settings
        self._stamps = self._looked = None
        self._look()
        after = None if self._options is None else self._options.certificate
        return _digest(before) != _digest(after)

    def _look(self) -> None:
        now = self._clock.seconds()
        if self._looked is not None and now - self._looked < CHECK_SECONDS:
            return
        self._looked = now
        stamps = self._seen()
        if stamps is None:
            missing = self._options is not None and self._is_missing()
            self.fault = "the certificate or its key is not there" if missing else ""
            return
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            pair = read_pair(self._settings)
            self._options = make_options(pair, self._settings)
        except (OSError, ValueError) as error:
            self.fault = explain_refusal(error)
            self._log.emit("tls.certificate.refused", file=self._settings.certificate, reason=self.fault)
        else:
            self.pair = pair
            self._stamps = pair.stamps
            self.fault = ""
            self._log.emit("tls.certificate.loaded", file=self._settings.certificate)

    def _is_missing(self) -> bool:
        """Whether a file is not there; one that we may not see any more was read while we could."""
        try:
            for path in (self._settings.certificate, self._settings.private_key):
                os.stat(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return False

    def _seen(self) -> tuple[Stamp, ...] | None:
        stamps = []
        for path in (self._settings.certificate, self._settings.private_key):
            try:
                status = os.stat(path)
            except OSError:
                return None
            stamps.append(_stamp(status))
        return tuple(stamps)
