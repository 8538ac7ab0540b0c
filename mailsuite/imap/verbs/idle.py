"""IDLE: changes are told as they happen."""

from mailsuite.imap import commands, responses
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import InputRefused, RawLine

DONE = b"DONE"
LINE_MAX_OCTETS = 1024


async def idle(session: Session, command: commands.Idle) -> Reply:
    """IDLE (RFC 2177 section 3)."""
    connection = session.connection

    async def announce() -> None:
        selected = session.selected
        if session.watching is not None:
            await session.watching.announce(idling=True)
            return
        if selected is not None:
            await selected.synchronise(always=not selected.is_behind)
            if session.selected is selected and selected.on_change is not None:
                connection.write(selected.notices(expunge=True))
                code = selected.take_modseq_code()
                if code:
                    connection.write(responses.untagged(responses.OK, "highest MODSEQ", code))
        await session.tell_annotations(pushing=True)

    connection.write(responses.continuation("idling"))
    connection.assembler.expect_line(LINE_MAX_OCTETS)
    connection.push(announce)
    try:
        event = await connection.next_event()
    finally:
        connection.push(None)
    if isinstance(event, InputRefused):
        raise BadCommandError(event.fault.value, tag=command.tag, close=event.close)
    if not isinstance(event, RawLine) or event.octets.upper() != DONE:
        raise BadCommandError("expected DONE", tag=command.tag)
    return Reply("IDLE completed")
