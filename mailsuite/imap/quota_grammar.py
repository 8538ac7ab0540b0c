"""GETQUOTA, GETQUOTAROOT and SETQUOTA: how they are read (RFC 9208 section 7)."""

import re

from mailsuite.imap import quota_commands
from mailsuite.imap.arguments import take_mailbox, take_parenthesised
from mailsuite.imap.commands import Command
from mailsuite.imap.tokens import BadCommandError, Tokens

LIMIT_MAX = 2**63 - 1  # RFC 9051 section 9, "number64"
LIMIT_MAX_DIGITS = 19

_DIGITS = re.compile(rb"[0-9]+")


def _take_root(tokens: Tokens) -> bytes:
    tokens.space()
    return tokens.astring("a quota root")


def _take_limit(tokens: Tokens) -> tuple[bytes, int]:
    """Take a resource and its limit ("setquota-resource"); names compare in any case."""
    resource = tokens.word("a resource")
    tokens.space()
    digits = tokens.take(_DIGITS, "a limit")
    if len(digits) > LIMIT_MAX_DIGITS or (limit := int(digits)) > LIMIT_MAX:
        raise BadCommandError("the limit is too large")
    return resource, limit


def read_get_quota(tag: bytes, tokens: Tokens) -> Command:
    """GETQUOTA (RFC 9208 section 4.1.1)."""
    return quota_commands.GetQuota(tag, _take_root(tokens))


def read_get_quota_root(tag: bytes, tokens: Tokens) -> Command:
    """GETQUOTAROOT (RFC 9208 section 4.1.2)."""
    return quota_commands.GetQuotaRoot(tag, take_mailbox(tokens))


def read_set_quota(tag: bytes, tokens: Tokens) -> Command:
    """SETQUOTA (RFC 9208 section 4.1.3)."""
    root = _take_root(tokens)
    tokens.space()
    limits = take_parenthesised(tokens, _take_limit, empty=True)
    if len({resource for resource, _ in limits}) < len(limits):
        raise BadCommandError("a resource has one limit")
    return quota_commands.SetQuota(tag, root, tuple(limits))
