"""THREAD and UID THREAD."""

from collections.abc import Sequence

from mailsuite.imap import finding_commands, responses
from mailsuite.imap.progress import Progress, telling
from mailsuite.imap.rows import Row, read_rows
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.threads import Forest, ThreadData, make_forest, write_forest
from mailsuite.imap.turns import OverdueError
from mailsuite.imap.verbs.finding import TOO_LONG, matching, turns_of
from mailsuite.interfaces import Column
from mailsuite.message.header import parse_fields

WRITE_OCTETS = 128 * 1024


async def thread(session: Session, command: finding_commands.Thread) -> Reply:
    """THREAD (RFC 5256 section 3)."""
    selected = session.mailbox
    view = selected.view
    turns = turns_of(session)
    data = ThreadData()
    numbers: list[int] = []

    def take(row: Row) -> None:
        uid, internal_date, header = row
        numbers.append(uid if command.uid else view.sequence_number(uid))
        data.add(parse_fields(header), internal_date, command.algorithm)

    progress = Progress(phases=2)
    try:
        with telling(session, command.tag, progress):
            uids = [view.uids[position] for position in await matching(session, command.key, turns, progress)]
            shown = uids if command.uid else view.sequence_numbers(uids)
            line = b"" if selected.is_behind else selected.remembered.threads(command.algorithm, uids, shown)
            if line:
                session.connection.write(line)
                return Reply("THREAD completed", code=responses.EXPUNGEISSUED if view.has_gone else b"")
            await read_rows(selected.mailbox, uids, (Column.INTERNAL_DATE, Column.HEADER), turns, take, progress)
            forest = await turns.run(make_forest(command.algorithm, data))
    except OverdueError:
        return TOO_LONG
    await selected.synchronise(always=True)  # RFC 5530 section 3: what somebody else expunged is not among the answers
    line = await _write(session, forest, numbers)
    if line and len(numbers) == len(uids):
        selected.remembered.note_threads(command.algorithm, uids, numbers, line)
    return Reply("THREAD completed", code=responses.EXPUNGEISSUED if view.has_gone else b"")


async def _write(session: Session, forest: Forest, numbers: Sequence[int]) -> bytes:
    """Write one line, as long as it is, at the client's pace; give it when it is short."""
    connection = session.connection
    pieces = [b"* THREAD " if forest.roots else b"* THREAD"]
    octets = 0
    whole = True
    for piece in write_forest(forest, numbers):
        pieces.append(piece)
        octets += len(piece)
        if octets >= WRITE_OCTETS:
            connection.write(b"".join(pieces))
            pieces.clear()
            octets = 0
            await connection.drained()
            await connection.sleep(0)
            whole = False
    line = b"".join((*pieces, b"\r\n"))
    connection.write(line)
    return line if whole else b""
