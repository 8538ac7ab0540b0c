"""TLS against listeners only: a certificate that nobody checks is still better than none (RFC 7435)."""

import functools

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from zope.interface import implementer


@functools.cache
def _context() -> SSL.Context:
    context: SSL.Context = CertificateOptions(raiseMinimumTo=TLSVersion.TLSv1_2).getContext()
    return context


@implementer(IOpenSSLClientConnectionCreator)
class AnyCertificate:
    """
    Takes whatever certificate the host has.

    Args:
        host: told to it, so that it can choose one (RFC 6066 section 3); empty says nothing.
    """

    def __init__(self, host: bytes = b"") -> None:
        self._host = host

    def clientConnectionForTLS(self, _tls_protocol: object) -> SSL.Connection:
        """Make the client's side of a connection."""
        connection = SSL.Connection(_context(), None)
        if self._host:
            connection.set_tlsext_host_name(self._host)
        return connection
