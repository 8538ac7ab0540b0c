"""What the configuration says about mailboxes that several accounts use."""

import attrs

ONE_LEVEL = r"(?!(?i:INBOX)$)[ -$&-)+-.0-~]{0,64}"
"""Printable ASCII without a separator or a wildcard, and not the name of everybody's first mailbox."""

PREFIX = "Users"
"""What the names of what belongs to others begin with, unless the operator says otherwise."""


@attrs.frozen(kw_only=True)
class SharingSettings:
    """
    How the mailboxes of others are reached.

    Args:
        prefix: the name above them: those of an account are below it and its address, such as
            ``Users/alice@example.com/INBOX``. One level; empty turns sharing off. After a change of it, clients have to
            subscribe anew.
        anyone: whether ``anyone`` can be given rights, which are those of every account of this server.
    """

    prefix: str = attrs.field(default=PREFIX, validator=attrs.validators.matches_re(ONE_LEVEL))
    anyone: bool = True
