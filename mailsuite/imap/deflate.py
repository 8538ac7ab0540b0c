"""Octets of a connection that is compressed both ways (RFC 4978, RFC 1951)."""

import zlib

OUTPUT_LEVEL = 3
OUTPUT_WINDOW_BITS = 13
OUTPUT_MEMORY_LEVEL = 6
"""Window and memory of what we write: 64 KiB a connection instead of 256, for a few per cent of the gain."""
INPUT_WINDOW_BITS = 15
"""A client may use all of it: 32 KiB (RFC 4978 section 4)."""
PIECE_OCTETS = 16 * 1024
_FLUSHED = b"\x00\x00\xff\xff"  # ends what was flushed (RFC 1951 section 3.2.4)
_EMPTY_END = b"\x03\x00"  # the last block of a stream, with nothing in it


class DeflateStream:
    """
    Compresses what is written and gives what arrives in pieces, so that a few octets that stand for many are no trap.

    `feed` what arrives, then call `take` until it gives nothing. No piece goes beyond what was flushed, so that the
    stream can be left behind any of them: see `end`.
    """

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(OUTPUT_LEVEL, zlib.DEFLATED, -OUTPUT_WINDOW_BITS, OUTPUT_MEMORY_LEVEL)
        self._inflate = zlib.decompressobj(-INPUT_WINDOW_BITS)
        self._waiting = b""
        self._at = 0
        self._seam = b""
        self._more = False

    def compress(self, octets: bytes) -> bytes:
        """Give octets that say all of it: nothing is kept back."""
        return self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def feed(self, octets: bytes) -> None:
        """Take what arrived."""
        self._waiting = self._waiting[self._at :] + octets
        self._at = 0
        self._more = True

    @property
    def waiting_octets(self) -> int:
        """How much has arrived and was not yet looked at."""
        return len(self._waiting) - self._at

    def take(self) -> bytes:
        """
        Give the next piece of what the client wrote; empty when more has to arrive first.

        Raises:
            ValueError: what arrived is not compressed as it should be, or says that nothing follows.
        """
        piece = b""
        while self._more and not piece:
            piece = self.step()
        return piece

    def step(self) -> bytes:
        """
        Go on to the end of what was flushed next, or of a piece; what that gives may be empty although more is there.

        Raises:
            ValueError: as `take`.
        """
        if self._inflate.eof:
            raise ValueError("the compressed stream has an end")  # RFC 4978 section 3 knows none
        octets = self._waiting[self._at : self._flushed_until()]
        try:
            piece = self._inflate.decompress(octets, PIECE_OCTETS)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        rest = len(self._inflate.unconsumed_tail) + len(self._inflate.unused_data)
        taken = octets[: len(octets) - rest]
        self._seam = (self._seam + taken[-len(_FLUSHED) :])[-len(_FLUSHED) :]
        self._at += len(taken)
        self._more = self.waiting_octets > 0 or len(piece) == PIECE_OCTETS or self._inflate.eof
        return piece

    @property
    def is_flushed(self) -> bool:
        """Whether all of what was flushed last has been taken, so that the stream can be left here."""
        return self._inflate.eof or self._seam == _FLUSHED

    def _flushed_until(self) -> int:
        """Find the end of what was flushed next; without one, of what has arrived."""
        for split in range(1, len(_FLUSHED)):  # the mark may have come in two parts
            if self._seam.endswith(_FLUSHED[:split]) and self._waiting.startswith(_FLUSHED[split:], self._at):
                return self._at + len(_FLUSHED) - split
        found = self._waiting.find(_FLUSHED, self._at)
        return len(self._waiting) if found < 0 else found + len(_FLUSHED)

    def end(self) -> bytes:
        """Leave the stream behind the last piece; give what arrived after it, which is not compressed."""
        rest = self._waiting[self._at :]
        return rest if self._inflate.eof else rest.removeprefix(_EMPTY_END)
