"""What the running server tells an operator: commands that look, and the few that act on what was seen."""

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

import attrs

from mailsuite.directory import Directory
from mailsuite.errors import Kind, MailError
from mailsuite.mta import QueueEntry, QueueService
from mailsuite.service.control import Command
from mailsuite.service.listeners import Listeners
from mailsuite.trace import Search, Trace

TRACE_OFF = "no trace is kept: trace.days is 0"


@attrs.frozen
class Inspection:
    """
    Commands of one server, beside `ServerCommands`.

    Args:
        messages: what happened to each; None when none is kept.
        in_thread: does what blocks, and gives its result.
    """

    directory: Directory
    queue: QueueService | None
    listeners: Listeners
    messages: Trace | None
    in_thread: Callable[[Callable[[], object]], Awaitable[object]]

    def table(self) -> Mapping[str, Command]:
        """Name the commands."""
        return {
            "sessions": self.sessions,
            "session.end": self.end_session,
            "accounts": self.accounts,
            "domains": self.domains,
            "queue.list": self.list_queue,
            "queue.pauses": self.list_pauses,
            "trace": self.trace,
            "trace.search": self.search,
        }

    async def sessions(self, _request: Mapping[str, object]) -> object:
        """List the open connections."""
        return self.listeners.sessions()

    async def end_session(self, request: Mapping[str, object]) -> object:
        """End one connection."""
        session = str(request.get("id"))
        if not self.listeners.end_session(session):
            raise MailError(Kind.NOT_FOUND, f"there is no session {session}")
        return {"id": session}

    async def accounts(self, _request: Mapping[str, object]) -> object:
        """List the accounts, each with how many of its connections are open."""
        open_ = Counter(str(row["account"]) for row in self.listeners.sessions())
        return [
            {
                "address": account.email,
                "enabled": account.enabled,
                "administrator": account.admin,
                "quota_octets": account.quota_octets,
                "sessions": open_[account.email],
            }
            for account in await self.directory.list_accounts()
        ]

    async def domains(self, _request: Mapping[str, object]) -> object:
        """List the domains."""
        return [
            {
                "domain": info.name,
                "accounts": info.accounts,
                "aliases": info.aliases,
                "stands_for": info.alias_of,
                "catch_all": info.catch_all,
            }
            for info in await self.directory.list_domains()
        ]

    async def list_queue(self, _request: Mapping[str, object]) -> object:
        """List the recipients that wait, of the oldest messages first."""
        if self.queue is None:
            return []
        return [row for entry in await self.queue.list() for row in _queue_rows(entry)]

    async def list_pauses(self, _request: Mapping[str, object]) -> object:
        """List the destinations that are left alone for a while."""
        if self.queue is None:
            return []
        return [
            {
                "destination": pause.destination,
                "until": dt.datetime.fromtimestamp(pause.until, dt.UTC).isoformat(timespec="seconds"),
                "failures": pause.failures,
                "reason": pause.words,
            }
            for pause in self.queue.pauses()
        ]

    async def trace(self, request: Mapping[str, object]) -> object:
        """Tell what happened to a message."""
        name = str(request.get("id"))
        trace = self._kept()
        found = await self.in_thread(lambda: trace.story(name))
        if not found:
            raise MailError(Kind.NOT_FOUND, unknown_message(name))
        return found

    async def search(self, request: Mapping[str, object]) -> object:
        """List messages of a sender, to a recipient, since a moment."""
        search = read_search(request)
        trace = self._kept()
        return await self.in_thread(lambda: trace.search(search))

    def _kept(self) -> Trace:
        if self.messages is None:
            raise MailError(Kind.UNAVAILABLE, TRACE_OFF)
        return self.messages


def unknown_message(name: str) -> str:
    """Say that nothing is known of a message."""
    return f"nothing is known of {name}"


def read_search(request: Mapping[str, object]) -> Search:
    """
    Read what is looked for.

    Raises:
        MailError: INVALID.
    """
    since = request.get("since", 0.0)
    if not isinstance(since, int | float):
        raise MailError(Kind.INVALID, "since is a number of seconds since the epoch")
    return Search(
        recipient=str(request.get("recipient") or ""), sender=str(request.get("sender") or ""), since=float(since)
    )


def _queue_rows(entry: QueueEntry) -> list[dict[str, object]]:
    return [
        {
            "queue_id": entry.queue_id,
            "received": dt.datetime.fromtimestamp(entry.received, dt.UTC).isoformat(timespec="seconds"),
            "size_octets": entry.size_octets,
            "sender": entry.sender or "<>",
            "recipient": recipient.address,
            "state": recipient.state,
            "tries": recipient.tries,
            "status": recipient.status,
        }
        for recipient in entry.recipients
    ]
