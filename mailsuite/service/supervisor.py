"""
The parent of worker processes: has the locks, the ports, the control socket, and starts the workers again.

It serves nobody itself: what it accepts it hands to a worker at once, to the one that has the fewest connections to
that service from the same network. One more process works on the queues. Changes of mailboxes go from worker to worker
through it.
"""

import socket
from collections import deque
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, FirstError, gatherResults

from mailsuite.config import Config
from mailsuite.config.tls import ReloadingTLS
from mailsuite.directory import DirectoryDatabase, Throttle, submission_rules
from mailsuite.durable import Disk
from mailsuite.errors import MailError
from mailsuite.observe.watchdog import Watchdog
from mailsuite.peers import network_of, plain_ip
from mailsuite.service.bus import Relay
from mailsuite.service.control import ControlSocket
from mailsuite.service.crew import Orders, Worker
from mailsuite.service.fleet import QUEUE_NAME, FleetCommands
from mailsuite.service.lock import RunLock
from mailsuite.service.manhole import Manhole
from mailsuite.service.ports import Ports
from mailsuite.service.roles import ALL_ROLES, SERVICES, Role
from mailsuite.service.spools import forget_spools
from mailsuite.service.started import StartedService
from mailsuite.service.suite import ensure_usable, make_certificate, tell_places
from mailsuite.service.throttling import throttle_commands

PLACE_AGAIN_SECONDS = 0.005


