"""
Messages with every kind of trouble, made by code: the same ones each time, each with a name.

Those with NUL stand apart: APPEND cannot carry it (RFC 3501 section 9).
"""

from mime_corpus.addressing import all_addresses
from mime_corpus.fields import all_fields
from mime_corpus.structures import all_structures, with_nul


def all_messages() -> dict[str, bytes]:
    """Give all messages by their names."""
    made: dict[str, bytes] = {}
    for group in (all_structures, all_fields, all_addresses):
        for name, octets in group():
            assert name not in made, name
            made[name] = octets
    return made


def messages_with_nul() -> dict[str, bytes]:
    """Give the messages that no client can append."""
    return dict(with_nul())
