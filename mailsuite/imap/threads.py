"""
Messages as conversations: who answers whom.

RFC 5256 section 3 (THREAD). Pure; work over many messages is a generator that can rest wherever it yields. Messages are
indexes from 0 in the order of the mailbox. Nothing recurses, and what is sorted once by date is never sorted again:
whoever goes through all messages in that order finds those of each conversation in that order.
"""

import enum
from array import array
from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise

import attrs

from mailsuite.imap.sorting import ordered, sent_date
from mailsuite.imap.subjects import read_subject
from mailsuite.message.header import Field, first_value
from mailsuite.message.references import first_message_id, message_ids

REFERENCES_MAX = 100
"""Of a message's references only so many are looked at, the last ones."""

IDS_MAX = 1_000_000
"""Message-IDs beyond this number are passed over."""

PIECE_MESSAGES = 1000
PIECE_STEPS = 4096

_ROOT = -1
_CLOSE = -1
_SIBLING = -2

Steps = Generator[None, None, None]


class ThreadAlgorithm(enum.Enum):
    """How messages become conversations (RFC 5256 section 3)."""

    ORDEREDSUBJECT = b"ORDEREDSUBJECT"
    REFERENCES = b"REFERENCES"


@attrs.frozen
class Forest:
    """
    Conversations, each set of siblings in order of date.

    Args:
        count: how many messages there are; what has a higher number is a place without a message, above others.
        roots: where conversations begin.
        eldest: the first child of those that have one.
        younger: the next sibling of those below others that have one.
    """

    count: int
    roots: list[int]
    eldest: dict[int, int]
    younger: dict[int, int]


class ThreadData:
    """
    What is known of each message; Message-IDs are numbers, the same one for the same id.

    Numbers lie in arrays: what holds nothing else needs no visit of the garbage collector, which visits all at once.
    """

    def __init__(self) -> None:
        self.dates = array("q")
        self.bases: list[str] = []
        self.replies = bytearray()
        """Whether each message's subject is that of a reply or a forward."""
        self.own = array("q")
        """Each message's id; -1 where it has none."""
        self._references = array("I")
        self._ends = array("Q")
        self._numbers: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self.dates)

    @property
    def id_count(self) -> int:
        """How many different ids there are."""
        return len(self._numbers)

    def add(self, fields: Sequence[Field], internal_date: int, algorithm: ThreadAlgorithm) -> None:
        """Take in the next message."""
        self.dates.append(sent_date(fields, internal_date))
        subject = read_subject(first_value(fields, b"subject"))
        self.bases.append(subject.base)
        self.replies.append(subject.is_reply)
        if algorithm is not ThreadAlgorithm.REFERENCES:
            return
        self.own.append(self._number(first_message_id(first_value(fields, b"message-id"))))
        # Without a valid id in References, the first one of In-Reply-To is the only reference.
        texts = message_ids(first_value(fields, b"references") or b"", REFERENCES_MAX)
        numbers = map(self._number, texts or [first_message_id(first_value(fields, b"in-reply-to"))])
        self._references.extend(number for number in numbers if number >= 0)
        self._ends.append(len(self._references))

    def references(self, message: int) -> Sequence[int]:
        """Give the ids of what a message refers to, in its order."""
        return self._references[self._ends[message - 1] if message else 0 : self._ends[message]]

    def _number(self, text: bytes) -> int:
        """Give the number of an id; -1 for none, and for one too many."""
        if not text:
            return -1
        number = self._numbers.get(text, -1)
        if number < 0 and len(self._numbers) < IDS_MAX:
            number = self._numbers[text] = len(self._numbers)
        return number


def make_forest(algorithm: ThreadAlgorithm, data: ThreadData) -> Generator[None, None, Forest]:
    """
    Put messages into conversations.

    Yields:
        After each piece of work.
    """
    order = yield from ordered([(data.dates, False)], len(data))
    above = [_ROOT] * len(data)
    if algorithm is ThreadAlgorithm.ORDEREDSUBJECT:
        yield from _follow_subjects(order, data, above)
    else:
        yield from _follow_references(data, above)
        yield from _gather_subjects(order, data, above)
    return (yield from _grow(order, above))


