"""What the running server does for the command line."""

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

import mailsuite
from mailsuite.config import Config
from mailsuite.directory import Directory
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import ANY_MAILBOX, Account, MailboxChange, MailboxEntry
from mailsuite.mta import QueueService
from mailsuite.observe.watchdog import Watchdog
from mailsuite.service.control import Command
from mailsuite.service.listeners import Listeners
from mailsuite.service.reload import merge, read_given, reload_config, reload_facts, tell_reloaded
from mailsuite.store import MailStore

STOP_DELAY_SECONDS = 0.05  # the answer goes out first


class Reloadable(Protocol):
    """A process that can use other values of its configuration."""

    config: Config

    on_reload: Callable[[], None]

    @property
    def certificate_fault(self) -> str:
        """What is wrong with the certificate that is there now; empty when nothing is."""

    def reload(self, config: Config) -> bool:
        """Use these from now on; say whether another certificate is in use."""


@attrs.frozen
class ServerCommands:
    """
    The commands of one process.

    Args:
        began: when the server started, on the reactor's clock.
    """

    process: Reloadable
    reactor: Any
    began: float
    directory: Directory
    store: MailStore
    queue: QueueService | None
    listeners: Listeners
    watchdog: Watchdog

    def table(self) -> Mapping[str, Command]:
        """Name the commands."""
        return {
            "status": self.status,
            "stalls": self.list_stalls,
            "stop": self.stop,
            "reload": self.reload,
            "tls.look": self.look_for_certificate,
            "queue.poke": self.poke_queue,
            "mailbox.list": self.list_mailboxes,
            "mailbox.reindex": self.reindex,
            "mailbox.verify": self.verify,
            "account.end": self.end_sessions,
            "account.rename": self.begin_rename,
            "account.renamed": self.note_rename,
            "account.remove": self.begin_removal,
            "account.finish": self.finish_move,
            "account.cancel": self.cancel_move,
        }

    async def status(self, _request: Mapping[str, object]) -> object:
        """Say who runs, since when, where."""
        return {
            "pid": os.getpid(),
            "version": mailsuite.__version__,
            "uptime_seconds": int(self.reactor.seconds() - self.began),
            "configuration": self.process.config.path,
            "services": list(self.listeners.services),
            "connections": self.listeners.counts(),
            "queued": await self._count_queue(),
            "deliveries_waiting": self.store.backlog(),
            "stalls": self.watchdog.count,
            "longest_stall_seconds": round(self.watchdog.longest_seconds, 3),
        }

    async def _count_queue(self) -> int | None:
        """Count the messages in the queue; None when that cannot be told now."""
        if self.queue is None:
            return 0
        try:
            return (await self.queue.count()).messages
        except MailError:
            return None

    async def list_stalls(self, _request: Mapping[str, object]) -> object:
        """Say which turns of the reactor took too long, and where."""
        return stall_facts(self.watchdog)

    async def stop(self, _request: Mapping[str, object]) -> object:
        """Begin to stop."""
        self.reactor.callLater(STOP_DELAY_SECONDS, self.reactor.stop)
        return {"pid": os.getpid()}

    async def reload(self, request: Mapping[str, object]) -> object:
        """
        Read the configuration and the certificate again; say which keys act at once, and which need a new start.

        A parent sends along what it has read, so that all processes use the same.
        """
        given = request.get("given")
        old = self.process.config
        self.process.on_reload()
        reloaded = reload_config(old) if given is None else merge(old, read_given(given, old.path))
        certificate_changed = self.process.reload(reloaded.config)
        if given is None:
            tell_reloaded(reloaded)
        return reload_facts(reloaded, self.process.certificate_fault, certificate_changed=certificate_changed)

    async def look_for_certificate(self, _request: Mapping[str, object]) -> object:
        """Use a certificate that has come, before connections come that need it."""
        self.listeners.look_for_certificate()
        return None

    async def poke_queue(self, request: Mapping[str, object]) -> object:
        """Let the queue look at once; `open` also ends the pauses of some domains, an empty list those of all."""
        domains = request.get("open")
        if self.queue is not None:
            if isinstance(domains, list):
                self.queue.open_destinations([str(domain) for domain in domains] or None)
            else:
                self.queue.poke()
        return None

    async def list_mailboxes(self, request: Mapping[str, object]) -> object:
        """List an account's mailboxes with their counts."""
        return await mailbox_rows(self.store, await self._account(request))

    async def reindex(self, request: Mapping[str, object]) -> object:
        """Build an account's index anew."""
        return await self.store.reindex(await self._account(request))

    async def verify(self, request: Mapping[str, object]) -> object:
        """Compare an account's index with its Maildir."""
        return await self.store.verify(await self._account(request))

    async def end_sessions(self, request: Mapping[str, object]) -> object:
        """End the sessions of an account that is gone, switched off or has another password."""
        address = str(request.get("address"))
        self.listeners.end_account(address)
        account = await self.directory.find(address)
        if account is not None:  # others that have its mailboxes open look whether they still may
            self.store.bus.publish(MailboxChange(account.account_id, ANY_MAILBOX, 0))
        return None

    async def begin_rename(self, request: Mapping[str, object]) -> object:
        """Prepare an account's folder for the new address that the directory is about to give."""
        account, new_address = await self._account(request), str(request.get("new_address"))
        await self.store.begin_rename(account, new_address)
        return await self.note_rename({"address": account.email, "new_address": new_address})

    async def note_rename(self, request: Mapping[str, object]) -> object:
        """Remember under which name sessions of an account began."""
        self.listeners.rename_account(str(request.get("address")), str(request.get("new_address")))
        return None

    async def begin_removal(self, request: Mapping[str, object]) -> object:
        """Prepare an account's folder for its end."""
        await self.store.begin_removal(await self._account(request))
        return None

    async def finish_move(self, request: Mapping[str, object]) -> object:
        """Let the folder follow the directory; say where it is."""
        return await self.store.finish_move(_account_id(request))

    async def cancel_move(self, request: Mapping[str, object]) -> object:
        """Forget what was prepared."""
        await self.store.cancel_move(_account_id(request))
        return None

    async def _account(self, request: Mapping[str, object]) -> Account:
        address = request.get("address")
        account = await self.directory.find(address) if isinstance(address, str) else None
        if account is None:
            raise MailError(Kind.NOT_FOUND, f"there is no account {address}")
        return account


