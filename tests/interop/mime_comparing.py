"""Two servers' answers about the same message, value by value."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs
from imap_values import Address, Envelope, Structure, Value, envelope, read_fetch, structure

from .imap_wire import Wire

SECTIONS_AT_ONCE = 60
PARTS_MAX = 60
"""Of a message with more parts so many from the beginning, and as many from the end, are looked at."""

ALWAYS = (
    b"[HEADER]",
    b"[TEXT]",
    b"[]",
    b"[]<0.10>",
    b"[]<5.100000>",
    b"[]<100000000.10>",
    b"[HEADER]<3.7>",
    b"[TEXT]<0.10>",
    b"[TEXT]<1.5>",
    b"[HEADER.FIELDS (SUBJECT TO X-ABSENT)]",
    b"[HEADER.FIELDS (SUBJECT TO X-ABSENT)]<2.9>",
    b"[HEADER.FIELDS.NOT (SUBJECT TO)]",
    b"[HEADER.FIELDS (CONTENT-TYPE X-LONG RECEIVED)]",
    b"[1]",
    b"[1]<0.10>",
    b"[1]<4.100000>",
    b"[1]<100000000.10>",
    b"[1.MIME]",
    b"[1.HEADER]",
    b"[1.TEXT]",
    b"[1.HEADER.FIELDS (SUBJECT)]",
    b"[1.HEADER.FIELDS.NOT (SUBJECT)]",
    b"[1.1]",
    b"[1.1.MIME]",
    b"[1.2.MIME]",
    b"[2]",
    b"[2.MIME]",
    b"[2.HEADER]",
    b"[2.1]",
    b"[99]",
)


@attrs.frozen
class Difference:
    """
    What two servers say differently.

    Args:
        item: an attribute or a section, then what of it: ``BODYSTRUCTURE 1.2 size``.
        number: of the part it is about; of a message's own multipart, empty.
        parts: the structures or addresses that both have there.
    """

    item: str
    ours: object
    theirs: object
    number: tuple[int, ...] = ()
    parts: tuple[Structure, Structure] | tuple[Address, Address] | None = None

    @property
    def what(self) -> str:
        """The last word of the item."""
        return self.item.rpartition(" ")[2]

    @property
    def section(self) -> str:
        """What stands between the brackets; empty when it is no section."""
        return self.item[5:].partition("]")[0] if self.item.startswith("BODY[") else ""


def sections_of(*structures: Structure) -> list[bytes]:
    """Name everything that can be asked of a message with either of these structures."""
    found: dict[bytes, None] = dict.fromkeys(ALWAYS)
    for whole in structures:
        parts = sorted(whole.numbered(), key=lambda entry: entry[0])
        if len(parts) > 2 * PARTS_MAX:
            parts = [*parts[:PARTS_MAX], *parts[-PARTS_MAX:]]
        for path, part in parts:
            number = b".".join(b"%d" % step for step in path)
            found.update(dict.fromkeys(b"[%b%b]" % (number, kind) for kind in (b"", b".MIME")))
            if part.is_message:
                kinds = (b".HEADER", b".TEXT", b".HEADER.FIELDS (SUBJECT FROM)", b".HEADER.FIELDS.NOT (SUBJECT)")
                found.update(dict.fromkeys(b"[%b%b]" % (number, kind) for kind in kinds))
    return list(found)


def ask(wire: Wire, number: int, items: Sequence[bytes]) -> dict[bytes, Value]:
    """Fetch items, some at a time."""
    answers: dict[bytes, Value] = {}
    for start in range(0, len(items), SECTIONS_AT_ONCE):
        answers.update(read_fetch(wire.fetch(number, items[start : start + SECTIONS_AT_ONCE])))
    return answers


def compare(ours: Wire, theirs: Wire, number: int) -> Iterator[Difference]:
    """Compare all that the two say about a message."""
    attributes = (b"RFC822.SIZE", b"ENVELOPE", b"BODY", b"BODYSTRUCTURE")
    mine, other = (ask(wire, number, attributes) for wire in (ours, theirs))
    if mine[b"RFC822.SIZE"] != other[b"RFC822.SIZE"]:
        yield Difference("RFC822.SIZE", mine[b"RFC822.SIZE"], other[b"RFC822.SIZE"])
    yield from compare_envelopes("ENVELOPE", envelope(mine[b"ENVELOPE"]), envelope(other[b"ENVELOPE"]))
    both = []
    for name, extended in ((b"BODY", False), (b"BODYSTRUCTURE", True)):
        both = [structure(answers[name], extended=extended) for answers in (mine, other)]
        yield from compare_structures(name.decode(), *both)
    sections = [b"BODY.PEEK" + section for section in sections_of(*both)]
    mine, other = (ask(wire, number, sections) for wire in (ours, theirs))
    assert mine.keys() == other.keys(), mine.keys() ^ other.keys()
    for label, octets in mine.items():
        if octets != other[label]:
            steps = re.match(rb"BODY\[([0-9.]*)", label)
            assert steps is not None
            number = tuple(int(step) for step in steps[1].split(b".") if step)
            yield Difference(label.decode(), octets, other[label], number)


def _lower(value: bytes | None) -> bytes | None:
    return None if value is None else value.lower()


def _parameters(value: Iterable[tuple[bytes, bytes]] | None) -> object:
    """Names in any case, in any order (RFC 2045 section 5.1)."""
    return None if value is None else sorted((name.lower(), text) for name, text in value)


def compare_envelopes(
    item: str, ours: Envelope, theirs: Envelope, number: tuple[int, ...] = ()
) -> Iterator[Difference]:
    """Compare field by field, and of addresses each."""
    for field in attrs.fields(Envelope):
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if mine == other:
            continue
        if isinstance(mine, tuple) and isinstance(other, tuple) and len(mine) == len(other):
            for count, (one, two) in enumerate(zip(mine, other, strict=True)):
                for piece in attrs.fields(Address):
                    values = getattr(one, piece.name), getattr(two, piece.name)
                    if values[0] != values[1]:
                        yield Difference(f"{item} {field.name} {count} {piece.name}", *values, number, (one, two))
        else:
            yield Difference(f"{item} {field.name}", mine, other, number)


SIMPLE: dict[str, Callable[..., object]] = {
    "main": _lower,
    "subtype": _lower,
    "parameters": _parameters,
    "id": bytes,
    "description": bytes,
    "encoding": _lower,
    "size": int,
    "lines": int,
    "md5": bytes,
    "language": lambda tags: [tag.lower() for tag in tags],
    "location": bytes,
}


def compare_structures(item: str, ours: Structure, theirs: Structure) -> Iterator[Difference]:
    """Compare part by part, as far as there are the same."""
    pending = [((), True, ours, theirs)]
    while pending:
        path, is_message, mine, other = pending.pop()
        both = (mine, other)
        if is_message and not path and b"multipart" not in {mine.main.lower(), other.main.lower()}:
            path = (1,)
        where = f"{item} {'.'.join(map(str, path)) or '-'}"
        for name, normal in SIMPLE.items():
            values = [getattr(part, name) for part in both]
            values = [None if value is None else normal(value) for value in values]
            if values[0] != values[1]:
                yield Difference(f"{where} {name}", *values, path, both)
        dispositions = [
            part.disposition and (part.disposition[0].lower(), _parameters(part.disposition[1])) for part in both
        ]
        if dispositions[0] != dispositions[1]:
            yield Difference(f"{where} disposition", *dispositions, path, both)
        if mine.is_message != other.is_message:
            yield Difference(f"{where} message", mine.is_message, other.is_message, path, both)
            continue
        if mine.envelope is not None and other.envelope is not None:
            yield from compare_envelopes(f"{where} envelope", mine.envelope, other.envelope, path)
            inner = (mine.children[0], other.children[0])
            below = path if b"multipart" in {part.main.lower() for part in inner} else (*path, 1)
            pending.append((below, False, *inner))
            continue
        if len(mine.children) != len(other.children):
            yield Difference(f"{where} parts", len(mine.children), len(other.children), path, both)
        pending.extend(
            ((*path, count), False, one, two)
            for count, (one, two) in enumerate(zip(mine.children, other.children, strict=False), 1)
        )
