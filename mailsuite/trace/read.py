"""What a message went through, read back: in order, and in words."""

import datetime as dt
import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from mailsuite.durable import Database, Disk, Synchronous
from mailsuite.trace.entries import fold
from mailsuite.trace.files import Part, TraceFolder, day_of
from mailsuite.trace.record import Recorder
from mailsuite.trace.statements import Entry, Kind, find_events, find_named, find_recent
from mailsuite.trace.words import ACCEPTED, FINAL, LATER, REPORT_QUEUED, state_of, words_of

FOUND_MAX = 500
MESSAGES_MAX = 100
"""So many messages one Message-ID leads to."""

T = TypeVar("T")
Row = dict[str, Any]


@attrs.frozen(kw_only=True)
class Search:
    """
    Which messages are looked for.

    Args:
        recipient: address; empty for any.
        sender: likewise; ``<>`` is the null reverse-path.
        since: seconds since the epoch.
    """

    recipient: str = ""
    sender: str = ""
    since: float = 0.0


class Trace:
    """
    The trace of a server, also of one that does not run. Methods block; each reads the files as they are.

    Args:
        recorder: of this process, if it has one: what waits there is written or looked through as well.

    Attributes:
        unreadable: files that the last call had to leave out, each with the reason.
    """

    def __init__(self, folder: str, disk: Disk, recorder: Recorder | None = None) -> None:
        self._folder = TraceFolder(folder, disk)
        self._disk = disk
        self._recorder = recorder
        self.unreadable: dict[str, str] = {}

    def story(self, name: str) -> list[Row]:
        """
        Tell what happened to a message, in order; nothing when it is not known, or forgotten.

        A report about it is told of as well. Several messages may carry one Message-ID.

        Args:
            name: a queue id, or a Message-ID with or without its angle brackets.
        """
        name = name.strip()
        message_id = name if name.startswith("<") else f"<{name}>"
        waiting = self._flush()

        names = {(Kind.MESSAGE_ID, message_id), (Kind.REPORT, name.upper())}

        def named(connection: sqlite3.Connection) -> dict[str, float]:
            return {
                queue_id: last
                for kind, each in names
                for queue_id, last in find_named(connection, kind, each, 0.0).items()
            }

        known = {entry.queue_id: entry.time for entry in waiting if names & set(entry.names)}
        for found in self._each(named):
            known |= found
        queue_ids = {name.upper(), *sorted(known, key=lambda queue_id: -known[queue_id])[:MESSAGES_MAX]}
        entries = self._events(queue_ids, waiting)
        reports = {_report_of(entry) for entry in entries if entry.name == REPORT_QUEUED} - queue_ids - {""}
        if reports:
            entries += self._events(reports, waiting)
        return in_order([_row(entry) for entry in entries])

    def search(self, search: Search) -> list[Row]:
        """List messages, the newest first: what became of each in a few words."""
        waiting = self._flush()
        found: dict[str, float] = {}
        for each in self._each(lambda connection: _find(connection, search), day_of(search.since)):
            for queue_id, last in each.items():
                found[queue_id] = max(last, found.get(queue_id, 0.0))
        for entry in waiting:
            if _fits(entry, search):
                found[entry.queue_id] = entry.time
        newest = sorted(found, key=lambda queue_id: -found[queue_id])[:FOUND_MAX]
        by_message: dict[str, list[Entry]] = {}
        for entry in self._events(newest, waiting):
            by_message.setdefault(entry.queue_id, []).append(entry)
        rows = [_summary([_row(entry) for entry in entries]) for entries in by_message.values()]
        return sorted(rows, key=lambda row: str(row["time"]), reverse=True)

    def _flush(self) -> Sequence[Entry]:
        self.unreadable = {}
        return () if self._recorder is None else self._recorder.flush()

    def _events(self, queue_ids: Collection[str], waiting: Sequence[Entry]) -> list[Entry]:
        entries: list[Entry] = []
        for found in self._each(lambda connection: find_events(connection, queue_ids)):
            entries.extend(found)
        entries.extend(entry for entry in waiting if entry.queue_id in queue_ids)
        return entries

    def _each(self, look: Callable[[sqlite3.Connection], T], first_day: str = "") -> Iterator[T]:
        for part in self._parts():
            if part.day >= first_day:
                try:
                    found = self._look(part, look)
                except FileNotFoundError:
                    continue  # its time had come
                except (sqlite3.Error, OSError) as error:
                    self.unreadable[part.file_name] = str(error)
                    continue
                if found is not None:
                    yield found

    def _parts(self) -> Sequence[Part]:
        try:
            return self._folder.parts()
        except OSError as error:
            self.unreadable[self._folder.path] = str(error)
            return ()

    def _look(self, part: Part, look: Callable[[sqlite3.Connection], T]) -> T | None:
        path = self._folder.path_of(part)
        database = Database(path, self._disk, synchronous=Synchronous.NORMAL, make=False)
        try:
            with database.reading() as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                return look(connection) if version else None  # at this moment somebody begins it
        finally:
            database.close()


