"""
Content as BDAT takes it: octets that are counted, so nothing is stuffed and no end is marked.

RFC 3030 section 2.
"""

LINE_END = b"\r\n"


class LineEnds:
    """Makes every line end CRLF, piece by piece, and ends the last line: RFC 5321 section 2.3.8."""

    def __init__(self) -> None:
        self._held_cr = b""  # its LF may follow in the next piece
        self._ended = True

    def encode(self, octets: bytes) -> bytes:
        """Write the next octets."""
        octets = self._held_cr + octets
        self._held_cr = b""
        if octets.endswith(b"\r"):
            octets, self._held_cr = octets[:-1], b"\r"
        if not octets:
            return b""
        ends = octets.count(LINE_END)
        if octets.count(b"\r") != ends or octets.count(b"\n") != ends:
            octets = octets.replace(LINE_END, b"\n").replace(b"\r", b"\n").replace(b"\n", LINE_END)
        self._ended = octets.endswith(LINE_END)
        return octets

    def finish(self) -> bytes:
        """End the last line, if it has not ended."""
        return b"" if self._ended and not self._held_cr else LINE_END


class Verbatim:
    """Leaves binary content as it is: RFC 3030 section 3."""

    @staticmethod
    def encode(octets: bytes) -> bytes:
        """Write the next octets."""
        return octets

    @staticmethod
    def finish() -> bytes:
        """Nothing is left to write."""
        return b""


def encode_chunk(octets: bytes, *, last: bool) -> bytes:
    """Write one BDAT and its octets."""
    return b"BDAT %d%b\r\n%b" % (len(octets), b" LAST" if last else b"", octets)
