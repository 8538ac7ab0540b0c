"""Connections that verify the certificate of the host: by authorities and name, or by TLSA records."""

import abc
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, DNSPattern, verify_service_identity
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, platformTrust
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mailsuite.interfaces import TLSARecord
from mailsuite.mta.dane import Matching, Selector, TLSASet, Usage, matches
from mailsuite.observe import EventLog

EXPIRED = "certificate-expired"  # these four: RFC 8460 section 4.3.1
NOT_TRUSTED = "certificate-not-trusted"
HOST_MISMATCH = "certificate-host-mismatch"
VALIDATION_FAILURE = "validation-failure"

CERTIFICATE_MAX_OCTETS = 24 * 1024
"""A certificate with so many names that it is larger is for nobody: reading them would keep the reactor."""

_NO_ISSUER = frozenset({2, 18, 19, 20, 21, 27})
"""Codes of OpenSSL, those of X509 verification errors, for a chain that leads to nobody who is trusted."""
_TIME = frozenset({9, 10})
"""Likewise, for a certificate before or after its time."""

_VERIFY = SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT


class Authorities:
    """
    Who may vouch for a host's name: the system's authorities and our own. Reads files, so make it at the start.

    Args:
        ca_file: PEM file with further ones; empty is none.

    Raises:
        ValueError: the file cannot be used.
    """

    def __init__(self, ca_file: str = "") -> None:
        self.context: SSL.Context = CertificateOptions(trustRoot=platformTrust()).getContext()
        if ca_file:
            try:
                self.context.load_verify_locations(ca_file)
            except SSL.Error as error:
                raise ValueError(f"{ca_file} cannot be read, or holds no certificates of authorities") from error