def _find(connection: sqlite3.Connection, search: Search) -> dict[str, float]:
    wanted = [
        find_named(connection, kind, fold(address), search.since)
        for kind, address in ((Kind.RECIPIENT, search.recipient), (Kind.SENDER, search.sender))
        if address
    ]
    if not wanted:
        return find_recent(connection, search.since, FOUND_MAX)
    found = wanted[0]
    for more in wanted[1:]:
        found = {queue_id: last for queue_id, last in found.items() if queue_id in more}
    return found


def _fits(entry: Entry, search: Search) -> bool:
    wanted = {
        (kind, fold(address))
        for kind, address in ((Kind.RECIPIENT, search.recipient), (Kind.SENDER, search.sender))
        if address
    }
    return entry.time >= search.since and wanted <= set(entry.names)


def _report_of(entry: Entry) -> str:
    return str(json.loads(entry.fields).get("report", "")).upper()


def _row(entry: Entry) -> Row:
    fields = json.loads(entry.fields)
    peer = fields.pop("peer", "")
    return {
        "time": dt.datetime.fromtimestamp(entry.time, dt.UTC).isoformat(timespec="milliseconds"),
        "event": entry.name,
        "queue_id": entry.queue_id,
        "peer": peer,
        "text": words_of(entry.name, {**fields, "peer": peer, "queue_id": entry.queue_id}),
        "fields": fields,
    }


def in_order(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Put rows of `Trace.story` in order, also those of several processes: message by message, the oldest first."""
    begun: dict[str, str] = {}
    for row in rows:
        begun[row["queue_id"]] = min(row["time"], begun.get(row["queue_id"], row["time"]))

    def place(row: Mapping[str, Any]) -> tuple[str, str, bool, str]:
        # Delivery may be faster than the note that the message was accepted.
        queue_id = row["queue_id"]
        return begun[queue_id], queue_id, row["event"].startswith(LATER), row["time"]

    return [dict(row) for row in sorted(rows, key=place)]


def _summary(rows: Sequence[Row]) -> Row:
    rows = in_order(rows)
    sender = ""
    states: dict[str, str] = {}  # of each recipient, in a word
    overall = ""
    for row in rows:
        fields = row["fields"]
        sender = str(fields.get("sender") or sender)
        word = state_of(row["event"])
        if "recipient" in fields:
            states[str(fields["recipient"])] = word
            continue
        for each in fields.get("recipients", ()):
            states.setdefault(str(each), "")
        overall = word or overall
        if word and row["event"] != ACCEPTED:
            states = {each: state if state in FINAL else word for each, state in states.items()}
    words = dict.fromkeys(word for word in states.values() if word) or {overall: None}
    return {
        "time": rows[0]["time"],
        "queue_id": rows[0]["queue_id"],
        "sender": sender,
        "recipients": list(states),
        "state": ", ".join(words),
        "text": rows[-1]["text"],
    }
