"""SORT and UID SORT."""

from mailsuite.imap import finding_commands, responses
from mailsuite.imap.evaluate import Positions
from mailsuite.imap.progress import Progress
from mailsuite.imap.rows import Row, read_rows
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.sort_grammar import SortKey
from mailsuite.imap.sorting import Value, columns_for, header_value, ordered
from mailsuite.imap.turns import Turns
from mailsuite.imap.verbs.finding import answer, matching
from mailsuite.interfaces import Column
from mailsuite.message.header import parse_fields

_COLUMNS = {SortKey.ARRIVAL: Column.INTERNAL_DATE, SortKey.SIZE: Column.SIZE}


async def sort(session: Session, command: finding_commands.Sort) -> Reply:
    """SORT (RFC 5256 section 3), also extended (RFC 5267 section 3)."""
    return await answer(
        session,
        command,
        lambda turns, progress: _matching_in_order(session, command, turns, progress),
        responses.sort_line,
        phases=2,
    )


async def _matching_in_order(
    session: Session, command: finding_commands.Sort, turns: Turns, progress: Progress
) -> Positions:
    """Find what matches, and order it by what is read of each message; what was expunged meanwhile is left out."""
    selected = session.mailbox
    view = selected.view
    found = await matching(session, command.key, turns, progress)
    uids = [view.uids[position] for position in found]
    known = None if selected.is_behind else selected.remembered.order(command.criteria, uids)
    if known is not None:
        places = dict(zip(uids, found, strict=True))
        return [places[uid] for uid in known]
    columns = columns_for(command.criteria)
    values: list[list[Value]] = [[] for _ in command.criteria]
    positions: Positions = []

    def take(row: Row) -> None:
        known = dict(zip(columns, row[1:], strict=True))
        fields = parse_fields(known[Column.HEADER]) if Column.HEADER in known else ()
        positions.append(view.index(row[0]))
        for criterion, column in zip(command.criteria, values, strict=True):
            plain = _COLUMNS.get(criterion.key)
            if plain is None:
                column.append(header_value(criterion.key, fields, known.get(Column.INTERNAL_DATE, 0)))
            else:
                column.append(known[plain])

    await read_rows(selected.mailbox, uids, columns, turns, take, progress)
    reverses = [criterion.reverse for criterion in command.criteria]
    order = await turns.run(ordered(list(zip(values, reverses, strict=True)), len(positions)))
    in_order = [positions[index] for index in order]
    selected.remembered.note_order(command.criteria, [view.uids[position] for position in in_order])
    return in_order
