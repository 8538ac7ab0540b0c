"""Where we differ from Dovecot on purpose: each a rule with a name, which docs/imap-mime.rst explains."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import unquote_to_bytes

import attrs
from imap_values import Address, Structure

from .mime_comparing import Difference

PLACEHOLDERS = frozenset((b"MISSING_MAILBOX", b"MISSING_DOMAIN", b"SYNTAX_ERROR", b"INVALID_ROUTE"))
FIELD = re.compile(rb"(?m)^[!-9;-~]+[ \t]*:.*(?:\n[ \t].*)*")
BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")
LINE_END = b"\r\n"


@attrs.frozen
class Case:
    """
    A message and one difference in it.

    Args:
        name: of the message in the corpus.
        all: the differences of this message, by their items.
    """

    name: str
    octets: bytes
    found: Difference
    all: Mapping[str, Difference]

    @property
    def structures(self) -> tuple[Structure, Structure] | None:
        """What both say of the part, when the difference is in the structure."""
        parts = self.found.parts
        return parts if parts is not None and isinstance(parts[0], Structure) else None  # type: ignore[return-value]

    @property
    def addresses(self) -> "Iterator[tuple[Address, ...]]":
        """The other's addresses, when the difference is in one or in a list of them."""
        if self.found.parts is not None and isinstance(self.found.parts[1], Address):
            yield (self.found.parts[1],)
        elif isinstance(self.found.theirs, tuple) and all(isinstance(each, Address) for each in self.found.theirs):
            yield self.found.theirs

    @property
    def octets_of_both(self) -> tuple[bytes, bytes] | None:
        """What both say, when both say octets."""
        if isinstance(self.found.ours, bytes) and isinstance(self.found.theirs, bytes):
            return self.found.ours, self.found.theirs
        return None

    @property
    def is_range(self) -> bool:
        """Whether only a part of a section was asked for."""
        return self.found.item.endswith(">")


@attrs.frozen
class Rule:
    """
    A difference that is meant.

    Args:
        name: as in the documentation.
        explains: whether it is the reason.
        messages: in which it can be the reason; all where none are named.
        below: it is the reason for what differs below that part, too.
    """

    name: str
    explains: Callable[[Case], bool]
    messages: frozenset[str] = frozenset()
    below: bool = False

    def holds(self, case: Case) -> bool:
        """Say whether it is the reason for a difference."""
        return (not self.messages or case.name in self.messages) and self.explains(case)


# sections


def _is_absent(case: Case) -> bool:
    return bool(case.found.section) and case.found.ours is None and case.found.theirs == b""


def _is_below_leaf(case: Case) -> bool:
    return case.found.ours is None and re.fullmatch(r"(?:[0-9]+\.)+1(?:\.MIME)?", case.found.section) is not None


def _is_field_selection(case: Case) -> bool:
    """Both have the same fields, and a range differs only where the whole does."""
    if "HEADER.FIELDS" not in case.found.section or case.octets_of_both is None:
        return False
    if case.is_range:
        return case.found.item.rpartition("<")[0] in case.all
    ours, theirs = (FIELD.findall(octets) for octets in case.octets_of_both)
    return ours == theirs


def _is_line_ends(case: Case) -> bool:
    """They write CRLF for LF, and drop CR where it ends a line or the message."""
    if BARE.search(case.octets) is None:
        return False
    if case.octets_of_both is not None and case.found.section:
        ours, theirs = case.octets_of_both
        return case.is_range or ours.replace(b"\r", b"") == theirs.replace(b"\r", b"")
    return case.found.item == "RFC822.SIZE" or (case.structures is not None and case.found.what == "size")


def _is_longer_by_a_line_end(found: Difference | None) -> bool:
    return (
        found is not None
        and isinstance(found.ours, bytes)
        and isinstance(found.theirs, bytes)
        and found.ours + LINE_END == found.theirs
    )