def _account_id(request: Mapping[str, object]) -> int:
    number = request.get("account_id")
    if not isinstance(number, int):
        raise MailError(Kind.INVALID, "the request names no account")
    return number


def stall_facts(watchdog: Watchdog) -> dict[str, Any]:
    """Say which turns of the reactor took too long, and where."""
    return {
        "watching": watchdog.is_watching,
        "count": watchdog.count,
        "seconds": round(watchdog.seconds, 3),
        "longest_seconds": round(watchdog.longest_seconds, 3),
        "places": [{"place": name, **attrs.asdict(place)} for name, place in watchdog.places().items()],
        "recent": [attrs.asdict(stall) for stall in watchdog.stalls()],
    }


async def mailbox_rows(store: MailStore, account: Account) -> list[dict[str, object]]:
    """List an account's mailboxes with their counts, as plain values."""
    mailboxes = store.account(account)
    try:
        rows = []
        for entry in await mailboxes.list_mailboxes():
            row = _row(entry)
            if entry.selectable and entry.mailbox_id:
                status = await mailboxes.status(entry.name)
                row |= {
                    "messages": status.messages,
                    "unseen": status.unseen,
                    "size_octets": status.size_octets,
                    "uidvalidity": status.uidvalidity,
                    "uidnext": status.uidnext,
                }
            rows.append(row)
        return rows
    finally:
        mailboxes.logout()


def _row(entry: MailboxEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "messages": 0,
        "unseen": 0,
        "size_octets": 0,
        "uidvalidity": 0,
        "uidnext": 0,
        "subscribed": entry.subscribed,
        "special_use": sorted(use.value for use in entry.special_use),
    }
