"""What a parent does for the command line: it asks those of its workers whom it concerns."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet.defer import FirstError, gatherResults

import mailsuite
from mailsuite.errors import Kind, MailError
from mailsuite.observe.watchdog import RECENT_MAX
from mailsuite.service.commands import STOP_DELAY_SECONDS, stall_facts
from mailsuite.service.control import Command
from mailsuite.service.crew import Worker
from mailsuite.service.inspection import unknown_message
from mailsuite.service.reload import give, reload_config, reload_facts, tell_reloaded
from mailsuite.trace import in_order

if TYPE_CHECKING:
    from mailsuite.service.supervisor import Supervisor

ANY_WORKER = (
    "mailbox.list",
    "mailbox.reindex",
    "mailbox.verify",
    "rights.list",
    "rights.set",
    "account.remove",
    "account.finish",
    "account.cancel",
    "domains",
)
"""What one worker does for all."""
EVERY_WORKER = ("account.end",)
"""What each does for its own sessions; the answers say nothing."""
QUEUE_NAME = "queue"
QUEUE = ("queue.poke", "queue.list", "queue.pauses")
"""What the process of the queue does."""


@attrs.frozen
class FleetCommands:
    """The commands of a parent."""

    parent: "Supervisor"
    reactor: Any

    def table(self) -> Mapping[str, Command]:
        """Name the commands."""
        return {
            **{name: self._forward(name, self._any_worker) for name in ANY_WORKER},
            **{name: self._forward(name, self._queue) for name in QUEUE},
            **{name: self._to_all(name) for name in EVERY_WORKER},
            "status": self.status,
            "stop": self.stop,
            "stalls": self.list_stalls,
            "sessions": self.sessions,
            "session.end": self.end_session,
            "accounts": self.accounts,
            "trace": self.trace,
            "trace.search": self.search,
            "reload": self.reload,
            "account.rename": self.begin_rename,
        }

    def _any_worker(self) -> Worker:
        for worker in self.parent.all_workers:
            if worker.ready:
                return worker
        raise MailError(Kind.UNAVAILABLE, "the workers are being started; try again")

    def _queue(self) -> Worker:
        if self.parent.queue is None:
            raise MailError(Kind.NOT_FOUND, "this server has no queue")
        return self.parent.queue

    def _ready(self) -> Sequence[Worker]:
        return [worker for worker in self.parent.all_workers if worker.ready]

    def _forward(self, name: str, choose: Callable[[], Worker]) -> Command:
        async def forward(request: Mapping[str, object]) -> object:
            return await choose().ask(name, **_arguments(request))

        return forward

    def _to_all(self, name: str) -> Command:
        async def to_all(request: Mapping[str, object]) -> object:
            await self._ask_all(name, **_arguments(request))
            return None

        return to_all

    async def _ask_all(self, name: str, **arguments: object) -> list[Any]:
        """Ask every worker that is there; what one of them refuses is the failure."""
        asked = [worker.ask(name, **arguments) for worker in self._ready()]
        try:
            return await gatherResults(asked, consumeErrors=True)
        except FirstError as error:
            return error.subFailure.raiseException()

    async def status(self, _request: Mapping[str, object]) -> object:
        """Say who runs, since when, where, and what each worker has."""
        parent = self.parent
        connections: Counter[str] = Counter()
        waiting = 0
        workers = []
        told: dict[str, Any] = {}
        told_status: dict[str, Any] = {}
        for worker in parent.all_workers:
            facts = await _answer_of(worker, "status") or {}
            told_status[worker.name] = facts
            if stalls_of := await _answer_of(worker, "stalls"):
                told[worker.name] = stalls_of
            connections.update(facts.get("connections", {}))
            waiting += facts.get("deliveries_waiting", 0)
            workers.append(
                {
                    "name": worker.name,
                    "pid": worker.pid if facts else None,
                    "uptime_seconds": facts.get("uptime_seconds"),
                    "connections": sum(facts.get("connections", {}).values()),
                    "restarts": worker.restarts,
                }
            )
        stalls = merge_stalls({"parent": stall_facts(parent.watchdog), **told})
        return {
            "pid": os.getpid(),
            "version": mailsuite.__version__,
            "uptime_seconds": int(self.reactor.seconds() - parent.began),
            "configuration": parent.config.path,
            "services": list(parent.listeners.services),
            "connections": dict(connections),
            "queued": told_status.get(QUEUE_NAME, {}).get("queued") if parent.queue is not None else 0,
            "deliveries_waiting": waiting,
            "stalls": stalls["count"],
            "longest_stall_seconds": stalls["longest_seconds"],
            "workers": workers,
        }

    async def list_stalls(self, _request: Mapping[str, object]) -> object:
        """Say which turns of which process took too long, and where."""
        told = {"parent": stall_facts(self.parent.watchdog)}
        for worker in self._ready():
            if facts := await _answer_of(worker, "stalls"):
                told[worker.name] = facts
        return merge_stalls(told)

    async def sessions(self, _request: Mapping[str, object]) -> object:
        """List the open connections of all workers, the oldest first."""
        rows: list[dict[str, Any]] = []
        for worker in self._ready():
            answer = await _answer_of(worker, "sessions") or ()
            rows.extend({**row, "worker": worker.name} for row in answer)
        return sorted(rows, key=lambda row: -row["seconds"])

    async def end_session(self, request: Mapping[str, object]) -> object:
        """End one connection, whichever worker has it."""
        return await self._first_found("session.end", **_arguments(request))

    async def accounts(self, _request: Mapping[str, object]) -> object:
        """List the accounts, each with how many of its connections are open in all workers."""
        told: list[Any] = await self._ask_all("accounts")
        open_: Counter[str] = Counter()
        for rows in told:
            open_.update({row["address"]: row["sessions"] for row in rows})
        return [{**row, "sessions": open_[row["address"]]} for row in told[0]] if told else []

    async def trace(self, request: Mapping[str, object]) -> object:
        """Tell what happened to a message in all processes, in order."""
        found: list[Any] = []
        for worker in self._ready():  # each writes down what it has before it answers, so the last one knows most
            try:
                answer: Any = await worker.ask("trace", **_arguments(request))
            except MailError as error:
                if error.kind is not Kind.NOT_FOUND:
                    raise
            else:
                found.extend(row for row in answer if row not in found)
        if not found:
            raise MailError(Kind.NOT_FOUND, unknown_message(str(request.get("id"))))
        return in_order(found)

    async def search(self, request: Mapping[str, object]) -> object:
        """List messages of all processes."""
        found: dict[str, Any] = {}
        for worker in self._ready():
            answer: Any = await worker.ask("trace.search", **_arguments(request))
            found.update({row["queue_id"]: row for row in answer})
        return sorted(found.values(), key=lambda row: str(row["time"]), reverse=True)

    async def _first_found(self, name: str, **arguments: object) -> object:
        missing: MailError | None = None
        for worker in self._ready():
            try:
                return await worker.ask(name, **arguments)
            except MailError as error:
                if error.kind is not Kind.NOT_FOUND:
                    raise
                missing = error
        raise missing or MailError(Kind.UNAVAILABLE, "the workers are being started; try again")

    async def stop(self, _request: Mapping[str, object]) -> object:
        """Begin to stop."""
        self.reactor.callLater(STOP_DELAY_SECONDS, self.reactor.stop)
        return {"pid": os.getpid()}

    async def reload(self, _request: Mapping[str, object]) -> object:
        """Read the configuration and the certificate again, and let all workers use them."""
        self.parent.on_reload()
        reloaded = reload_config(self.parent.config)
        certificate_changed = self.parent.reload(reloaded.config)
        tell_reloaded(reloaded)
        await self._ask_all("reload", given=give(reloaded.config))
        return reload_facts(reloaded, self.parent.certificate_fault, certificate_changed=certificate_changed)

    async def begin_rename(self, request: Mapping[str, object]) -> object:
        """Prepare an account's folder for a new address, and let all know under which name sessions began."""
        arguments = _arguments(request)
        await self._any_worker().ask("account.rename", **arguments)
        await self._ask_all("account.renamed", **arguments)
        return None


