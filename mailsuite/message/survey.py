"""What the octets of a message ask of a host that is to take them."""

from mailsuite.message.header import first_value, header_extent, parse_fields

LINE_MAX_OCTETS = 998  # RFC 5321 section 4.5.3.1.6, without the CRLF
_WITH_LINE_END = LINE_MAX_OCTETS + 2


class Survey:
    """Looks at a message piece by piece; a few searches for each kibibyte."""

    def __init__(self) -> None:
        self._line_octets = 0  # of the line that the last piece did not end
        self._long_line = False
        self._ends_in_cr = False
        self.eight_bit = False

    @property
    def long_lines(self) -> bool:
        """Whether a line is longer than SMTP allows."""
        return self._long_line or self._line_octets - self._ends_in_cr > LINE_MAX_OCTETS

    def feed(self, octets: bytes) -> None:
        """Look at the next octets."""
        self.eight_bit = self.eight_bit or not octets.isascii()
        if octets and not self._long_line:
            self._measure(octets)
            self._ends_in_cr = octets.endswith(b"\r")

    def _measure(self, octets: bytes) -> None:
        size = len(octets)
        begin = -self._line_octets
        while begin + _WITH_LINE_END <= size:
            end = octets.rfind(b"\n", max(begin, 0), begin + _WITH_LINE_END)
            if end < 0:
                self._long_line = True
                return
            begin = end + 1
        end = octets.rfind(b"\n", max(begin, 0))
        self._line_octets = size - (begin if end < 0 else end + 1)


def has_long_line(octets: bytes) -> bool:
    """Say whether one of the lines is longer than SMTP allows."""
    survey = Survey()
    survey.feed(octets)
    return survey.long_lines


def is_internationalized(beginning: bytes, *, eight_bit: bool) -> bool:
    """
    Say whether header fields of a message may hold UTF-8, at any level (RFC 6532 section 3): it then needs SMTPUTF8.

    Args:
        beginning: the first octets; where they end within the header, or parts follow that have headers of their own,
            they may.
        eight_bit: some octet of the whole message is not ASCII.
    """
    if not eight_bit:
        return False
    end, _ = header_extent(beginning, 0, len(beginning))
    header = beginning[:end]
    if end == len(beginning) or not header.isascii():
        return True
    content_type = (first_value(parse_fields(header), b"content-type") or b"").lower()
    return content_type.startswith((b"multipart/", b"message/"))
