"""
The suite in one process: every part made, joined, started in order and stopped in the opposite one.

Start: locks and ports, directory, store, spools (which deliver again what a crash interrupted), queue, then listeners.
Stop: listeners and sessions, queue, spools, store, directory. Nothing that is acknowledged waits for a clean stop.

A process may have everything, some roles of its own accord, or a seat among workers that a parent started.
"""

import datetime as dt
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any

from twisted.application.service import MultiService
from twisted.cred.error import LoginDenied
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import globalLogPublisher

from mailsuite.config import Config
from mailsuite.config.tls import ReloadingTLS, write_self_signed
from mailsuite.directory import (
    Directory,
    DirectoryChecker,
    DirectoryDatabase,
    Throttle,
    open_directory,
    submission_rules,
)
from mailsuite.durable import Disk, FolderNotices, Lane, LanePool
from mailsuite.envelope import Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.imap import IMAPFactory
from mailsuite.interfaces import Account, IMailAccount, IMailReceiver
from mailsuite.mta import (
    CaptureSweeper,
    Forwarding,
    QueueService,
    Receiver,
    RecipientRules,
    RelayAgent,
    Spool,
    Submission,
)
from mailsuite.mta.content import Target
from mailsuite.mta.forward import SRS_SECRET
from mailsuite.observe import EventLog
from mailsuite.observe.watchdog import Watchdog
from mailsuite.pop3 import POP3Factory
from mailsuite.service.administrators import open_mailboxes
from mailsuite.service.affinity import processors, run_on
from mailsuite.service.bus import WorkerBus
from mailsuite.service.commands import ServerCommands
from mailsuite.service.control import ControlSocket
from mailsuite.service.descriptors import file_limit, fit_storage
from mailsuite.service.inspection import Inspection
from mailsuite.service.listeners import Listeners
from mailsuite.service.lock import RunLock
from mailsuite.service.manhole import Manhole
from mailsuite.service.next_hops import NextHops
from mailsuite.service.portal import make_portal
from mailsuite.service.reload import settings_of
from mailsuite.service.roles import ALL_ROLES, SERVICES, Role
from mailsuite.service.seat import Seat
from mailsuite.service.sharing import RightsCommands
from mailsuite.service.spools import SPOOL_FOLDER, SpoolPlan, forget_spools, plan_spools
from mailsuite.service.started import StartedService
from mailsuite.service.throttling import ParentThrottle
from mailsuite.smtp import LMTPFactory, SMTPFactory, SubmissionFactory
from mailsuite.store import MailStore, open_store
from mailsuite.trace import Recorder, Trace

LOCK_PATIENCE_SECONDS = 10.0
"""A worker whose parent was killed needs some time to end; its successor waits for it."""


