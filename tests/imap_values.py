"""What a FETCH answers, read strictly by the grammar of RFC 3501 section 9."""

import re
from collections.abc import Iterator

import attrs

Value = None | int | bytes | list["Value"]

_NUMBER = re.compile(rb"0|[1-9][0-9]*")
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\0\x80-\xff]|\\["\\])*)"')
_LITERAL = re.compile(rb"\{(0|[1-9][0-9]*)\}\r\n")
_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\[\]\x7f-\xff]+(?:\[[^\]\r\n]*\](?:<[0-9]+>)?)?')
NUMBER_MAX = 2**32 - 1


class Reader:
    """Reads values one after the other."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.position = 0

    def value(self) -> Value:
        """Read a string, NIL, a number, or a list of them."""
        stack: list[list[Value]] = [[]]
        while True:
            octets, position = self.octets, self.position
            if octets.startswith(b"(", position):
                self.position += 1
                stack.append([])
                continue
            if octets.startswith(b")", position):
                assert len(stack) > 1, octets[: position + 1]
                self.position += 1
                done = stack.pop()
                stack[-1].append(done)
            else:
                stack[-1].append(self._single())
            if len(stack) == 1:
                return stack[0][0]
            self._between()

    def _between(self) -> None:
        """Pass over the one space between values; there is none between the parts of a multipart or addresses."""
        octets, position = self.octets, self.position
        following = octets[position : position + 1]
        if following == b" ":
            self.position += 1
            assert octets[position + 1 : position + 2] not in {b" ", b")", b""}, octets[position - 40 : position + 40]
        else:
            previous = octets[position - 1 : position]
            joined = following == b"(" and previous == b")"
            assert following == b")" or joined, octets[max(position - 40, 0) : position + 40]

    def _single(self) -> Value:
        octets, position = self.octets, self.position
        if found := _QUOTED.match(octets, position):
            self.position = found.end()
            return re.sub(rb'\\(["\\])', rb"\1", found[1])
        if found := _LITERAL.match(octets, position):
            begin, length = found.end(), int(found[1])
            self.position = begin + length
            text = octets[begin : self.position]
            assert len(text) == length, "a literal is cut"
            assert b"\0" not in text, "NUL in a literal"
            return text
        if octets.startswith(b"NIL", position):
            self.position += 3
            return None
        found = _NUMBER.match(octets, position)
        assert found, octets[position : position + 60]
        self.position = found.end()
        assert int(found[0]) <= NUMBER_MAX
        return int(found[0])

    def atom(self) -> bytes:
        """Read a word, with a section if there is one."""
        found = _ATOM.match(self.octets, self.position)
        assert found, self.octets[self.position : self.position + 60]
        self.position = found.end()
        return found[0]

    def expect(self, octets: bytes) -> None:
        """Pass over these octets, which must be there."""
        assert self.octets.startswith(octets, self.position), (octets, self.octets[self.position : self.position + 60])
        self.position += len(octets)

    def follows(self, octets: bytes) -> bool:
        """Say whether these octets are next."""
        return self.octets.startswith(octets, self.position)


def read_value(octets: bytes) -> Value:
    """Read one value that is all there is."""
    reader = Reader(octets)
    value = reader.value()
    assert reader.position == len(octets), octets[reader.position :][:60]
    return value


def read_fetch(response: bytes) -> dict[bytes, Value]:
    """Read ``* 1 FETCH (...)`` without its line end; flags and dates are not expected in it."""
    reader = Reader(response)
    reader.expect(b"* ")
    reader.atom()
    reader.expect(b" FETCH (")
    items: dict[bytes, Value] = {}
    while True:
        label = reader.atom().upper()
        reader.expect(b" ")
        items[label] = reader.value()
        if reader.follows(b")"):
            break
        reader.expect(b" ")
    reader.expect(b")")
    assert reader.position == len(response), response[reader.position :][:60]
    return items


@attrs.frozen
class Address:
    """``address``."""

    name: bytes | None
    adl: bytes | None
    mailbox: bytes | None
    host: bytes | None


@attrs.frozen
class Envelope:
    """``envelope``."""

    date: bytes | None
    subject: bytes | None
    from_: tuple[Address, ...] | None
    sender: tuple[Address, ...] | None
    reply_to: tuple[Address, ...] | None
    to: tuple[Address, ...] | None
    cc: tuple[Address, ...] | None
    bcc: tuple[Address, ...] | None
    in_reply_to: bytes | None
    message_id: bytes | None


Parameters = tuple[tuple[bytes, bytes], ...] | None


@attrs.frozen(kw_only=True)
class Structure:
    """``body``; what a kind of part does not have is None."""

    main: bytes
    subtype: bytes
    parameters: Parameters = None
    id: bytes | None = None
    description: bytes | None = None
    encoding: bytes | None = None
    size: int | None = None
    lines: int | None = None
    envelope: Envelope | None = None
    children: "tuple[Structure, ...]" = ()
    md5: bytes | None = None
    disposition: tuple[bytes, Parameters] | None = None
    language: tuple[bytes, ...] | None = None
    location: bytes | None = None

    @property
    def is_message(self) -> bool:
        """Whether a message is within."""
        return self.envelope is not None

    def numbered(self) -> "Iterator[tuple[tuple[int, ...], Structure]]":
        """Give each part that has a number (RFC 3501 section 6.4.5), of the message whose structure this is."""
        pending: list[tuple[tuple[int, ...], bool, Structure]] = [((), True, self)]
        while pending:
            path, is_root, part = pending.pop()
            is_multipart = part.main == b"multipart"
            if is_root and not is_multipart:
                path = (*path, 1)
            if not (is_root and is_multipart):
                yield path, part
            if is_multipart:
                pending.extend(((*path, number), False, child) for number, child in enumerate(part.children, 1))
            elif part.is_message:
                pending.append((path, True, part.children[0]))


def _string(value: Value) -> bytes:
    assert isinstance(value, bytes), value
    return value


def _nstring(value: Value) -> bytes | None:
    return None if value is None else _string(value)


def _number(value: Value) -> int:
    assert isinstance(value, int), value
    return value


def _list(value: Value) -> "list[Value]":
    assert isinstance(value, list), value
    return value


def _parameters(value: Value) -> Parameters:
    if value is None:
        return None
    words = [_string(word) for word in _list(value)]
    assert words, "an empty list of parameters"
    assert len(words) % 2 == 0, words
    return tuple(zip(words[::2], words[1::2], strict=True))


def _addresses(value: Value) -> tuple[Address, ...] | None:
    if value is None:
        return None
    assert value, "an empty list of addresses"
    addresses = tuple(Address(*[_nstring(part) for part in _list(address)]) for address in _list(value))
    depth = 0
    for address in addresses:
        if address.host is None:
            depth += 1 if address.mailbox is not None else -1
            assert address.name is address.adl is None
        else:
            assert address.mailbox is not None
        assert depth in {0, 1}, addresses
    assert depth == 0, addresses
    return addresses


def envelope(value: Value) -> Envelope:
    """Check that a value is an envelope."""
    fields = _list(value)
    assert len(fields) == 10, fields
    return Envelope(
        *[_nstring(field) for field in fields[:2]],
        *[_addresses(field) for field in fields[2:8]],
        *[_nstring(field) for field in fields[8:]],
    )


def _disposition(value: Value) -> tuple[bytes, Parameters] | None:
    if value is None:
        return None
    kind, parameters = _list(value)
    return _string(kind), _parameters(parameters)


def _language(value: Value) -> tuple[bytes, ...] | None:
    if isinstance(value, list):
        assert value, "an empty list of languages"
        return tuple(_string(tag) for tag in value)
    return None if value is None else (_string(value),)


def structure(value: Value, *, extended: bool) -> Structure:
    """
    Check that a value is a body, all extension data with it or none.

    Depth is the server's to bound; parts below are read first, so that no depth is too much.
    """
    made: dict[int, Structure] = {}
    order: list[list[Value]] = []
    pending = [_list(value)]
    while pending:
        body = pending.pop()
        order.append(body)
        if isinstance(body[0], list):
            pending.extend(child for child in body if isinstance(child, list) and _is_body(body, child))
        elif _is_message(body):
            pending.append(_list(body[8]))
    for body in reversed(order):
        made[id(body)] = _one(body, made, extended=extended)
    return made[id(value)]


def _is_body(body: "list[Value]", child: Value) -> bool:
    first = next(position for position, value in enumerate(body) if not isinstance(value, list))
    return any(child is value for value in body[:first])


def _is_message(body: "list[Value]") -> bool:
    return (
        _string(body[0]).lower() == b"message"
        and _string(body[1]).lower() in {b"rfc822", b"global"}
        and len(body) > 9
        and isinstance(body[8], list)
    )


def _one(body: "list[Value]", made: dict[int, Structure], *, extended: bool) -> Structure:
    if isinstance(body[0], list):
        count = next(position for position, value in enumerate(body) if not isinstance(value, list))
        further = body[count + 1 :]
        assert len(further) == (4 if extended else 0), further
        return Structure(
            main=b"multipart",
            subtype=_string(body[count]),
            children=tuple(made[id(child)] for child in body[:count]),
            **(
                {
                    "parameters": _parameters(further[0]),
                    "disposition": _disposition(further[1]),
                    "language": _language(further[2]),
                    "location": _nstring(further[3]),
                }
                if extended
                else {}
            ),
        )
    assert len(body) >= 7, body
    main, subtype = _string(body[0]).lower(), _string(body[1]).lower()
    assert main != b"multipart", body
    position = 7
    lines, inner, its_envelope = None, (), None
    if _is_message(body):
        its_envelope = envelope(body[7])
        inner = (made[id(body[8])],)
        lines = _number(body[9])
        position = 10
    elif main == b"text":
        assert len(body) > 7, body
        lines = _number(body[7])
        position = 8
    assert (main, subtype) != (b"message", b"rfc822") or its_envelope is not None, body
    further = body[position:]
    assert len(further) == (4 if extended else 0), further
    return Structure(
        main=_string(body[0]),
        subtype=_string(body[1]),
        parameters=_parameters(body[2]),
        id=_nstring(body[3]),
        description=_nstring(body[4]),
        encoding=_string(body[5]),
        size=_number(body[6]),
        lines=lines,
        envelope=its_envelope,
        children=inner,
        **(
            {
                "md5": _nstring(further[0]),
                "disposition": _disposition(further[1]),
                "language": _language(further[2]),
                "location": _nstring(further[3]),
            }
            if extended
            else {}
        ),
    )