def _end_is_the_boundarys(case: Case) -> bool:
    """The CRLF before a boundary is the part's for them, where something within had ended before."""
    if b"\n--" not in case.octets:
        return False
    if case.found.section:
        whole = case.all.get(case.found.item.rpartition("<")[0]) if case.is_range else case.found
        return _is_longer_by_a_line_end(whole) and "FIELDS" not in case.found.section
    if case.structures is None or not isinstance(case.found.ours, int) or not isinstance(case.found.theirs, int):
        return False
    octets = case.all.get(f"BODY[{'.'.join(map(str, case.found.number))}]")
    more = (case.found.what, case.found.theirs - case.found.ours)
    return more in {("size", 2), ("lines", 1)} and _is_longer_by_a_line_end(octets)


# structure


def _is_text_for_multipart(case: Case) -> bool:
    if case.structures is None:
        return False
    ours, theirs = case.structures
    return (ours.main, ours.subtype, theirs.main.lower()) == (b"text", b"plain", b"multipart")


def _has_no_parts(case: Case) -> bool:
    if not _is_text_for_multipart(case) or case.structures is None:
        return False
    children = case.structures[1].children
    return len(children) == 1 and children[0].size == 0


def _boundary(case: Case) -> bool:
    return case.structures is not None or bool(case.found.section)


def _is_encoded_message(case: Case) -> bool:
    if case.structures is None:
        return False
    ours, theirs = case.structures
    is_message = theirs.is_message or _is_global(theirs)
    return is_message and (ours.main, ours.subtype) == (b"application", b"octet-stream")


def _is_global(part: Structure) -> bool:
    return (part.main.lower(), part.subtype.lower()) == (b"message", b"global")


def _is_internationalised(case: Case) -> bool:
    """They know no message within message/global."""
    if case.structures is None:
        return False
    ours, theirs = case.structures
    return ours.is_message and not theirs.is_message and _is_global(theirs)


def _is_too_deep(case: Case) -> bool:
    return case.structures is not None and len(case.found.number) >= 99


def _is_no_type(case: Case) -> bool:
    """They show an empty string where the type cannot be read, or is no token."""
    if case.structures is None:
        return False
    ours, theirs = case.structures
    return (ours.main.lower(), ours.subtype.lower()) == (b"text", b"plain") and b"" in {theirs.main, theirs.subtype}


def _about(*words: str) -> Callable[[Case], bool]:
    return lambda case: case.structures is not None and case.found.what in words


def _of_envelope(*fields: str) -> Callable[[Case], bool]:
    return lambda case: case.found.item.startswith("ENVELOPE ") and case.found.item.split()[1] in fields


def _is_percent(case: Case) -> bool:
    if case.structures is None or case.found.what != "parameters":
        return False
    both = [
        [(name, unquote_to_bytes(text)) for name, text in parameters]
        for parameters in (case.found.ours, case.found.theirs)
        if isinstance(parameters, list)
    ]
    return len(both) == 2 and both[0] == both[1]


def _is_without_version(case: Case) -> bool:
    return (
        b"mime-version:" not in case.octets.lower()
        and case.structures is not None
        and (case.found.theirs is None or case.found.theirs == b"7bit")
    )


def _is_white_space(case: Case) -> bool:
    both = case.octets_of_both
    return both is not None and not case.found.section and both[0].split() == both[1].split()


# addresses


def _has_placeholder(case: Case) -> bool:
    return any(
        PLACEHOLDERS.intersection(attrs.astuple(address)) for addresses in case.addresses for address in addresses
    )


def _is_any_address(case: Case) -> bool:
    return any(True for _ in case.addresses)


def _is_comment(case: Case) -> bool:
    return case.found.what == "name" and case.found.theirs is None and b"(" in case.octets


def _named(prefix: str, names: str) -> frozenset[str]:
    return frozenset(prefix + name for name in names.split())


