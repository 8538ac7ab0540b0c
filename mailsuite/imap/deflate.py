"""Octets of a connection that is compressed both ways (RFC 4978, RFC 1951)."""

import zlib

OUTPUT_LEVEL = 3
OUTPUT_WINDOW_BITS = 13
OUTPUT_MEMORY_LEVEL = 6
"""Window and memory of what we write: 64 KiB a connection instead of 256, for a few per cent of the gain."""
INPUT_WINDOW_BITS = 15
"""A client may use all of it: 32 KiB (RFC 4978 section 4)."""
PIECE_OCTETS = 16 * 1024


class DeflateStream:
    """
    Compresses what is written and gives what arrives in pieces, so that a few octets that stand for many are no trap.

    `feed` what arrives, then call `take` until it gives nothing.
    """

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(OUTPUT_LEVEL, zlib.DEFLATED, -OUTPUT_WINDOW_BITS, OUTPUT_MEMORY_LEVEL)
        self._inflate = zlib.decompressobj(-INPUT_WINDOW_BITS)
        self._waiting = b""
        self._more = False

    def compress(self, octets: bytes) -> bytes:
        """Give octets that say all of it: nothing is kept back."""
        return self._deflate.compress(octets) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def feed(self, octets: bytes) -> None:
        """Take what arrived."""
        self._waiting += octets
        self._more = True

    @property
    def waiting_octets(self) -> int:
        """How much has arrived and was not yet looked at."""
        return len(self._waiting)

    def take(self) -> bytes:
        """
        Give the next piece of what the client wrote; empty when more has to arrive first.

        Raises:
            ValueError: what arrived is not compressed as it should be, or says that nothing follows.
        """
        if not self._more:
            return b""
        try:
            piece = self._inflate.decompress(self._waiting, PIECE_OCTETS)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if self._inflate.eof:
            raise ValueError("the compressed stream has an end")  # RFC 4978 section 3 knows none
        self._waiting = self._inflate.unconsumed_tail
        self._more = bool(self._waiting) or len(piece) == PIECE_OCTETS
        return piece
