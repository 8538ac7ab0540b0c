"""What a client sends, as the assembler hands it to a grammar."""

from mailsuite.imap.wire import AFTER_LOGIN, CommandAssembler, CommandReceived, ContinuationNeeded


def assemble(data, step=0):
    """Give the pieces of one whole command; it arrives at once, or so many octets at a time."""
    assembler = CommandAssembler(AFTER_LOGIN)
    for start in range(0, len(data), step or len(data)):
        assembler.feed(data[start : start + (step or len(data))])
        while isinstance(event := assembler.next_event(), ContinuationNeeded):
            pass
    assert isinstance(event, CommandReceived)
    return event.pieces
