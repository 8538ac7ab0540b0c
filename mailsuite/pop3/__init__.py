"""POP3 for Twisted: RFC 1939 with CAPA, STLS, SASL and pipelining; works with any portal."""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.pop3.factory import POP3Factory
    from mailsuite.pop3.server import POP3Server
    from mailsuite.pop3.settings import POP3Settings

__all__ = ["POP3Factory", "POP3Server", "POP3Settings"]

__getattr__ = exporter(
    __name__,
    {
        "POP3Factory": "factory",
        "POP3Server": "server",
        "POP3Settings": "settings",
    },
)
