"""
What SMTP carries around a message, and who carried it.

RFC 5598 section 2.4 names the parts, RFC 5321 section 2.3.1 the envelope itself.
"""

import enum

import attrs

from mailsuite.address import Address


class Body(enum.Enum):
    """What the sender says of the content (RFC 6152 section 3, RFC 3030 section 3)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT_MIME = "8BITMIME"
    BINARY_MIME = "BINARYMIME"


@attrs.frozen(kw_only=True)
class Peer:
    """
    Who is at the other end of a connection, as known when a transaction begins.

    Args:
        session: id of the connection, bound in every log event.
        ip: textual address; v4-mapped IPv6 written as IPv4; empty for a unix socket.
        local_port: the port that was connected to.
        helo: what the peer called itself, undecoded octets shown as ASCII; empty before HELO.
        esmtp: EHLO was said, or LHLO.
        lmtp: it speaks LMTP.
        tls: version and cipher, for example ``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty in the clear.
        account: address of the authenticated account; empty for strangers.
    """

    session: str
    ip: str = ""
    port: int = 0
    local_port: int = 0
    helo: str = ""
    esmtp: bool = False
    lmtp: bool = False
    tls: str = ""
    account: str = ""


@attrs.frozen(kw_only=True)
class Sender:
    """
    The reverse-path and the parameters of MAIL.

    Args:
        path: None is the null reverse-path ``<>``.
        size_octets: the SIZE parameter; 0 when not declared.
        require_tls: the REQUIRETLS parameter (RFC 8689).
        tls_optional: what the receiving domain wants of TLS is to be ignored; not a parameter but the header field
            ``TLS-Required: No``, which counts without that parameter only (RFC 8689 section 4.1).
        envelope_id: the ENVID parameter without its escapes; printable ASCII (RFC 3461 section 4.4).
        ret: the RET parameter, ``FULL`` or ``HDRS``; empty when it was not said (RFC 3461 section 4.3).
        release: when it may leave, in seconds since the epoch (RFC 4865); 0 at once.
        hold: the HOLDFOR or HOLDUNTIL parameter as reports repeat it, ``for;seconds`` or ``until;date`` (RFC 4865
            section 5.1.2); empty when neither was said.
    """

    path: Address | None
    size_octets: int = 0
    body: Body = Body.SEVEN_BIT
    smtputf8: bool = False
    auth: str = ""
    envelope_id: str = ""
    ret: str = ""
    require_tls: bool = False
    tls_optional: bool = False
    release: int = 0
    hold: str = ""


@attrs.frozen(kw_only=True)
class Recipient:
    """
    One forward-path and the parameters of its RCPT.

    Args:
        notify: the NOTIFY parameter: ``NEVER``, or conditions in upper case divided by commas; empty when it was not
            said (RFC 3461 section 4.1).
        original: the ORCPT parameter, ``type;address`` without any escapes, also where the type is ``utf-8``
            (RFC 3461 section 4.2, RFC 6533 section 3); empty when it was not said.
    """

    path: Address
    notify: str = ""
    original: str = ""


@attrs.frozen(kw_only=True)
class Envelope:
    """Everything that travels with a message but is not in it."""

    sender: Sender
    recipients: tuple[Recipient, ...]
