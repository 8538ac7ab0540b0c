"""What ``init`` writes for a server that is for development only."""

from mailsuite.config import PORTS

LOOPBACK = "127.0.0.1"
DEVELOPMENT_PORTS = {
    "smtp": 2525,
    "submission": 2587,
    "submissions": 2465,
    "imap": 1993,
    "imaps": 2993,
    "pop3": 2110,
    "pop3s": 2995,
    "http": 8080,
    "https": 2443,
}
"""Ports that need no rights; those that are missing here need none anyway."""
COMMENT = """
# This server is for development, made with --profile dev: ports that need no rights (imap is plain on 1993), loopback
# only, a self-signed certificate, and passwords in the clear. To let others in, make one without --profile dev.
"""


def development_settings() -> str:
    """Write the tables that only a server for development has."""
    ports = [f"{service} = {number}" for service, number in DEVELOPMENT_PORTS.items() if PORTS[service].present]
    return "\n".join([COMMENT, "[listen]", *ports, "", "[auth]", "allow_cleartext = true", ""])