async def _answer_of(worker: Worker, command: str) -> Any:
    """Ask a worker; None from one that is not there, or ends, or hangs: the others are worth to be told of."""
    if not worker.answers:
        return None
    try:
        return await worker.ask(command)
    except MailError:
        return None


def merge_stalls(told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Put together what several processes say of their stalls, by name of the process."""
    places: dict[str, dict[str, Any]] = {}
    for facts in told.values():
        for row in facts["places"]:
            known = places.setdefault(row["place"], {**row, "count": 0, "seconds": 0.0, "longest_seconds": 0.0})
            known["count"] += row["count"]
            known["seconds"] += row["seconds"]
            known["longest_seconds"] = max(known["longest_seconds"], row["longest_seconds"])
    recent = [{"process": name, **stall} for name, facts in told.items() for stall in facts["recent"]]
    return {
        "watching": all(facts["watching"] for facts in told.values()),
        "count": sum(facts["count"] for facts in told.values()),
        "seconds": round(sum(facts["seconds"] for facts in told.values()), 3),
        "longest_seconds": max(facts["longest_seconds"] for facts in told.values()),
        "places": sorted(places.values(), key=lambda row: -row["seconds"]),
        "recent": sorted(recent, key=lambda stall: stall["when"])[-RECENT_MAX:],
    }


def _arguments(request: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in {"command", "ask"}}
