"""
Which messages a message answers, and which conversation it belongs to.

RFC 5322 section 3.6.4, read leniently: whatever stands between the ids is passed over.
"""

import hashlib
import re

from mailsuite.message.header import first_value, parse_fields

_MESSAGE_ID = re.compile(rb'<[ \t]*+((?:"(?:[^"\\]|\\.)*+"|[^<>"\s@]++)++@[^<>"\s@]++)[ \t]*+>')
_QUOTED_PAIR = re.compile(rb"\\(.)")
_FIRST_OF_CONVERSATION = (b"references", b"in-reply-to", b"message-id")


def message_ids(value: bytes, last: int) -> list[bytes]:
    """
    Read the ids in a field, without brackets; the same one may be written with a quoted local part and without.

    Args:
        value: unfolded.
        last: of more than these, only the last ones are given.
    """
    return [_plain(text) for text in _MESSAGE_ID.findall(value)[-last:]]


def first_message_id(value: bytes | None) -> bytes:
    """Read the first id in a field, as `message_ids` does; empty when there is none."""
    found = _MESSAGE_ID.search(value) if value else None
    return _plain(found[1]) if found else b""


def _plain(text: bytes) -> bytes:
    return _QUOTED_PAIR.sub(rb"\1", text.replace(b'"', b"")) if b'"' in text else text


def thread_id(header: bytes, email_id: bytes) -> bytes:
    """
    Name the conversation of a message (RFC 8474 section 5.2), always in the same way.

    It is known by the message that began it: the first one that References names, else In-Reply-To, else the message
    itself. So nothing needs to be kept, an answer has the id of what it answers in whatever mailbox either is, and the
    id stays when an index is made again.

    Args:
        header: fields of the message, those three among them.
        email_id: what begins the conversation of a message without any id.

    Returns:
        An ObjectID; never one that an email has.
    """
    fields = parse_fields(header)
    for name in _FIRST_OF_CONVERSATION:
        first = first_message_id(first_value(fields, name))
        if first:
            break
    else:
        first = email_id
    return b"T" + hashlib.blake2b(first, digest_size=12).hexdigest().encode("ascii")
