"""What a client sends while COMPRESS is active, on its way to the assembler (RFC 4978, RFC 8437 section 4.1)."""

from mailsuite.imap.capabilities import UNAUTHENTICATE
from mailsuite.imap.deflate import DeflateStream
from mailsuite.imap.wire import CommandAssembler

READ_AHEAD_MAX_OCTETS = 128 * 1024  # of what waits while a command runs


class CompressedInput:
    """
    Inflates as much as may wait.

    Behind UNAUTHENTICATE nothing may be compressed: what may hold it is used up before more is inflated.

    Args:
        assembler: gets what the client wrote.

    Attributes:
        stream: both ways of the connection.
    """

    def __init__(self, assembler: CommandAssembler) -> None:
        self.stream = DeflateStream()
        self._assembler = assembler
        self._held = False
        self._said = b""

    @property
    def waiting_octets(self) -> int:
        """How much has arrived and was not inflated."""
        return self.stream.waiting_octets

    def feed(self, octets: bytes) -> None:
        """Take what arrived. Raises ValueError: it cannot be inflated."""
        self.stream.feed(octets)
        if not self._held:
            self._inflate()

    def go_on(self) -> bool:
        """
        Inflate more, since what was inflated is used up; say whether there was any.

        Raises:
            ValueError: it cannot be inflated.
        """
        self._held = False
        before = self._assembler.buffered_octets
        self._inflate()
        return self._assembler.buffered_octets > before

    def _inflate(self) -> None:
        while self._assembler.buffered_octets <= READ_AHEAD_MAX_OCTETS and (octets := self.stream.take()):
            self._assembler.feed(octets)
            said = self._said + octets.upper()
            self._said = said[1 - len(UNAUTHENTICATE) :]
            if UNAUTHENTICATE in said:
                self._held = True
                return

    def hold(self) -> None:
        """Inflate no more than `read_on` asks for."""
        self._held = True

    def read_on(self) -> bool:
        """
        Go on to the end of what the client flushed last; say whether more must arrive for it.

        One that flushes in another way than with an empty block never comes there.
        """
        while not self.stream.is_flushed:
            if not self.stream.waiting_octets:
                return True
            if self._assembler.buffered_octets > READ_AHEAD_MAX_OCTETS:
                return False  # that is no command and its end
            try:
                self._assembler.feed(self.stream.step())
            except ValueError:
                return False  # it is not compressed
        return False

    def end(self) -> None:
        """Give the assembler what arrived behind the compressed octets."""
        self._assembler.feed(self.stream.end())
