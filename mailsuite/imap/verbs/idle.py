"""IDLE: changes are told as they happen, until the client says DONE (RFC 2177 section 3)."""

from mailsuite.imap import commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import InputRefused, RawLine

DONE = b"DONE"
LINE_MAX_OCTETS = 1024


def begin_idle(session: Session, command: commands.Idle) -> None:
    """Let the client idle: nothing waits for it meanwhile, so that who idles for hours costs little."""
    session.connection.write(responses.continuation("idling"))
    session.connection.assembler.expect_line(LINE_MAX_OCTETS)
    session.idling = command.tag


async def end_idle(event: RawLine | InputRefused, tag: bytes) -> Reply:
    """Answer IDLE when the client has said something."""
    if isinstance(event, InputRefused):
        raise BadCommandError(event.fault.value, tag=tag, close=event.close)
    if event.octets.upper() != DONE:
        raise BadCommandError("expected DONE", tag=tag)
    return Reply("IDLE completed")
