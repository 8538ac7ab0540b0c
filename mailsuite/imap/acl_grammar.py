"""SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS: how they are read, and how rights are written (RFC 4314)."""

from mailsuite.imap import acl_commands
from mailsuite.imap.arguments import take_mailbox
from mailsuite.imap.commands import Command
from mailsuite.imap.tokens import BadCommandError, Tokens
from mailsuite.interfaces.rights import Grantable, Right, Rights, RightsMode, parse_rights, rights_text
from mailsuite.sasl.saslprep import prepare_name

IDENTIFIER_MAX_OCTETS = 1000

CREATING = frozenset((Right.CREATE, Right.DELETE_MAILBOX))
"""What ``c`` stands for (RFC 4314 section 2.1.1)."""
DELETING = frozenset((Right.DELETE_MESSAGES, Right.EXPUNGE))
"""What ``d`` stands for."""
_OBSOLETE = (("c", CREATING), ("d", DELETING))
_MODES = {mode.value: mode for mode in RightsMode if mode.value}


def shown_rights(rights: Rights) -> bytes:
    """Write rights with the letters of RFC 2086 that stand for some of them (RFC 4314 section 2.1.1)."""
    letters = rights_text(rights) + "".join([letter for letter, group in _OBSOLETE if rights & group])
    return letters.encode("ascii")


def grantable_groups(grantable: Grantable) -> list[bytes]:
    """Write what LISTRIGHTS tells: what is always there, then each right that may be granted by itself."""
    optional = shown_rights(grantable.optional)
    return [shown_rights(grantable.always), *(optional[at : at + 1] for at in range(len(optional)))]


def _take_identifier(tokens: Tokens) -> tuple[str, bytes]:
    """
    Take an identifier, prepared for being compared, and as it was written.

    What SASLprep refuses, or makes nothing of, is BAD (RFC 4314 section 3).
    """
    tokens.space()
    octets = tokens.astring("an identifier")
    if len(octets) > IDENTIFIER_MAX_OCTETS:
        raise BadCommandError("that is no identifier")
    try:
        text = prepare_name(octets.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadCommandError("the identifier is not UTF-8") from error
    except ValueError as error:
        raise BadCommandError("that is no identifier") from error
    if not text.strip():
        raise BadCommandError("that is no identifier")
    return text, octets


def _take_rights(tokens: Tokens) -> tuple[RightsMode, Rights]:
    tokens.space()
    try:
        text = tokens.astring("rights").decode("ascii")
    except UnicodeDecodeError as error:
        raise BadCommandError("rights are letters in lower case") from error
    mode = _MODES.get(text[:1], RightsMode.REPLACE)
    letters = text.removeprefix(mode.value)
    rights: set[Right] = set()
    for letter, group in _OBSOLETE:
        if letter in letters:
            letters = letters.replace(letter, "")
            rights |= group
    try:
        return mode, parse_rights(letters).union(rights)
    except ValueError as error:
        raise BadCommandError("one of the letters stands for no right") from error  # RFC 4314 section 3.1: never passed


def read_set_acl(tag: bytes, tokens: Tokens) -> Command:
    """SETACL (RFC 4314 section 3.1)."""
    mailbox = take_mailbox(tokens)
    identifier, _ = _take_identifier(tokens)
    mode, rights = _take_rights(tokens)
    return acl_commands.SetACL(tag, mailbox, identifier, mode, rights)


def read_delete_acl(tag: bytes, tokens: Tokens) -> Command:
    """DELETEACL (RFC 4314 section 3.2)."""
    mailbox = take_mailbox(tokens)
    return acl_commands.DeleteACL(tag, mailbox, _take_identifier(tokens)[0])


def read_get_acl(tag: bytes, tokens: Tokens) -> Command:
    """GETACL (RFC 4314 section 3.3)."""
    return acl_commands.GetACL(tag, take_mailbox(tokens))


def read_list_rights(tag: bytes, tokens: Tokens) -> Command:
    """LISTRIGHTS (RFC 4314 section 3.4)."""
    mailbox = take_mailbox(tokens)
    return acl_commands.ListRights(tag, mailbox, *_take_identifier(tokens))


def read_my_rights(tag: bytes, tokens: Tokens) -> Command:
    """MYRIGHTS (RFC 4314 section 3.5)."""
    return acl_commands.MyRights(tag, take_mailbox(tokens))
