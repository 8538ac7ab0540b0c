"""
A worker process: ``python -m mailsuite.service.worker``, started by the parent and by nobody else.

It says nothing and reads nothing but what comes over the link, and ends when the parent is gone: whatever it had
acknowledged is on disk, and its successor goes on.
"""

import gc
import os
import signal
import socket
import stat
import sys
from collections.abc import Mapping
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.protocol import Factory
from twisted.logger import globalLogBeginner

from mailsuite.config import ConfigError
from mailsuite.errors import Kind, MailError
from mailsuite.service.affinity import choose, processors, run_on
from mailsuite.service.application import (
    PRIVATE_UMASK,
    SWITCH_INTERVAL_SECONDS,
    make_log_observer,
    open_log,
    raise_file_limit,
    reopen_log,
)
from mailsuite.service.crew import CHANNEL_DESCRIPTOR, LINK_DESCRIPTOR, unpacked
from mailsuite.service.link import Link
from mailsuite.service.reload import read_given
from mailsuite.service.roles import Role
from mailsuite.service.seat import Seat
from mailsuite.service.suite import Suite

ORPHAN_SECONDS = 3.0
"""So long a worker whose parent is gone tries to end in order."""
USAGE = "this is a part of mailsuite, which starts it by itself: set server.workers and run mailsuite serve"


class WorkerProcess:
    """The process: from the parent's first words to its end."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._suite: Suite | None = None
        self._stopping = False
        self._link = Link(
            {"begin": self._begin, "ping": _answer},
            {"stop": lambda _: self.stop(), "silence": _fall_silent},
            self._orphaned,
        )
        self._channel = socket.socket(fileno=CHANNEL_DESCRIPTOR)

    def run(self) -> int:
        """Serve until told to stop; give the exit status."""
        self._channel.setblocking(False)  # noqa: FBT003 - the socket module's signature
        os.set_blocking(LINK_DESCRIPTOR, False)
        factory = Factory.forProtocol(lambda: self._link)
        self._reactor.adoptStreamConnection(LINK_DESCRIPTOR, socket.AF_UNIX, factory)
        os.close(LINK_DESCRIPTOR)
        self._reactor.callWhenRunning(self._listen_to_signals)
        self._reactor.run()
        return 0

    def _listen_to_signals(self) -> None:
        # It may come to one process, or to all of a group together with their parent.
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self.stop))

    async def _begin(self, request: Mapping[str, Any]) -> object:
        """Start to serve; what the system refuses, the parent is to say in the same words as it would of itself."""
        try:
            return await self._start(request)
        except (OSError, ConfigError) as error:
            raise MailError(Kind.UNAVAILABLE, str(error).splitlines()[0]) from error

    async def _start(self, request: Mapping[str, Any]) -> object:
        config = read_given(request["given"], request["path"])
        number = request["number"]
        if config.server.pin_threads:
            run_on(choose(processors(), number))
        stream = open_log(config)
        observer = make_log_observer(config, stream, self._reactor)
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
        pair = request["pair"]
        seat = Seat(
            name=request["name"],
            number=number,
            count=request["count"],
            link=self._link,
            channel=self._channel,
            pair=None if pair is None else unpacked(pair),
        )
        self._suite = Suite(config, self._reactor, [Role(name) for name in request["roles"]], seat=seat)
        self._suite.on_reload = lambda: reopen_log(config, stream)
        self._suite.privilegedStartService()
        if os.getppid() != request["parent"]:
            # Who waited for the locks of our siblings before we had ours may have all that we are about to open.
            raise MailError(Kind.UNAVAILABLE, "the parent is gone")
        self._suite.startService()
        await self._suite.when_ready()
        gc.collect()
        gc.freeze()  # as in a single process: what is there now stays for good
        return None

    def stop(self) -> None:
        """Let sessions finish, then end."""
        if self._stopping:
            return
        self._stopping = True
        stopping: Any = None if self._suite is None else self._suite.stopService()
        if stopping is None:
            self._reactor.stop()
        else:
            stopping.addBoth(lambda _: self._reactor.stop())

    def _orphaned(self) -> None:
        if not self._reactor.running or (self._stopping and self._suite is None):
            return
        self._reactor.callLater(ORPHAN_SECONDS, os._exit, 1)
        if self._suite is not None:
            self._suite.listeners.abort()
        self.stop()


async def _answer(_request: object) -> object:
    """We live."""
    return None


def _fall_silent(_note: object) -> None:
    """Whoever started the server in the background does not listen any more."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    os.close(nothing)


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def main() -> None:
    """Run."""
    if not all(_is_socket(descriptor) for descriptor in (LINK_DESCRIPTOR, CHANNEL_DESCRIPTOR)):
        raise SystemExit(USAGE)
    # Ctrl-C and SIGHUP are the parent's, also when they come to all of a group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    os.umask(PRIVATE_UMASK)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    raise_file_limit()
    sys.exit(WorkerProcess(installed).run())


if __name__ == "__main__":
    main()
