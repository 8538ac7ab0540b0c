"""What must hold of every message, however broken: what IMAP says of it is well-formed, and true to the octet."""

import re

from imap_values import Structure, envelope, read_value, structure

from mailsuite.imap.fetch_grammar import BodySection, SectionText
from mailsuite.imap.sections import answer, cached_fields, from_content, is_cached
from mailsuite.message.header import header_extent
from mailsuite.message.mime import DEPTH_MAX, PARTS_MAX
from mailsuite.message.summary import summarize, summarize_with_parts

PARTS_LOOKED_AT_MAX = 300
SMALL_OCTETS = 50_000
NAMES = frozenset((b"subject", b"from", b"content-type"))
UNCACHED = frozenset((b"subject", b"x-absent"))
RANGES = ((0, 10), (3, 7), (1, 2**32 - 1), (10**9, 5))


def section(
    path: tuple[int, ...], text: SectionText, fields: frozenset[bytes] = frozenset(), **cut: int
) -> BodySection:
    """Name a section."""
    return BodySection(label=b"BODY[]", part=path, text=text, fields=fields, **cut)  # type: ignore[arg-type]


class Fetched:
    """A message, of which sections can be fetched."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.summary, self._parts = summarize_with_parts(content)
        self.is_within_limits = len(content) < SMALL_OCTETS and content.count(b"\n") < DEPTH_MAX

    def __call__(
        self, path: tuple[int, ...], text: SectionText, fields: frozenset[bytes] = frozenset(), **cut: int
    ) -> bytes | None:
        """Fetch a section; its answer must be a literal of the right length, or NIL."""
        wanted = section(path, text, fields, **cut)
        if is_cached(wanted):
            octets: bytes | None = cached_fields(self.summary.header, wanted)
        else:
            octets = from_content(self.content, lambda: self._parts, wanted)
        expected = b"BODY[] NIL" if octets is None else b"BODY[] {%d}\r\n" % len(octets)
        assert answer(wanted, octets).startswith(expected)
        return octets


def check_message(content: bytes) -> Structure:
    """Check all that must hold; give the structure."""
    fetch = Fetched(content)
    summary = fetch.summary
    its_envelope = envelope(read_value(summary.envelope))
    body = structure(read_value(summary.body), extended=False)
    whole = structure(read_value(summary.bodystructure), extended=True)
    assert _without_extensions(whole) == body
    assert summary.size == len(content)
    assert summary.header[-1:] in {b"", b"\n"}
    _check_halves(fetch, (), content)
    _check_picking(fetch, (), content)
    numbered = list(whole.numbered())
    assert len(numbered) <= PARTS_MAX
    assert len(numbered) == len({path for path, _ in numbered})
    assert max(len(path) for path, _ in numbered) <= DEPTH_MAX
    for path, part in numbered[:PARTS_LOOKED_AT_MAX]:
        _check_part(fetch, path, part)
    last = max(path[0] for path, _ in numbered)
    for absent in ((last + 1,), (0,), (*numbered[0][0], 10**6)):
        assert fetch(absent, SectionText.ALL) is None
    assert its_envelope.from_ is None or None not in {its_envelope.sender, its_envelope.reply_to}
    return whole


def _without_extensions(part: Structure) -> Structure:
    """Read again what BODY is of BODYSTRUCTURE, from the deepest part upwards."""
    order = [part]
    for each in order:
        order.extend(each.children)
    made: dict[int, Structure] = {}
    for each in reversed(order):
        values = {
            name: getattr(each, name)
            for name in ("main", "subtype", "parameters", "id", "description", "encoding", "size", "lines", "envelope")
        }
        if each.main == b"multipart":
            values["parameters"] = None
        made[id(each)] = Structure(children=tuple(made[id(child)] for child in each.children), **values)
    return made[id(part)]


def _check_part(fetch: Fetched, path: tuple[int, ...], part: Structure) -> None:
    octets = fetch(path, SectionText.ALL)
    assert octets is not None, path
    assert (part.main, part.subtype) != (b"message", b"global") or part.is_message  # RFC 9051 section 9
    mime = fetch(path, SectionText.MIME)
    assert mime is not None
    if len(path) > 1 or fetch(path, SectionText.MIME) != fetch((), SectionText.HEADER):
        assert mime + octets in fetch.content
    for start, length in RANGES:
        assert fetch(path, SectionText.ALL, offset=start, length=length) == octets[start : start + length]
    if part.size is not None:
        assert part.size == len(octets), path
    if part.lines is not None:
        assert part.lines == octets.count(b"\n"), path
    if not part.is_message:
        assert fetch(path, SectionText.HEADER) is None
        assert fetch(path, SectionText.TEXT) is None
        if part.main != b"multipart":
            assert fetch((*path, 1), SectionText.ALL) is None
        return
    _check_halves(fetch, path, octets)
    _check_picking(fetch, path, octets)
    if fetch.is_within_limits:  # by itself it is the same message
        alone = summarize(octets)
        assert envelope(read_value(alone.envelope)) == part.envelope
        assert structure(read_value(alone.bodystructure), extended=True) == part.children[0]


def _check_halves(fetch: Fetched, path: tuple[int, ...], message: bytes) -> None:
    """Check that a message is its header, which ends with the first empty line, and its text."""
    header, text = fetch(path, SectionText.HEADER), fetch(path, SectionText.TEXT)
    assert header is not None
    assert text is not None
    assert header + text == message
    if text:
        assert header.endswith((b"\n\r\n", b"\n\n")) or header in {b"\r\n", b"\n"}
    for start, length in RANGES:
        assert fetch(path, SectionText.TEXT, offset=start, length=length) == text[start : start + length]
        assert fetch(path, SectionText.HEADER, offset=start, length=length) == header[start : start + length]


def _check_picking(fetch: Fetched, path: tuple[int, ...], message: bytes) -> None:
    """Check that each field is either among those picked or among the others, and that an empty line ends both."""
    header = message[: header_extent(message, 0, len(message))[0]]
    for names in (NAMES, UNCACHED):
        picked = fetch(path, SectionText.HEADER_FIELDS, names)
        others = fetch(path, SectionText.HEADER_FIELDS_NOT, names)
        assert picked is not None
        assert others is not None
        assert all(octets == b"\r\n" or octets.endswith(b"\n\r\n") for octets in (picked, others))
        assert fetch(path, SectionText.HEADER_FIELDS, names, offset=2, length=9) == picked[2:11]
        for octets, wanted in ((picked, True), (others, False)):
            fields = re.findall(rb"(?m)^([!-9;-~]+)[ \t]*:", octets)
            assert all((name.lower() in names) is wanted for name in fields)
            assert len(octets) <= len(header) + 4