def _follow_subjects(order: Sequence[int], data: ThreadData, above: list[int]) -> Steps:
    """ORDEREDSUBJECT: the first message with a base subject is above all others with it; no grandchildren."""
    first: dict[str, int] = {}
    for at, message in enumerate(order):
        if not at % PIECE_MESSAGES:
            yield
        head = first.setdefault(data.bases[message], message)
        if head != message:
            above[message] = head


def _follow_references(data: ThreadData, above: list[int]) -> Steps:
    """REFERENCES, steps (1) to (3): links between ids, of which only the ones with messages remain."""
    links = _Links(data.id_count)
    for message, own in enumerate(data.own):
        references = data.references(message)
        node = links.place(message, own)
        for upper, lower in pairwise(references):
            if links.parents[lower] < 0:  # an existing link stays
                yield from links.link(upper, lower)
        # A link to a message that is known by now was the guess of others; its own last reference is right.
        links.cut(node)
        if references:
            yield from links.link(references[-1], node)
    yield from links.prune(above)


class _Links:
    """Ids, with and without a message, each below at most one other; never in a circle."""

    def __init__(self, count: int) -> None:
        self.parents = array("q", [-1]) * count
        self._child_counts = array("q", [0]) * count
        self._messages = array("q", [-1]) * count
        self._nodes = array("q")
        self._steps = 0

    def _step(self) -> bool:
        """Count a step; true when it is time to rest."""
        self._steps += 1
        if self._steps < PIECE_STEPS:
            return False
        self._steps = 0
        return True

    def place(self, message: int, own: int) -> int:
        """Put the next message under its id; under one that nobody has, when there is none or it is taken."""
        if own < 0 or self._messages[own] >= 0:
            own = len(self.parents)
            self.parents.append(-1)
            self._child_counts.append(0)
            self._messages.append(-1)
        self._messages[own] = message
        self._nodes.append(own)
        return own

    def cut(self, node: int) -> None:
        """Break the link to what is above."""
        if self.parents[node] >= 0:
            self._child_counts[self.parents[node]] -= 1
            self.parents[node] = -1

    def link(self, upper: int, lower: int) -> Steps:
        """Put one without a parent below another, unless that makes a circle."""
        if self._step():
            yield
        if upper == lower:
            return
        if self._child_counts[lower]:  # what has nothing below it cannot be above anything
            node = self.parents[upper]
            while node >= 0:
                if node == lower:
                    return
                node = self.parents[node]
                if self._step():
                    yield
        self.parents[lower] = upper
        self._child_counts[upper] += 1

    def prune(self, above: list[int]) -> Steps:
        """
        Leave out places without a message: what was below goes up.

        But they do not go up to the top, unless it is one alone: several below the same place remain there, and the
        place, the highest one, is numbered from the number of messages on.
        """
        known: dict[int, int] = {}
        kept: dict[int, int] = {}
        for message, node in enumerate(self._nodes):
            found = above[message] = yield from self._find_above(node, len(above), known)
            if found >= len(above):
                kept[found] = kept.get(found, 0) + 1
        for message, found in enumerate(above):
            if self._step():
                yield
            if kept.get(found) == 1:
                above[message] = _ROOT

    def _find_above(self, node: int, count: int, known: dict[int, int]) -> Generator[None, None, int]:
        """Find the next message above, or the highest place without one; what is found is known from then on."""
        path: list[int] = []
        node = self.parents[node]
        while node >= 0 and self._messages[node] < 0 and node not in known:
            path.append(node)
            node = self.parents[node]
            if self._step():
                yield
        if node < 0:
            found = count + path[-1] if path else _ROOT
        else:
            found = known[node] if self._messages[node] < 0 else self._messages[node]
        for each in path:
            known[each] = found
            if self._step():
                yield
        if self._step():
            yield
        return found