RULES: Sequence[Rule] = (
    Rule("absent-sections", _is_absent),
    Rule("parts-of-leaves", _is_below_leaf),
    Rule("lines-that-are-no-fields", _is_field_selection),
    Rule("line-ends", _is_line_ends),
    Rule("line-ends", lambda _case: True, _named("", "bare-cr-in-header bare-cr-only cr-cr-lf"), below=True),
    Rule("multiparts-without-parts", _has_no_parts, below=True),
    Rule(
        "boundary-lines",
        _boundary,
        _named(
            "boundary-",
            "empty empty-unquoted of-spaces ends-in-space ends-in-space-without-it unterminated percent of-100 of-250 "
            "of-1000 of-2048 line-with-text line-with-note twice-in-line",
        )
        | {"last-boundary-half"},
        below=True,
    ),
    Rule("limits", _boundary, _named("boundary-", "of-2049"), below=True),
    Rule("limits", _is_too_deep, below=True),
    Rule("limits", _about("parameters"), _named("type-", "parameters-200")),
    Rule("limits", lambda case: "HEADER.FIELDS" in case.found.section, _named("", "too-many-fields")),
    Rule("limits", _of_envelope("subject"), _named("", "subject-long too-many-fields")),
    Rule("limits", _of_envelope("cc"), _named("address-recipients-", "10000 10000-names")),
    Rule("encoded-messages", _is_encoded_message, below=True),
    Rule("internationalised-messages", _is_internationalised, below=True),
    Rule("line-ends-before-boundaries", _end_is_the_boundarys),
    Rule("types-that-are-none", _is_no_type),
    Rule("types-that-are-none", _about("subtype", "parameters"), _named("type-", "eight-bits comment-unterminated")),
    Rule("types-that-are-none", _about("main", "subtype", "lines"), _named("type-", "comment-unterminated")),
    Rule(
        "unquoted-values",
        _about("parameters", "disposition"),
        _named("type-", "value-with-slash value-with-spaces value-with-parentheses value-quote-within equals-twice")
        | _named("", "boundary-unquoted-with-spaces message-partial message-partial-top disposition-spaces-in-name"),
    ),
    Rule(
        "broken-parameters",
        _about("parameters", "disposition"),
        _named(
            "type-",
            "value-unterminated name-empty name-quoted name-with-spaces rfc2231-odd-stars rfc2231-continued-gap "
            "rfc2231-no-quotes",
        )
        | _named("disposition-", "unterminated empty parameter-only filename-only quoted"),
    ),
    Rule("broken-parameters", _boundary, _named("boundary-", "after-two-semicolons"), below=True),
    Rule("unquoted-values", _boundary, _named("boundary-", "with-equals-unquoted"), below=True),
    Rule("percent-encoding", _is_percent),
    Rule(
        "repeated-parameters",
        _about("parameters"),
        _named("type-", "charset-twice rfc2231-continued-twice rfc2231-plain-and-continued") | {"boundary-twice"},
    ),
    Rule("mime-version", _is_without_version),
    Rule(
        "unknown-encodings",
        _about("encoding"),
        _named("encoding-", "nonsense quoted semicolon parameter eight-bits"),
    ),
    Rule("languages", _about("language"), _named("language-", "commas quoted semicolon")),
    Rule("white-space", _is_white_space),
    Rule(
        "repeated-fields",
        _about("encoding", "disposition", "id"),
        _named("", "encoding-twice disposition-twice id-twice"),
    ),
    Rule(
        "repeated-fields",
        _of_envelope("subject", "date", "message_id", "in_reply_to", "from_", "sender", "reply_to"),
        _named("", "subject-twice subject-twice-first-empty date-twice message-id-twice from-twice"),
    ),
    Rule("no-placeholders", _has_placeholder),
    Rule("comments-as-names", _is_comment),
    Rule(
        "broken-addresses",
        _is_any_address,
        _named(
            "address-",
            "name-with-at list-semicolons list-spaces group-within-group group-without-comma-after local-with-two-at "
            "angles-twice text-after two-without-comma group-with-at",
        ),
    ),
)


def explain(name: str, octets: bytes, differences: Sequence[Difference]) -> tuple[set[str], list[Difference]]:
    """Give the rules that were needed, and the differences that no rule explains."""
    by_item = {found.item: found for found in differences}
    used: set[str] = set()
    roots: list[tuple[int, ...]] = []
    left = []
    for found in differences:
        case = Case(name, octets, found, by_item)
        rule = next((rule for rule in RULES if rule.holds(case)), None)
        if rule is None:
            left.append(found)
            continue
        used.add(rule.name)
        if rule.below:
            roots.append(found.number)
    return used, [found for found in left if not any(_is_below(found, root) for root in roots)]


def _is_below(found: Difference, root: tuple[int, ...]) -> bool:
    about_parts = bool(found.number) or found.item.startswith(("BODYSTRUCTURE", "BODY "))
    return about_parts and found.number[: len(root)] == root
