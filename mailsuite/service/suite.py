"""
The suite: every part made, joined, started in order and stopped in the opposite one.

Start: locks and ports, directory, store, spool (which delivers again what a crash interrupted), queue, then listeners.
Stop: listeners and sessions, queue, spool, store, directory. Nothing that is acknowledged waits for a clean stop.
"""

import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger, globalLogPublisher

from mailsuite.config import Config
from mailsuite.config.tls import ReloadingTLS, write_self_signed
from mailsuite.directory import Directory, DirectoryChecker, open_directory
from mailsuite.durable import Disk, Lane, LanePool
from mailsuite.errors import Kind, MailError
from mailsuite.imap import IMAPFactory
from mailsuite.interfaces import Account, IMailAccount, IMailReceiver
from mailsuite.mta import QueueService, Receiver, Spool, Submission
from mailsuite.observe import EventLog
from mailsuite.observe.recent import RecentEvents
from mailsuite.pop3 import POP3Factory
from mailsuite.service.affinity import processors, run_on
from mailsuite.service.commands import ServerCommands
from mailsuite.service.control import ControlSocket
from mailsuite.service.inspection import Inspection, asker
from mailsuite.service.listeners import Listeners
from mailsuite.service.lock import RunLock
from mailsuite.service.manhole import Manhole
from mailsuite.service.portal import make_portal
from mailsuite.service.roles import ALL_ROLES, SERVICES, Role
from mailsuite.smtp import SMTPFactory, SubmissionFactory
from mailsuite.store import MailStore, open_store

SPOOL_FOLDER = "spool"


