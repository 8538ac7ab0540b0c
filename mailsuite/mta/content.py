"""
What lies in the spool: a message, its sender, its targets, and how they are written into a row.

A target is what a recipient came to after aliases; it is named by its place in the envelope, which never changes.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from mailsuite.address import Address
from mailsuite.envelope import Body as BodyType
from mailsuite.envelope import Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import Body

INBOX = "INBOX"


@attrs.frozen(kw_only=True)
class Target:
    """
    Where one copy of a message goes.

    Args:
        address: what the sender wrote, or for an alias that leads elsewhere, where it leads.
        account_id: 0 for a remote target.
        notify: the NOTIFY parameter (RFC 3461 section 4.1).
        original: the ORCPT parameter, decoded (RFC 3461 section 4.2).
        make_mailbox: the mailbox is made when it is not there.
        sender: the reverse-path with which it is passed on; None is the message's own.
        forwarder: address of the account that passes it on.
        looped: it has been with that account before, and goes no further.
        is_notice: nothing is delivered: the sender is to be told that mail for this address goes on to several others.
    """

    address: Address
    account_id: int = 0
    email: str = ""
    mailbox: str = INBOX
    quota_octets: int = 0
    notify: str = ""
    original: str = ""
    make_mailbox: bool = False
    sender: Address | None = None
    forwarder: str = ""
    looped: bool = False
    is_notice: bool = False

    @property
    def is_local(self) -> bool:
        """Whether it lies in one of our own mailboxes."""
        return self.account_id != 0

    @property
    def shown(self) -> str:
        """Where it goes, for people: account and mailbox, or an address elsewhere."""
        return f"{self.email}/{self.mailbox}" if self.account_id else str(self.address)

    @property
    def is_remote(self) -> bool:
        """Whether it lies at another site."""
        return self.account_id == 0 and not self.is_notice

    def asked_for(self, keyword: str) -> bool | None:
        """
        Whether the sender wants to be told (RFC 3461 section 4.1); None when it did not say.

        Args:
            keyword: ``SUCCESS``, ``FAILURE`` or ``DELAY``.
        """
        return keyword in self.notify.upper().split(",") if self.notify else None


@attrs.frozen(kw_only=True)
class SpoolMessage:
    """
    A message on its way into the spool or out of it.

    Args:
        message_id: its number in the spool, from `Spool.take_id`.
        received: seconds since the epoch.
        content: the octets, with a Return-Path field first; or the spool's file of them.
        trace_octets: length of that Return-Path field, which must not travel onward (RFC 5321 section 4.4).
    """

    message_id: int
    received: int
    sender: Sender
    targets: tuple[Target, ...]
    content: bytes | Body
    trace_octets: int = 0

    @property
    def size_octets(self) -> int:
        """Length of the content."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size_octets

    @property
    def waits(self) -> bool:
        """Whether its sender wants it to leave later (RFC 4865)."""
        return self.sender.release > self.received

    @property
    def born(self) -> int:
        """The moment from which its age counts."""
        return max(self.received, self.sender.release)

    def at_once(self, n: int) -> bool:
        """
        Whether a target is delivered without the queue: a mailbox of ours, now, and nobody waits to hear of it.

        A report on success is the queue's work: there, it is recorded together with the delivery.
        """
        target = self.targets[n]
        if target.account_id == 0 or self.waits:
            return False
        return not target.notify or self.sender.path is None or not target.asked_for("SUCCESS")


def encode_envelope(message: SpoolMessage) -> bytes:
    """Write everything but the content as JSON."""
    sender = message.sender
    document = {
        "sender": _encode_address(sender.path),
        "body": sender.body.value,
        "smtputf8": sender.smtputf8,
        "auth": sender.auth,
        "envid": sender.envelope_id,
        "ret": sender.ret,
        **({"requiretls": True} if sender.require_tls else {}),
        **({"tlsoptional": True} if sender.tls_optional else {}),
        **({"release": sender.release} if sender.release else {}),
        **({"hold": sender.hold} if sender.hold else {}),
        "trace": message.trace_octets,
        "size": message.size_octets,
        "targets": [
            [
                _encode_address(target.address),
                target.account_id,
                target.email,
                target.mailbox,
                target.quota_octets,
                target.notify,
                target.original,
                *_encode_more(target),
            ]
            for target in message.targets
        ],
    }
    return json.dumps(document, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def decode_message(message_id: int, received: int, envelope: bytes, content: bytes | str) -> SpoolMessage:
    """
    Read a message back.

    Args:
        content: the octets, or the path of the file that holds them.

    Raises:
        MailError: INVALID, when the row was not written by `encode_envelope`.
    """
    try:
        document = json.loads(envelope)
        return SpoolMessage(
            message_id=message_id,
            received=received,
            sender=Sender(
                path=_decode_address(document["sender"]),
                body=BodyType(document["body"]),
                smtputf8=document["smtputf8"],
                auth=document["auth"],
                envelope_id=document["envid"],
                ret=document["ret"],
                require_tls=document.get("requiretls", False),
                tls_optional=document.get("tlsoptional", False),
                release=document.get("release", 0),
                hold=document.get("hold", ""),
            ),
            targets=tuple(_decode_target(*fields) for fields in document["targets"]),
            content=content if isinstance(content, bytes) else Body(content, document["size"]),
            trace_octets=document["trace"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MailError(Kind.INVALID, "a message in the spool cannot be read") from error


def _encode_address(address: Address | None) -> list[str] | None:
    return None if address is None else [address.local_part, address.domain]


def _decode_address(fields: list[str] | None) -> Address | None:
    return None if fields is None else Address(*fields)


def _encode_more(target: Target) -> list[dict[str, object]]:
    """Write what few targets have."""
    more: dict[str, object] = {
        "make": target.make_mailbox,
        "sender": _encode_address(target.sender),
        "forwarder": target.forwarder,
        "looped": target.looped,
        "notice": target.is_notice,
    }
    found = {name: value for name, value in more.items() if value}
    return [found] if found else []


def _decode_target(
    address: list[str],
    account_id: int,
    email: str,
    mailbox: str,
    quota_octets: int,
    notify: str,
    original: str,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> Target:
    return Target(
        address=Address(*address),
        account_id=account_id,
        email=email,
        mailbox=mailbox,
        quota_octets=quota_octets,
        notify=notify,
        original=original,
        make_mailbox=more.get("make", False),
        sender=_decode_address(more.get("sender")),
        forwarder=more.get("forwarder", ""),
        looped=more.get("looped", False),
        is_notice=more.get("notice", False),
    )
