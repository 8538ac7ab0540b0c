"""What EHLO announces, which depends on the moment."""

from mailsuite.smtp.parameters import Holding
from mailsuite.smtp.settings import SMTPSettings
from mailsuite.smtp.xclient import XCLIENT_ATTRIBUTES

LIMIT_MAX = 999_999  # RFC 9422: six digits


def keywords(
    settings: SMTPSettings,
    *,
    starttls: bool,
    auth: bool,
    encrypted: bool = False,
    binary: bool = False,
    holding: Holding | None = None,
    xclient: bool = False,
) -> tuple[str, ...]:
    """
    List the service extensions, each as one line of the reply (RFC 5321 section 4.1.1.1).

    Args:
        starttls: TLS can be started now.
        auth: AUTH would be taken now; never announced where it would be refused (RFC 4954 section 4).
        encrypted: TLS is on.
        binary: the receiver takes content that is no text.
        holding: how long a message may be held, where it may.
        xclient: the peer may say for whom it speaks.
    """
    lines = [
        "PIPELINING",  # RFC 2920
        f"SIZE {settings.message_max_octets}",  # RFC 1870
        "8BITMIME",  # RFC 6152
        "SMTPUTF8",  # RFC 6531
        "ENHANCEDSTATUSCODES",  # RFC 2034
        "DSN",  # RFC 3461
        "CHUNKING",  # RFC 3030
    ]
    if binary:
        lines.append("BINARYMIME")  # RFC 3030
    lines.append(f"LIMITS {limits(settings)}")  # RFC 9422
    if holding is not None:
        lines.append(holding.announce())  # RFC 4865
    if encrypted:
        lines.append("REQUIRETLS")  # RFC 8689 section 2: inside TLS only
    if starttls:
        lines.append("STARTTLS")  # RFC 3207
    if auth:
        lines.append(f"AUTH {' '.join(settings.mechanisms)}")  # RFC 4954
    if xclient:
        lines.append(f"XCLIENT {' '.join(XCLIENT_ATTRIBUTES)}")
    return tuple(lines)


def limits(settings: SMTPSettings) -> str:
    """Say what one connection and one message may hold at most (RFC 9422)."""
    values = [f"RCPTMAX={min(settings.recipients_max, LIMIT_MAX)}"]
    if settings.rates:
        values.insert(0, f"MAILMAX={min(settings.messages_per_connection_max, LIMIT_MAX)}")
    return " ".join(values)
