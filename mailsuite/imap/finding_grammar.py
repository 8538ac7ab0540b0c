"""Commands that find messages: SEARCH, SORT and THREAD."""

import re
from collections.abc import Callable

import attrs

from mailsuite.imap import finding_commands
from mailsuite.imap.arguments import take_parenthesised
from mailsuite.imap.commands import Command
from mailsuite.imap.paging import Page, take_page
from mailsuite.imap.search_grammar import parse_search, parse_search_criteria
from mailsuite.imap.search_keys import SearchKey
from mailsuite.imap.sort_grammar import parse_sort_criteria
from mailsuite.imap.threads import ThreadAlgorithm
from mailsuite.imap.tokens import BadCommandError, Tokens

_RETURN = re.compile(rb"(?:RETURN (?=\())?", re.IGNORECASE)
_SEARCH_RETURNS = {returned.value: returned for returned in finding_commands.SearchReturn}
_THREAD_ALGORITHMS = {algorithm.value: algorithm for algorithm in ThreadAlgorithm}


@attrs.frozen
class _Returns:
    """What RETURN asks for; with neither of the two, there is no RETURN."""

    returns: frozenset[finding_commands.SearchReturn] | None = None
    page: Page | None = None


def _take_returns(tokens: Tokens) -> _Returns:
    """Read ``RETURN (MIN MAX)`` and the space after it, if it is there; an empty list asks for ALL."""
    if not tokens.take(_RETURN, "RETURN"):
        return _Returns()
    pages: list[Page] = []

    def take(tokens: Tokens) -> finding_commands.SearchReturn | None:
        word = tokens.word("a return option")
        if word == b"PARTIAL":
            pages.append(take_page(tokens))
            return None
        returned = _SEARCH_RETURNS.get(word)
        if returned is None:
            raise BadCommandError("unknown return option")
        return returned

    words = take_parenthesised(tokens, take, empty=True)
    returns = frozenset(word for word in words if word is not None)
    if len(pages) > 1 or (pages and finding_commands.SearchReturn.ALL in returns):
        raise BadCommandError("one PARTIAL or ALL is allowed")  # RFC 9394 section 3.1
    tokens.space()
    if pages:
        return _Returns(returns, pages[0])
    return _Returns(returns or frozenset((finding_commands.SearchReturn.ALL,)))


def read_search(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    """SEARCH (RFC 3501 section 6.4.4, RFC 4731 section 3.1, RFC 9394 section 3.1)."""
    tokens.space()
    asked = _take_returns(tokens)
    key = _search_key(parse_search, tokens, asked.returns)
    return finding_commands.Search(tag, key, uid, asked.returns, asked.page)


def read_sort(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    """SORT (RFC 5256 section 3, RFC 5267 section 3)."""
    tokens.space()
    asked = _take_returns(tokens)
    criteria = parse_sort_criteria(tokens)
    tokens.space()
    key = _search_key(parse_search_criteria, tokens, asked.returns)
    return finding_commands.Sort(tag, criteria, key, uid, asked.returns, asked.page)


def read_thread(tag: bytes, tokens: Tokens, *, uid: bool = False) -> Command:
    """THREAD (RFC 5256 section 3)."""
    tokens.space()
    algorithm = _THREAD_ALGORITHMS.get(tokens.word("a threading algorithm"))
    if algorithm is None:
        raise BadCommandError("unknown threading algorithm")
    tokens.space()
    return finding_commands.Thread(tag, algorithm, parse_search_criteria(tokens), uid)


def _search_key(
    parse: Callable[[Tokens], SearchKey], tokens: Tokens, returns: frozenset[finding_commands.SearchReturn] | None
) -> SearchKey:
    """Read what to search for; a refusal with NO empties what the search was to replace (RFC 5182 section 2.1)."""
    try:
        return parse(tokens)
    except BadCommandError as error:
        error.forgets = error.status == b"NO" and returns is not None and finding_commands.SearchReturn.SAVE in returns
        raise