class _Verifier(abc.ABC):
    """
    What both kinds of verification share.

    Attributes:
        failure: why the certificate of the last connection is not good enough, a result type of RFC 8460 section 4.3;
            empty when it is good, or nothing is known yet.
    """

    def __init__(self, context: SSL.Context, name: str) -> None:
        self._context = context
        self._name = name
        self._log = EventLog(Logger("mailsuite.mta.tls_verify"))
        self.failure = ""

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: ARG002
        """Make a connection."""
        self._begin()
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._name.encode("ascii"))
        connection.set_verify(_VERIFY, self._verify)
        return connection

    def _begin(self) -> None:
        """Forget the last connection."""
        self.failure = ""

    def _verify(self, _: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
        """
        Look at one certificate; OpenSSL goes from the top of the chain down to the host's own.

        It calls for each error, and at the end once more for each certificate with `ok`: the very last call is that for
        the host's own.
        """
        try:
            return self._look(certificate, error if not ok else 0, depth)
        except Exception:  # noqa: BLE001 - OpenSSL would only swallow it; whatever it is, the host is not verified
            self._log.failure("tls.certificate.unreadable", host=self._name)
            self.failure = VALIDATION_FAILURE
            return False

    @abc.abstractmethod
    def _look(self, certificate: crypto.X509, error: int, depth: int) -> bool:
        """Say whether to go on; `error` is 0 when nothing is wrong with it."""


@implementer(IOpenSSLClientConnectionCreator)
class AuthorityVerifier(_Verifier):
    """
    Wants a certificate from an authority, for the name of the host (RFC 8461 section 4.2, RFC 9525).

    Args:
        name: of the host.
        observe: go on whatever the certificate is, and only note what is wrong with it.
    """

    def __init__(self, authorities: Authorities, name: str, *, observe: bool = False) -> None:
        super().__init__(authorities.context, name)
        self._observe = observe

    def _look(self, certificate: crypto.X509, error: int, depth: int) -> bool:
        if error:
            self.failure = self.failure or _failure(error)
        elif depth == 0 and not is_for(certificate.to_cryptography(), [self._name]):
            self.failure = self.failure or HOST_MISMATCH
        return self._observe or not self.failure


@implementer(IOpenSSLClientConnectionCreator)
class DANEVerifier(_Verifier):
    """
    Wants a certificate that TLSA records tell (RFC 7672 section 3.1).

    Of an end entity, nothing else counts: neither names nor dates. A trust anchor must be in the chain, or whole in its
    record; below it everything must be right, and the name as well.

    Args:
        tlsa: at least one usable record.
        names: the host's certificate is for one of these, where a trust anchor vouches for it.
    """

    def __init__(self, tlsa: TLSASet, names: Sequence[str]) -> None:
        context = CertificateOptions().getContext()
        store = context.get_cert_store()
        assert store is not None  # a context has one
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        self._records = tlsa.usable
        for anchor in _whole_anchors(tlsa.usable):
            store.add_cert(anchor)
        super().__init__(context, tlsa.base)
        self._names = names
        self._errors: dict[int, int] = {}
        self._anchor: int | None = None

    def _begin(self) -> None:
        super()._begin()
        self._errors = {}
        self._anchor = None

    def _look(self, certificate: crypto.X509, error: int, depth: int) -> bool:
        if error and error not in _NO_ISSUER:
            self._errors.setdefault(depth, error)
        octets = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
        if depth:
            if any(matches(record, octets) for record in self._records if record.usage == Usage.TRUST_ANCHOR):
                self._anchor = depth if self._anchor is None else min(depth, self._anchor)
            return True
        if error:
            return True  # there will be another call for this one
        if any(matches(record, octets) for record in self._records if record.usage == Usage.END_ENTITY):
            return True
        self.failure = self._anchored(certificate)
        return not self.failure

    def _anchored(self, certificate: crypto.X509) -> str:
        """Say what is wrong below the trust anchor; the anchor's own dates and signature do not count."""
        if self._anchor is None:
            return NOT_TRUSTED
        below = [error for depth, error in self._errors.items() if depth < self._anchor]
        if below:
            return _failure(below[0])
        return "" if is_for(certificate.to_cryptography(), self._names, common_name=True) else HOST_MISMATCH


def is_for(certificate: x509.Certificate, names: Sequence[str], *, common_name: bool = False) -> bool:
    """
    Say whether a certificate is for one of these host names (RFC 9525 section 6).

    Args:
        common_name: the common name counts where it has no DNS name among its alternative ones (RFC 7672
            section 3.2.3).
    """
    if len(certificate.public_bytes(Encoding.DER)) > CERTIFICATE_MAX_OCTETS:
        return False
    try:
        patterns = extract_patterns(certificate)
        if common_name and not any(isinstance(pattern, DNSPattern) for pattern in patterns):
            patterns = _common_name(certificate)
    except CertificateError:
        return False
    for name in names:
        try:
            verify_service_identity(patterns, [DNS_ID(name)], [])
        except (VerificationError, CertificateError):  # the latter: it names nobody, or everybody
            continue
        return True
    return False


def _common_name(certificate: x509.Certificate) -> Sequence[DNSPattern]:
    """Give the most specific common name as a name of hosts."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[-1:]
    words = [one.value for one in found if isinstance(one.value, str) and one.value.isascii()]
    return [DNSPattern.from_bytes(word.encode("ascii")) for word in words]


def _failure(error: int) -> str:
    if error in _TIME:
        return EXPIRED
    return NOT_TRUSTED if error in _NO_ISSUER else VALIDATION_FAILURE


def _whole_anchors(records: Sequence[TLSARecord]) -> Sequence[crypto.X509]:
    """Read the trust anchors that need not be in the chain, since their records hold them (RFC 7671 section 5.2)."""
    found = []
    for record in records:
        if (record.usage, record.selector, record.matching) == (
            Usage.TRUST_ANCHOR,
            Selector.CERTIFICATE,
            Matching.WHOLE,
        ):
            try:
                found.append(crypto.load_certificate(crypto.FILETYPE_ASN1, record.data))
            except crypto.Error:
                continue
    return found
