"""SASL for mail servers: mechanisms, their exchange as base64 lines, SCRAM keys. Usable alone."""

from mailsuite.sasl.credentials import PasswordLogin
from mailsuite.sasl.exchange import Exchange, ExchangeCancelledError, decode_response, encode_challenge, find_mechanism
from mailsuite.sasl.mechanisms import (
    MECHANISMS,
    RESPONSE_MAX_OCTETS,
    AuthorizationRefusedError,
    Challenge,
    Done,
    Mechanism,
    ResponseTooLongError,
)
from mailsuite.sasl.scram import ScramHash, ScramKeys, derive_keys, fake_keys

__all__ = [
    "MECHANISMS",
    "RESPONSE_MAX_OCTETS",
    "AuthorizationRefusedError",
    "Challenge",
    "Done",
    "Exchange",
    "ExchangeCancelledError",
    "Mechanism",
    "PasswordLogin",
    "ResponseTooLongError",
    "ScramHash",
    "ScramKeys",
    "decode_response",
    "derive_keys",
    "encode_challenge",
    "fake_keys",
    "find_mechanism",
]