class Suite(StartedService):
    """
    Everything that one process runs for one configuration.

    Args:
        reactor: with clock, threads and ports.
        roles: what this process serves; each role of a folder runs in one process only.
        seat: of a worker; its parent has the locks and ports.
    """

    def __init__(
        self, config: Config, reactor: Any, roles: Iterable[Role] = ALL_ROLES, *, seat: Seat | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.roles = frozenset(roles)
        self._reactor = reactor
        self._seat = seat
        self.told = seat is None
        self._disk = Disk()
        self._processors = processors()
        self._lock = RunLock(config.run_folder, self.roles, worker="" if seat is None else seat.name)
        self._tls = ReloadingTLS(config.tls, reactor, None if seat is None else seat.pair)
        services = [name for name in config.services() if SERVICES.get(name) in self.roles]
        self.listeners = Listeners(config, services, self._tls, reactor, seat)
        self._control = ControlSocket(config.run_folder, reactor)
        self._manhole = Manhole(config, self._tls, reactor, wanted=seat is None and self.roles == ALL_ROLES)
        self._trace: Trace | None = None
        self.watchdog = Watchdog(reactor, config.server.stall_seconds)
        self._throttle = Throttle(submission_rules(config.throttle), reactor.seconds)
        self._asked_throttle = self._throttle if seat is None else ParentThrottle(seat.link, reactor)
        self._queue: QueueService | None = None
        self._relay: RelayAgent | None = None
        self._receiver: Receiver | None = None
        self._rules: RecipientRules | None = None
        self._sweeper: CaptureSweeper | None = None
        self._began = 0.0

    # the life of the service

    def take(self) -> None:
        """Take the locks and the ports, and look at the certificate."""
        self._lock.acquire(0.0 if self._seat is None else LOCK_PATIENCE_SECONDS)
        try:
            self.listeners.bind()
            self._manhole.bind()
            # Certificates may be readable only by who we stop being.
            ensure_usable(self._tls, self.config)
        except BaseException:
            self.listeners.unbind()
            self._manhole.unbind()
            self._lock.release()
            raise

    async def begin(self) -> None:
        """Start all parts."""
        try:
            self.ensure_taken()
            self._began = self._reactor.seconds()
            if self._seat is None:
                for key in self.config.inactive:
                    self._log.emit("config.key.ignored", key=key)
                make_certificate(self.config, self._disk)
            await self._assemble()
        except sqlite3.Error as error:
            reason = f"a database cannot be used: {error}"
            self._tell_failed(reason)
            raise MailError(Kind.UNAVAILABLE, reason) from error
        except (MailError, OSError) as error:
            self._tell_failed(str(error))
            raise
        if self.told:
            self._log.emit("service.start.completed")

    def _tell_failed(self, reason: str) -> None:
        if self.told:
            self._log.emit("service.start.failed", reason=reason)

    def give_back(self) -> None:
        """Give the locks back; the ports are closed."""
        self._lock.release()

    # the parts

    async def _assemble(self) -> None:
        self.watchdog.start()
        self.stops.append(("watchdog", self.watchdog.stop))
        self._trace = self._start_trace()
        directory = self._open_directory()
        store = self._open_store()
        store.numbers = directory
        if self._seat is None and Role.SMTP in self.roles:
            forget_spools(self.config, 1, self._disk)
        plan = plan_spools(self.config, self.roles, self._seat)
        spools = [self._start_spool(each, store) for each in plan]
        receiving = spools[0] if Role.SMTP in self.roles else None
        if Role.QUEUE in self.roles:
            self._start_queue(spools, directory)
            self._start_sweeper(directory, store)
        # Sessions end first, so their stop is the last to be added.
        self.stops.append(("listeners", self.listeners.close))
        if self.listeners.services:
            portal = self._make_portal(directory, store, receiving)
            if receiving is not None:
                self._receiver = self._make_receiver(receiving, directory, store)
            await self.listeners.open(lambda service: self._make_factory(service, portal))
        await self._answer(directory, store)

    async def _answer(self, directory: Directory, store: MailStore) -> None:
        """Let operators ask."""
        commands = ServerCommands(
            self, self._reactor, self._began, directory, store, self._queue, self.listeners, self.watchdog
        )
        inspection = Inspection(directory, self._queue, self.listeners, self._trace, self._in_thread)
        rights = RightsCommands(directory, store)
        self.commands = {**commands.table(), **inspection.table(), **rights.table()}
        if self._seat is not None:
            self._seat.link.commands.update(self.commands)
        elif self.roles == ALL_ROLES:
            self._control.open(self.commands)
            self.stops.append(("control socket", self._control.close))
            self.stops.append(("manhole", self._manhole.close))
            names = {
                "config": self.config,
                "directory": directory,
                "store": store,
                "queue": self._queue,
                "listeners": self.listeners,
            }
            await self._manhole.open(self.ask, names, self._disk)

    def _start_trace(self) -> Trace | None:
        if not self.config.trace.days:
            return None
        recorder = Recorder(self.config.trace_folder, self.config.trace, self._disk)
        recorder.start()
        globalLogPublisher.addObserver(recorder)
        self.stops.append(("trace", lambda: self._in_thread(recorder.stop)))
        self.stops.append(("trace of events", lambda: globalLogPublisher.removeObserver(recorder)))
        return Trace(self.config.trace_folder, self._disk, recorder)

    def _open_directory(self) -> Directory:
        lane = Lane("directory", self._reactor)
        lane.start()
        self.stops.append(("directory thread", lambda: self._in_thread(lane.stop)))
        settings = self.config.database
        directory = open_directory(settings.url, lane, auto_migrate=settings.auto_migrate, disk=self._disk)
        self.stops.insert(-1, ("directory", directory.close))
        if self._seat is None:
            tell_places(self.config, directory.database, self._log)
        return directory

    def _open_store(self) -> MailStore:
        bus = None if self._seat is None else WorkerBus(self._seat.link, self._reactor)
        settings = fit_storage(self.config.storage, file_limit())
        store = open_store(settings, disk=self._disk, reactor=self._reactor, bus=bus)
        if self._seat is not None:
            link = self._seat.link
            store.on_let_go = lambda account_id: link.tell("let_go", account_id=account_id)
            link.notes["let_go"] = lambda note: store.let_go(note["account_id"])
        store.start()
        self.stops.append(("store", lambda: self._in_thread(store.stop)))
        if settings.watch_folders:
            watches = store.watch_folders(partial(FolderNotices, self._reactor), self._reactor)
            self.stops.append(("watched folders", watches.close))
        return store

    def _run_anywhere(self) -> None:
        run_on(self._processors)

    def _start_spool(self, plan: SpoolPlan, store: MailStore) -> Spool:
        files = Lane("spool-files", self._reactor, prepare=self._run_anywhere)
        spool = Spool(
            plan.folder,
            disk=self._disk,
            store=store,
            reactor=self._reactor,
            settings=self.config.spool,
            share=plan.share,
            file_lane=files,
        )
        spool.retry = plan.retry
        if self._seat is not None and not plan.share.leases:
            link = self._seat.link
            spool.on_queued = lambda: link.tell("queued")
        try:
            spool.start()
        except sqlite3.Error as error:
            raise MailError(Kind.UNAVAILABLE, f"the spool {plan.folder}: {error}") from error
        self.stops.append(("spool", lambda: self._in_thread(spool.stop)))
        return spool

    def _start_queue(self, spools: Sequence[Spool], directory: Directory) -> None:
        config = self.config
        hostname = config.server.hostname
        try:
            hops = NextHops(config, self._reactor, self._disk)
        except ValueError as error:
            raise MailError(Kind.INVALID, str(error)) from error
        hops.start()
        self.stops.append(("what finds other hosts", lambda: Deferred.fromCoroutine(hops.stop())))
        self._relay = relay = RelayAgent(
            self._reactor,
            hostname,
            settings=config.relay,
            sources=config.sources,
            find_hosts=hops.find_hosts if config.next_hop.mx else None,
            decide_tls=hops.decide_tls,
        )
        self.stops.append(("connections to other hosts", lambda: Deferred.fromCoroutine(relay.close())))
        forwarding = make_forwarding(directory, self._reactor)

        def restore(recipient: Recipient) -> Awaitable[Sequence[Target]]:
            return forwarding.restore(recipient, Sender(path=None), self.config.receive)

        queue = QueueService(
            spools,
            directory,
            config.queue,
            config.routes,
            self._reactor,
            hostname=hostname,
            attempt=relay,
            restore=restore,
        )
        queue.startService()
        self._queue = queue
        self.stops.append(("queue", queue.stopService))

    def _start_sweeper(self, directory: Directory, store: MailStore) -> None:
        sweeper = CaptureSweeper(directory.list_captures, store, self.config.capture, self._reactor)
        sweeper.start()
        self._sweeper = sweeper
        self.stops.append(("captured mail", sweeper.stop))

    def _make_receiver(self, spool: Spool, directory: Directory, store: MailStore) -> Receiver:
        config = self.config
        forwarding = make_forwarding(directory, self._reactor)
        self._rules = RecipientRules(directory, forwarding, store, self._reactor, config.capture)
        return Receiver(spool, directory, config.receive, self._reactor, self._rules)

    def _make_portal(self, directory: Directory, store: MailStore, spool: Spool | None) -> Portal:
        settings = self.config.auth
        threads = range(max(1, settings.hashing_threads))
        hashers = LanePool([Lane(f"hashing-{n}", self._reactor, prepare=self._run_anywhere) for n in threads])
        hashers.start()
        self.stops.insert(-1, ("hashing threads", lambda: self._in_thread(hashers.stop)))
        checker = DirectoryChecker(directory, hashers, self._reactor, cache_seconds=settings.cache_seconds)
        table: dict[Any, Callable[[Account, object], object]] = {
            IMailAccount: lambda account, _mind: open_mailboxes(
                account, store, directory, self.config.sharing, self._reactor
            )
        }
        if spool is not None:

            def submission(account: Account, _mind: object) -> Submission:
                if account.receive_only:
                    raise LoginDenied("this account only receives")
                return Submission(
                    spool,
                    directory,
                    self.config.receive,
                    self._reactor,
                    account.email,
                    rules=self.config.submitting,
                    throttle=self._asked_throttle,
                )

            table[IMailReceiver] = submission
        return make_portal(settings, directory, checker, table)

    def _make_factory(self, service: str, portal: Portal) -> Any:
        hostname = self.config.server.hostname.encode("ascii", "replace")
        settings = settings_of(service, self.config, self._seat)
        match service:
            case "smtp":
                return SMTPFactory(
                    self._receiver, hostname=hostname, portal=portal, settings=settings, reactor=self._reactor
                )
            case "lmtp":
                assert self._receiver is not None  # it comes with the role
                return LMTPFactory(self._receiver, hostname=hostname, settings=settings, reactor=self._reactor)
            case "submission" | "submissions":
                return SubmissionFactory(portal, hostname=hostname, settings=settings, reactor=self._reactor)
            case "imap" | "imaps":
                return IMAPFactory(portal, settings=settings, reactor=self._reactor)
            case "pop3" | "pop3s":
                return POP3Factory(portal, settings=settings, reactor=self._reactor)
        raise MailError(Kind.INVALID, f"there is no service {service}")

    def _in_thread(self, job: Callable[[], object]) -> "Deferred[object]":
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), job)

    # other values

    def reload(self, config: Config) -> bool:
        """
        Use other values from now on, in new connections; those that need a new start are the same, see `merge`.

        Args:
            config: what is in force from now on.

        Returns:
            Whether another certificate is in use.
        """
        self.config = config
        changed = self._tls.look_again(config.tls)
        self.listeners.reload(config, lambda service: settings_of(service, config, self._seat))
        self._throttle.rules = submission_rules(config.throttle)
        if self._receiver is not None:
            self._receiver.settings = config.receive
        if self._rules is not None:
            self._rules.capture = config.capture
        if self._sweeper is not None:
            self._sweeper.settings = config.capture
        if self._queue is not None:
            self._queue.set_routes(config.routes)
        if self._relay is not None:
            self._relay.set_sources(config.sources)
        return changed

    @property
    def certificate_fault(self) -> str:
        """What is wrong with the certificate that is there now; empty when nothing is."""
        return self._tls.fault


