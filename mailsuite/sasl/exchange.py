"""
Base64 lines on one side, a mechanism's steps on the other, the same for SMTP, IMAP and POP3.

RFC 4954 section 4, RFC 9051 section 6.2.2, RFC 5034 section 4.
"""

import base64
import binascii
from collections.abc import Sequence

from mailsuite.errors import ProtocolError
from mailsuite.sasl.mechanisms import MECHANISMS, RESPONSE_MAX_OCTETS, Challenge, Done, Mechanism, ResponseTooLongError

LINE_MAX_OCTETS = RESPONSE_MAX_OCTETS  # of base64, without CRLF
EMPTY_INITIAL_RESPONSE = b"="
CANCEL = b"*"


class ExchangeCancelledError(ProtocolError):
    """The client gave up with ``*``."""


def find_mechanism(
    name: bytes, allowed: Sequence[str], *, protocol: str = "", ip: str = "", may_act_for_others: bool = False
) -> Mechanism | None:
    """
    Make the mechanism that a client names, in any case; None when it is not one of `allowed`.

    Args:
        allowed: names as configured, in upper case.
    """
    wanted = name.decode("ascii", "replace").upper()
    if wanted not in allowed or wanted not in MECHANISMS:
        return None
    return MECHANISMS[wanted](protocol=protocol, ip=ip, may_act_for_others=may_act_for_others)


def encode_challenge(challenge: Challenge) -> bytes:
    """Write a challenge as it follows ``334`` or ``+``; empty for an empty one."""
    return base64.b64encode(challenge.octets)


def decode_response(line: bytes) -> bytes:
    """
    Read one base64 line, without its CRLF.

    Raises:
        ProtocolError: it is not base64.
        ResponseTooLongError: it is longer than 12,288 octets.
    """
    if len(line) > LINE_MAX_OCTETS:
        raise ResponseTooLongError("the response is too long")
    if len(line) % 4:
        raise ProtocolError("the response is not base64")
    try:
        return binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        raise ProtocolError("the response is not base64") from None


class Exchange:
    """
    One attempt to log in.

    Args:
        mechanism: fresh; used for this attempt alone.
    """

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism

    def start(self, initial: bytes | None) -> Challenge | Done:
        """
        Begin.

        Args:
            initial: the initial response as it stood on the command line: base64, ``=`` for an empty one, None for
                none.

        Raises:
            ProtocolError: the exchange has failed.
        """
        if initial is None:
            return self._mechanism.start(None)
        return self._mechanism.start(b"" if initial == EMPTY_INITIAL_RESPONSE else decode_response(initial))

    def next(self, line: bytes) -> Challenge | Done:
        """
        Take the client's next line, without its CRLF.

        Raises:
            ExchangeCancelledError: it was ``*``.
            ProtocolError: the exchange has failed.
        """
        if line == CANCEL:
            raise ExchangeCancelledError("authentication cancelled")
        return self._mechanism.next(decode_response(line))
