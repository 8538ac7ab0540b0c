"""Commands that find messages: SEARCH, SORT and THREAD."""

import re
from collections.abc import Callable

from mailsuite.imap import commands
from mailsuite.imap.arguments import take_parenthesised
from mailsuite.imap.commands import Command
from mailsuite.imap.search_grammar import parse_search, parse_search_criteria
from mailsuite.imap.search_keys import SearchKey
from mailsuite.imap.sort_grammar import parse_sort_criteria
from mailsuite.imap.threads import ThreadAlgorithm
from mailsuite.imap.tokens import BadCommandError, Tokens

_RETURN = re.compile(rb"(?:RETURN (?=\())?", re.IGNORECASE)
_SEARCH_RETURNS = {returned.value: returned for returned in commands.SearchReturn}
_THREAD_ALGORITHMS = {algorithm.value: algorithm for algorithm in ThreadAlgorithm}


def _search_return(tokens: Tokens) -> commands.SearchReturn:
    returned = _SEARCH_RETURNS.get(tokens.word("a return option"))
    if returned is None:
        raise BadCommandError("unknown return option")
    return returned


def _search_returns(tokens: Tokens) -> frozenset[commands.SearchReturn] | None:
    """Read ``RETURN (MIN MAX)`` and the space after it, if it is there; an empty list asks for ALL."""
    if not tokens.take(_RETURN, "RETURN"):
        return None
    returns = frozenset(take_parenthesised(tokens, _search_return, empty=True))
    tokens.space()
    return returns or frozenset((commands.SearchReturn.ALL,))


def read_search(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    """SEARCH (RFC 3501 section 6.4.4, RFC 4731 section 3.1)."""
    tokens.space()
    returns = _search_returns(tokens)
    return commands.Search(tag, _search_key(parse_search, tokens, returns), uid, returns)


def read_sort(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    """SORT (RFC 5256 section 3, RFC 5267 section 3)."""
    tokens.space()
    returns = _search_returns(tokens)
    criteria = parse_sort_criteria(tokens)
    tokens.space()
    return commands.Sort(tag, criteria, _search_key(parse_search_criteria, tokens, returns), uid, returns)


def read_thread(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    """THREAD (RFC 5256 section 3)."""
    tokens.space()
    algorithm = _THREAD_ALGORITHMS.get(tokens.word("a threading algorithm"))
    if algorithm is None:
        raise BadCommandError("unknown threading algorithm")
    tokens.space()
    return commands.Thread(tag, algorithm, parse_search_criteria(tokens), uid)


def _search_key(
    parse: Callable[[Tokens], SearchKey], tokens: Tokens, returns: frozenset[commands.SearchReturn] | None
) -> SearchKey:
    """Read what to search for; a refusal with NO empties what the search was to replace (RFC 5182 section 2.1)."""
    try:
        return parse(tokens)
    except BadCommandError as error:
        error.forgets = error.status == b"NO" and returns is not None and commands.SearchReturn.SAVE in returns
        raise