class Suite(Service):
    """
    Everything that runs for one configuration in one process.

    Args:
        reactor: with clock, threads and ports.
        roles: what this process serves; each role of a folder runs in one process only.
    """

    def __init__(self, config: Config, reactor: Any, roles: Iterable[Role] = ALL_ROLES) -> None:
        self.config = config
        self.roles = frozenset(roles)
        self._reactor = reactor
        self._disk = Disk()
        self._processors = processors()
        self._log = EventLog(Logger("mailsuite.service.suite"))
        self._lock = RunLock(config.run_folder, self.roles)
        self._tls = ReloadingTLS(config.tls, reactor)
        services = [name for name in config.services() if SERVICES.get(name) in self.roles]
        self.listeners = Listeners(config, services, self._tls, reactor)
        self._control = ControlSocket(config.run_folder, reactor)
        self._manhole = Manhole(config, self._tls, reactor, wanted=self.roles == ALL_ROLES)
        self._recent = RecentEvents()
        self._stops: list[tuple[str, Callable[[], Any]]] = []
        self._starting: Deferred[None] | None = None
        self._ready: list[Deferred[None]] = []
        self._outcome: Any = None
        self._privileged = False
        self._directory: Directory | None = None
        self._store: MailStore | None = None
        self._queue: QueueService | None = None
        self._began = 0.0

    # the life of the service

    def privilegedStartService(self) -> None:
        """
        Take the locks and the ports.

        Raises:
            MailError: another server has them.
            OSError: the run folder cannot be used.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self._take()

    def _take(self) -> None:
        if self._privileged:
            return
        self._lock.acquire()
        try:
            self.listeners.bind()
            self._manhole.bind()
        except BaseException:
            self.listeners.unbind()
            self._lock.release()
            raise
        # Certificates may be readable only by who we stop being.
        if not self._tls.available and self._tls.fault:
            self._lock.release()
            self.listeners.unbind()
            self._manhole.unbind()
            raise MailError(Kind.INVALID, f"tls.certificate {self.config.tls.certificate}: {self._tls.fault}")
        self._privileged = True

    def startService(self) -> None:
        """Start; `when_ready` tells the outcome."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self._outcome = None
        self._starting = Deferred.fromCoroutine(self._start())
        _ = self._starting.addBoth(self._started)

    def _started(self, result: Any) -> None:
        self._starting = None
        self._outcome = (result,)
        ready, self._ready = self._ready, []
        for waiting in ready:
            waiting.callback(result)

    def when_ready(self) -> "Deferred[None]":
        """
        Wait for the start.

        Returns:
            Fires when every listener accepts connections; fails with the reason why that will not happen.
        """
        waiting: Deferred[None] = Deferred()
        if self._outcome is not None:
            waiting.callback(self._outcome[0])
        else:
            self._ready.append(waiting)
        return waiting

    def stopService(self) -> "Deferred[None]":
        """
        Stop.

        Returns:
            Fires when sessions have ended, everything that was accepted is where it belongs, and threads are gone.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        return Deferred.fromCoroutine(self._stop())

    async def _start(self) -> None:
        try:
            self._take()
            self._began = self._reactor.seconds()
            for key in self.config.inactive:
                self._log.emit("config.key.ignored", key=key)
            self._make_certificate()
            await self._assemble()
        except sqlite3.Error as error:
            reason = f"a database cannot be used: {error}"
            self._log.emit("service.start.failed", reason=reason)
            raise MailError(Kind.UNAVAILABLE, reason) from error
        except (MailError, OSError) as error:
            self._log.emit("service.start.failed", reason=str(error))
            raise
        self._log.emit("service.start.completed")

    def _make_certificate(self) -> None:
        settings = self.config.tls
        if settings.self_signed and not os.path.exists(settings.certificate):
            write_self_signed(settings, self.config.server.hostname, self._disk, dt.datetime.now(dt.UTC))

    async def _stop(self) -> None:
        self._log.emit("service.stop.begun")
        if self._starting is not None:
            self._starting.cancel()
        while self._stops:
            what, stop = self._stops.pop()
            try:
                await _settled(stop())
            except Exception:  # noqa: BLE001 - one part that fails to stop must not keep the others from it
                self._log.failure("background.work.failed", what=f"stopping {what}")
        self._lock.release()
        self._privileged = False
        self._log.emit("service.stop.completed")

    # the parts

    async def _assemble(self) -> None:
        self._stops.append(("listeners", self.listeners.close))
        directory = self._open_directory()
        store = self._open_store()
        spool = self._start_spool(store, directory) if Role.SMTP in self.roles else None
        portal = self._make_portal(directory, store, spool)
        receiver = None
        if spool is not None:
            receiver = Receiver(spool, directory, self.config.receive, self._reactor)
        # Sessions end first, so their stop is called first.
        self._stops = [*self._stops[1:], self._stops[0]]
        globalLogPublisher.addObserver(self._recent)
        self._stops.insert(0, ("recent events", lambda: globalLogPublisher.removeObserver(self._recent)))
        await self.listeners.open(lambda service: self._make_factory(service, portal, receiver))
        if self.roles == ALL_ROLES:
            commands = ServerCommands(
                self.config, self._reactor, self._began, directory, store, self._queue, self.listeners
            )
            inspection = Inspection(
                directory, spool, self.listeners, self._tls, self.config.tls.certificate, self._recent
            )
            table = {**commands.table(), **inspection.table()}
            self._control.open(table)
            self._stops.append(("control socket", self._control.close))
            self._stops.append(("manhole", self._manhole.close))
            names = {
                "config": self.config,
                "directory": directory,
                "store": store,
                "queue": self._queue,
                "listeners": self.listeners,
            }
            await self._manhole.open(asker(table), names, self._disk)

    async def message_count(self, email: str) -> int:
        """Count the messages in somebody's INBOX; 0 before the suite has started."""
        if self._directory is None or self._store is None:
            return 0
        account = await self._directory.find(email)
        if account is None:
            return 0
        mailboxes = self._store.account(account)
        try:
            return (await mailboxes.status("INBOX")).messages
        finally:
            mailboxes.logout()

    def _open_directory(self) -> Directory:
        lane = Lane("directory", self._reactor)
        lane.start()
        self._stops.append(("directory thread", lambda: self._in_thread(lane.stop)))
        settings = self.config.database
        directory = open_directory(settings.url, lane, auto_migrate=settings.auto_migrate, disk=self._disk)
        self._stops.insert(-1, ("directory", directory.close))
        self._directory = directory
        if not directory.database.has_domains():
            self._log.emit("service.directory.unfilled")
        return directory

    def _open_store(self) -> MailStore:
        store = open_store(self.config.storage, disk=self._disk, reactor=self._reactor)
        store.start()
        self._stops.append(("store", lambda: self._in_thread(store.stop)))
        self._store = store
        return store

    def _run_anywhere(self) -> None:
        run_on(self._processors)

    def _start_spool(self, store: MailStore, directory: Directory) -> Spool:
        config = self.config
        folder = os.path.join(config.server.data_dir, SPOOL_FOLDER)
        files = Lane("spool-files", self._reactor, prepare=self._run_anywhere)
        spool = Spool(
            folder, disk=self._disk, store=store, reactor=self._reactor, settings=config.spool, file_lane=files
        )
        try:
            spool.start()
        except sqlite3.Error as error:
            raise MailError(Kind.UNAVAILABLE, f"the spool {folder}: {error}") from error
        self._stops.append(("spool", lambda: self._in_thread(spool.stop)))
        hostname = config.server.hostname
        queue = QueueService(spool, directory, config.queue, config.routes, self._reactor, hostname=hostname)
        queue.startService()
        self._queue = queue
        self._stops.append(("queue", queue.stopService))
        return spool

    def _make_portal(self, directory: Directory, store: MailStore, spool: Spool | None) -> Portal:
        settings = self.config.auth
        threads = range(max(1, settings.hashing_threads))
        hashers = LanePool([Lane(f"hashing-{n}", self._reactor, prepare=self._run_anywhere) for n in threads])
        hashers.start()
        self._stops.append(("hashing threads", lambda: self._in_thread(hashers.stop)))
        checker = DirectoryChecker(directory, hashers, self._reactor, cache_seconds=settings.cache_seconds)
        table: dict[Any, Callable[[Account, object], object]] = {
            IMailAccount: lambda account, _mind: store.account(account)
        }
        if spool is not None:

            def submission(account: Account, _mind: object) -> Submission:
                return Submission(spool, directory, self.config.receive, self._reactor, account.email)

            table[IMailReceiver] = submission
        return make_portal(settings, directory, checker, table)

    def _make_factory(self, service: str, portal: Portal, receiver: Receiver | None) -> Any:
        config = self.config
        hostname = config.server.hostname.encode("ascii", "replace")
        match service:
            case "smtp":
                return SMTPFactory(
                    receiver, hostname=hostname, portal=portal, settings=config.smtp, reactor=self._reactor
                )
            case "submission" | "submissions":
                return SubmissionFactory(portal, hostname=hostname, settings=config.submission, reactor=self._reactor)
            case "imap" | "imaps":
                return IMAPFactory(portal, settings=config.imap, reactor=self._reactor)
            case "pop3" | "pop3s":
                return POP3Factory(portal, settings=config.pop3, reactor=self._reactor)
        raise MailError(Kind.INVALID, f"there is no service {service}")

    def _in_thread(self, job: Callable[[], object]) -> "Deferred[object]":
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), job)


async def _settled(result: Any) -> None:
    """Wait for a result that may be an awaitable."""
    if hasattr(result, "__await__"):
        await result


def make_service(config: Config, reactor: Any, roles: Iterable[Role] = ALL_ROLES) -> MultiService:
    """
    Make the service for a configuration: start it, and stop it to shut down.

    The service named ``suite`` in it tells when it is ready: ``service.getServiceNamed("suite").when_ready()``.
    """
    service = MultiService()
    suite = Suite(config, reactor, roles)
    suite.setName("suite")  # type: ignore[no-untyped-call]  # Twisted's is not annotated
    suite.setServiceParent(service)  # type: ignore[no-untyped-call]  # Twisted's is not annotated
    return service
