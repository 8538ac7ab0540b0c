"""Authorities and certificates for tests, as good or as bad as they are asked for."""

import datetime as dt
import functools

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto

DAY = dt.timedelta(days=1)


@functools.cache
def new_key(name):
    """One key for each name: making them is slow."""
    return ec.generate_private_key(ec.SECP256R1())


@attrs.frozen
class Identity:
    """A certificate, its key and those above it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def spki(self):
        return self.certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    @property
    def pem(self):
        return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in (self.certificate, *self.above))

    @property
    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def context(self, chain=None):
        """Make the context of a server that shows this, and of `above` what `chain` says."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(crypto.X509.from_cryptography(self.certificate))
        context.use_privatekey(crypto.PKey.from_cryptography_key(self.key))
        for one in self.above if chain is None else chain:
            context.add_extra_chain_cert(crypto.X509.from_cryptography(one))
        return context


def issue(name, issuer=None, *, names=(), ca=False, since=-DAY, until=365 * DAY, sign_with=None, extensions=()):
    """Make a certificate; without an issuer it signs itself."""
    now = dt.datetime.now(dt.UTC)
    key = new_key(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + since)
        .not_valid_after(now + until)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False
        )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signer = sign_with or (issuer.key if issuer else key)
    above = (issuer.certificate, *issuer.above) if issuer else ()
    return Identity(builder.sign(signer, hashes.SHA256()), key, above)