def _gather_subjects(order: Sequence[int], data: ThreadData, above: list[int]) -> Steps:
    """REFERENCES, steps (4) and (5): conversations with the same subject become one."""
    count = len(data)
    entries = yield from _top(order, above)
    table = yield from _subject_table(entries, data)
    fresh = max((entry for entry, _ in entries), default=0) + count  # higher than every place there is
    moved: dict[int, int] = {}
    for at, (entry, first) in enumerate(entries):  # (C)
        if not at % PIECE_MESSAGES:
            yield
        base = data.bases[first]
        other = table.get(base, entry)
        if other == entry:
            continue
        if entry >= count:
            moved[entry] = other  # both are places without a message: one of them is enough
        elif other >= count or (data.replies[first] and not data.replies[other]):
            above[entry] = other
        else:
            fresh += 1
            above[entry] = above[other] = table[base] = fresh
    if moved:
        for message, found in enumerate(above):
            if not message % PIECE_MESSAGES:
                yield
            above[message] = moved.get(found, found)


def _subject_table(entries: Sequence[tuple[int, int]], data: ThreadData) -> Generator[None, None, dict[str, int]]:
    """Choose for each subject what the others are put below: a place without a message, or no reply, or the first."""
    count = len(data)
    table: dict[str, int] = {}
    for at, (entry, first) in enumerate(entries):
        if not at % PIECE_MESSAGES:
            yield
        base = data.bases[first]
        if not base:
            continue
        other = table.setdefault(base, entry)
        if other < count and (entry >= count or (data.replies[other] and not data.replies[first])):
            table[base] = entry
    return table


def _top(order: Sequence[int], above: Sequence[int]) -> Generator[None, None, list[tuple[int, int]]]:
    """List what stands at the top, each with its first message, in order of that message's date."""
    count = len(above)
    seen: set[int] = set()
    entries: list[tuple[int, int]] = []
    for at, message in enumerate(order):
        if not at % PIECE_MESSAGES:
            yield
        upper = above[message]
        if upper == _ROOT:
            entries.append((message, message))
        elif upper >= count and upper not in seen:
            seen.add(upper)
            entries.append((upper, message))
    return entries


def _grow(order: Sequence[int], above: Sequence[int]) -> Generator[None, None, Forest]:
    """REFERENCES, step (6): siblings in order of date."""
    entries = yield from _top(order, above)
    eldest: dict[int, int] = {}
    younger: dict[int, int] = {}
    for at, message in enumerate(reversed(order)):
        if not at % PIECE_MESSAGES:
            yield
        upper = above[message]
        if upper != _ROOT:
            if upper in eldest:
                younger[message] = eldest[upper]
            eldest[upper] = message
    return Forest(len(above), [entry for entry, _ in entries], eldest, younger)


def write_forest(forest: Forest, numbers: Sequence[int]) -> Iterator[bytes]:
    """
    Write ``(2)(3 6 (4 23)(44 7 96))`` in small pieces (RFC 5256 section 4).

    Args:
        numbers: of each message, for the client.
    """
    for root in forest.roots:
        pending: list[int] = [root]
        yield b"("
        gap = b""
        while pending:
            node = pending.pop()
            if node == _CLOSE:
                yield b")"
                continue
            if node < 0:  # a sibling follows
                yield b")("
                gap = b""
                node = _SIBLING - node
            if node < forest.count:
                yield b"%b%d" % (gap, numbers[node])
                gap = b" "
            younger = forest.younger.get(node)
            if younger is not None:
                pending.append(_SIBLING - younger)
            child = forest.eldest.get(node)
            if child is None:
                continue
            if child in forest.younger:
                yield gap + b"("
                gap = b""
                pending.append(_CLOSE)
            pending.append(child)
        yield b")"
