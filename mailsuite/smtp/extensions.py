"""What EHLO announces, which depends on the moment."""

from mailsuite.smtp.settings import SMTPSettings


def keywords(settings: SMTPSettings, *, starttls: bool, auth: bool) -> tuple[str, ...]:
    """
    List the service extensions, each as one line of the reply (RFC 5321 section 4.1.1.1).

    Args:
        starttls: TLS can be started now.
        auth: AUTH would be taken now; never announced where it would be refused (RFC 4954 section 4).
    """
    lines = [
        "PIPELINING",  # RFC 2920
        f"SIZE {settings.message_max_octets}",  # RFC 1870
        "8BITMIME",  # RFC 6152
        "SMTPUTF8",  # RFC 6531
        "ENHANCEDSTATUSCODES",  # RFC 2034
    ]
    if starttls:
        lines.append("STARTTLS")  # RFC 3207
    if auth:
        lines.append(f"AUTH {' '.join(settings.mechanisms)}")  # RFC 4954
    return tuple(lines)
