"""
What may stand beside the arguments of RFC 3501: parameters of SELECT, modifiers of FETCH and STORE.

RFC 4466 sections 2.1, 2.4 and 2.5; RFC 7162 section 7.
"""

from mailsuite.imap.tokens import BadCommandError, Tokens


def parse_select_parameters(tokens: Tokens) -> bool:
    """
    Read the parameters of SELECT or EXAMINE, if there are some; say whether CONDSTORE is among them.

    Raises:
        BadCommandError: one is unknown.
    """
    if tokens.at_end():
        return False
    tokens.space()
    tokens.expect(b"(")
    while True:
        if tokens.word("a parameter") != b"CONDSTORE":
            raise BadCommandError("unknown parameter of SELECT")
        if tokens.accept(b")"):
            return True
        tokens.space()


def parse_changed_since(tokens: Tokens) -> int:
    """
    Read the modifier of FETCH.

    Raises:
        BadCommandError: it is another one than CHANGEDSINCE.
    """
    tokens.space()
    tokens.expect(b"(")
    if tokens.word("a modifier") != b"CHANGEDSINCE":
        raise BadCommandError("unknown modifier of FETCH")
    modseq = _modseq(tokens)
    if not modseq:  # RFC 7162 section 7, "chgsince-fetch-mod"
        raise BadCommandError("CHANGEDSINCE takes a MODSEQ of 1 or more")
    tokens.expect(b")")
    return modseq


def parse_unchanged_since(tokens: Tokens) -> int | None:
    """
    Read the modifier of STORE with the space behind it, if there is one.

    Raises:
        BadCommandError: it is another one than UNCHANGEDSINCE.
    """
    if not tokens.accept(b"("):
        return None
    if tokens.word("a modifier") != b"UNCHANGEDSINCE":
        raise BadCommandError("unknown modifier of STORE")
    modseq = _modseq(tokens)
    tokens.expect(b")")
    tokens.space()
    return modseq


def _modseq(tokens: Tokens) -> int:
    tokens.space()
    return tokens.modseq()