class Supervisor(StartedService):
    """
    All of the suite, in several processes.

    Args:
        reactor: with clock, processes and ports.
        roles: what the workers serve.
    """

    def __init__(self, config: Config, reactor: Any, roles: Iterable[Role] = ALL_ROLES) -> None:
        super().__init__()
        self.config = self._first_config = config
        self.roles = frozenset(roles)
        self._reactor = reactor
        self._lock = RunLock(config.run_folder, self.roles)
        self._tls = ReloadingTLS(config.tls, reactor)
        services = [name for name in config.services() if SERVICES.get(name) in self.roles]
        self.listeners = Ports(config, services, self._tls, reactor, self._place, self._admit)
        self._control = ControlSocket(config.run_folder, reactor)
        self._manhole = Manhole(config, self._tls, reactor, wanted=self.roles == ALL_ROLES)
        self._relay = Relay(reactor)
        self.watchdog = Watchdog(reactor, config.server.stall_seconds)
        self.throttle = Throttle(submission_rules(config.throttle), reactor.seconds)
        self._unplaced: deque[tuple[str, socket.socket]] = deque()
        self._placing: Any = None
        self._number = 0
        self._turn = 0
        self.began = 0.0
        count = config.server.workers
        self.workers: list[Worker] = []
        if self.roles - {Role.QUEUE}:
            self.workers = [self._make(f"worker-{n}", n, self.roles - {Role.QUEUE}) for n in range(count)]
        self.queue = self._make(QUEUE_NAME, count, {Role.QUEUE}) if Role.QUEUE in self.roles else None

    def _make(self, name: str, number: int, roles: Iterable[Role]) -> Worker:
        return Worker(
            name,
            number,
            self.config.server.workers,
            roles,
            self._reactor,
            notes={"queued": lambda _: self._poke()},
            joined=self._relay.join,
            let_go=self._let_go,
            changed=self._workers_changed,
            place=self._place,
            commands=throttle_commands(self.throttle),
        )

    @property
    def all_workers(self) -> list[Worker]:
        """Every worker, the one of the queue last."""
        return [*self.workers, *([self.queue] if self.queue is not None else [])]

    # the life of the service

    def take(self) -> None:
        """Take the locks and the ports, and read what only root may."""
        self._lock.acquire()
        try:
            self.listeners.bind()
            self._manhole.bind()
            ensure_usable(self._tls, self.config)
        except BaseException:
            self.listeners.unbind()
            self._manhole.unbind()
            self._lock.release()
            raise

    async def begin(self) -> None:
        """Start the workers, then accept."""
        try:
            self.ensure_taken()
            self.began = self._reactor.seconds()
            self.watchdog.start()
            self.stops.append(("watchdog", self.watchdog.stop))
            for key in self.config.inactive:
                self._log.emit("config.key.ignored", key=key)
            disk = Disk()
            make_certificate(self.config, disk)
            # Once, before several processes would do it at the same time.
            database = DirectoryDatabase(self.config.database.url, disk)
            database.ensure_current(auto_migrate=self.config.database.auto_migrate)
            tell_places(self.config, database, self._log)
            database.close()
            if Role.SMTP in self.roles:
                forget_spools(self.config, self.config.server.workers, disk)
            self.stops.append(("workers", self._stop_workers))
            await self._start_all()
            self.stops.append(("listeners", self._stop_accepting))
            await self.listeners.open()
            self.commands = dict(FleetCommands(self, self._reactor).table())
            if self.roles == ALL_ROLES:
                self._control.open(self.commands)
                self.stops.append(("control socket", self._control.close))
                self.stops.append(("manhole", self._manhole.close))
                await self._manhole.open(self.ask, {"config": self.config, "workers": self.all_workers}, disk)
        except (MailError, OSError) as error:
            self._log.emit("service.start.failed", reason=str(error))
            raise
        self._log.emit("service.start.completed")

    async def _start_all(self) -> None:
        try:
            await gatherResults([self._start(worker) for worker in self.all_workers], consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()

    def _start(self, worker: Worker) -> Deferred[None]:
        return Deferred.fromCoroutine(worker.start(self.orders))

    def orders(self) -> Orders:
        """Say what a worker that is started now is to run with."""
        return Orders(self._first_config, self.config, self._tls.pair if self._tls.available else None)

    def give_back(self) -> None:
        """Give the locks back; the ports are closed."""
        self._lock.release()

    async def _stop_workers(self) -> None:
        await gatherResults([worker.stop() for worker in self.all_workers])

    async def _stop_accepting(self) -> None:
        await self.listeners.close()
        for _, accepted in self._unplaced:
            accepted.close()
        self._unplaced.clear()

    def reload(self, config: Config) -> bool:
        """
        Start workers with these values from now on; those that run are told by who calls.

        Returns:
            Whether another certificate is in use.
        """
        self.config = config
        self.throttle.rules = submission_rules(config.throttle)
        return self._tls.look_again(config.tls)

    @property
    def certificate_fault(self) -> str:
        """What is wrong with the certificate that is there now; empty when nothing is."""
        return self._tls.fault

    def standard_streams_closed(self) -> None:
        """Let the workers fall silent as well; those that are started later inherit silence."""
        for worker in self.all_workers:
            if worker.ready:
                worker.link.tell("silence")

    # connections

    def _place(self, service: str, accepted: socket.socket) -> None:
        self._unplaced.append((service, accepted))
        if len(self._unplaced) == 1:
            self._place_waiting()

    def _place_waiting(self) -> None:
        if self._placing is not None and self._placing.active():
            self._placing.cancel()
        while self._unplaced:
            service, accepted = self._unplaced[0]
            if not self._hand_over(service, accepted):
                self.listeners.pause()
                if any(worker.accepts for worker in self.workers):
                    self._placing = self._reactor.callLater(PLACE_AGAIN_SECONDS, self._place_waiting)
                return
            accepted.close()
            self._unplaced.popleft()
        self.listeners.resume()

    def _hand_over(self, service: str, accepted: socket.socket) -> bool:
        network = f"{service} {_network(accepted)}"  # limits are for each service by itself
        self._turn = (self._turn + 1) % max(1, len(self.workers))
        turned = [*self.workers[self._turn :], *self.workers[: self._turn]]
        self._number += 1
        for worker in sorted(turned, key=lambda each: (not each.answers, each.networks[network], len(each.peers))):
            if worker.take(self._number, service, network, accepted):
                return True
        return False

    def _workers_changed(self) -> None:
        if self._unplaced:
            self._place_waiting()

    async def _admit(self) -> None:
        """A certificate has come: let all workers have it before connections come that need it."""
        # One that ends meanwhile is started again, with the certificate.
        await DeferredList([worker.ask("tls.look") for worker in self.workers if worker.ready], consumeErrors=True)

    # what workers ask for

    def _poke(self) -> None:
        if self.queue is not None and self.queue.ready:
            _ = self.queue.ask("queue.poke").addErrback(lambda _: None)

    def _let_go(self, source: Worker, account_id: int) -> None:
        for worker in self.all_workers:
            if worker is not source and worker.ready:
                worker.link.tell("let_go", account_id=account_id)


def _network(accepted: socket.socket) -> str:
    try:
        peer: Any = accepted.getpeername()
    except OSError:
        return ""
    if not isinstance(peer, tuple):
        return ""
    return network_of(plain_ip(str(peer[0])))