def make_forwarding(directory: Directory, reactor: Any) -> Forwarding:
    """Make what knows how mail is passed on."""
    return Forwarding(directory, lambda: directory.secret(SRS_SECRET), reactor)


def ensure_usable(tls: ReloadingTLS, config: Config) -> None:
    """
    Look at the certificate, if there is one.

    Raises:
        MailError: INVALID, when it cannot be used.
    """
    if not tls.available and tls.fault:
        raise MailError(Kind.INVALID, f"tls.certificate {config.tls.certificate}: {tls.fault}")


def tell_places(config: Config, database: DirectoryDatabase, log: EventLog) -> None:
    """Log where everything lies, and whether any mail is ours. Blocks for a moment."""
    storage = config.storage
    log.emit("service.storage.opened", what="accounts", place=database.path)
    log.emit("service.storage.opened", what=f"mailboxes ({storage.layout.value})", place=storage.maildir_root)
    log.emit("service.storage.opened", what="spool", place=os.path.join(config.server.data_dir, SPOOL_FOLDER))
    if not database.has_domains():
        log.emit("service.directory.unfilled")


def make_certificate(config: Config, disk: Disk) -> None:
    """Make a self-signed certificate where one is wanted and none is."""
    settings = config.tls
    if settings.self_signed and not os.path.exists(settings.certificate):
        write_self_signed(settings, config.server.hostname, disk, dt.datetime.now(dt.UTC))


def make_suite(config: Config, reactor: Any, roles: Iterable[Role] = ALL_ROLES) -> Any:
    """Make what serves a configuration: in this process, or as the parent of ``server.workers`` processes."""
    if config.server.workers:
        from mailsuite.service.supervisor import Supervisor

        return Supervisor(config, reactor, roles)
    return Suite(config, reactor, roles)


def make_service(config: Config, reactor: Any, roles: Iterable[Role] = ALL_ROLES) -> MultiService:
    """
    Make the service for a configuration: start it, and stop it to shut down.

    The service named ``suite`` in it tells when it is ready: ``service.getServiceNamed("suite").when_ready()``.
    """
    service = MultiService()
    suite = make_suite(config, reactor, roles)
    suite.setName("suite")
    suite.setServiceParent(service)
    return service
