"""
What the mailboxes of others are called (RFC 2342 section 5): ``Users/alice@example.com/Projects``.

An address is one level of the name; what would divide it, or stands for that, is written as in a URL.
"""

import attrs

SEPARATOR = "/"
INBOX = "INBOX"

_ESCAPES = (("%", "%25"), ("/", "%2F"))


@attrs.frozen
class OthersName:
    """
    The name of a mailbox of somebody else.

    Args:
        address: as it was written; it may be nobody's.
        name: as the owner knows it; INBOX in upper case.
    """

    address: str
    name: str


def address_level(address: str) -> str:
    """Write an address as one level of a name."""
    for char, escaped in _ESCAPES:
        address = address.replace(char, escaped)
    return address


def level_address(level: str) -> str:
    """Read what `address_level` wrote."""
    for char, escaped in reversed(_ESCAPES):
        level = level.replace(escaped, char)
    return level


@attrs.frozen
class Namespace:
    """
    The names below one prefix.

    Args:
        prefix: without a separator at its end.
    """

    prefix: str

    def holds(self, name: str) -> bool:
        """Whether a name is below the prefix, or the prefix itself."""
        return name == self.prefix or name.startswith(self.prefix + SEPARATOR)

    def read(self, name: str) -> OthersName | None:
        """Take a name apart; None when no mailbox of anybody can have it."""
        if not name.startswith(self.prefix + SEPARATOR):
            return None
        level, _, rest = name[len(self.prefix) + 1 :].partition(SEPARATOR)
        head, separator, below = rest.partition(SEPARATOR)
        if head.upper() == INBOX:
            rest = INBOX + separator + below
        return OthersName(level_address(level), rest) if level and rest else None

    def root(self, address: str) -> str:
        """Name what all mailboxes of an address are below, which is what its quota is called, too."""
        return SEPARATOR.join((self.prefix, address_level(address)))

    def root_address(self, root: str) -> str | None:
        """Read what `root` wrote; None when it is that of no address."""
        level = root.removeprefix(self.prefix + SEPARATOR)
        return None if level == root or not level or SEPARATOR in level else level_address(level)

    def write(self, address: str, name: str) -> str:
        """Put a name together."""
        return SEPARATOR.join((self.root(address), name))
