"""The suite as a twistd application: logging, signals, identity, process id file, the line that says it is ready."""

import contextlib
import fcntl
import gc
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.application.service import IProcess, MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import ILogObserver, Logger, globalLogBeginner
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from mailsuite.config import Config
from mailsuite.errors import MailError
from mailsuite.observe import EventLog, LogFile, background, make_observer, open_output
from mailsuite.observe.record import LineStream
from mailsuite.observe.turn import TurnStream
from mailsuite.service.affinity import choose, processors, run_on
from mailsuite.service.identity import Identity, find_identity, prepare_folders
from mailsuite.service.systemd import ServiceManager

READY = "mailsuite is ready"
SWITCH_INTERVAL_SECONDS = 0.002  # worker threads hand the interpreter back sooner than after the usual 5 ms
PRIVATE_UMASK = 0o077
PID_FILE_MODE = 0o644


class StartError(SystemExit, Exception):
    """
    The server cannot start, and has said so: twistd ends without a traceback.

    An `Exception` as well, because twistd's parent in the background is told of nothing else and would wait for ever.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.code = 1


class Application(MultiService):
    """
    What twistd runs: the suite, and what belongs to a process rather than to a library.

    Args:
        suite: what `mailsuite.service.suite.make_suite` gave.
        pidfile: is written and locked; empty is none. One that was left behind never blocks.
        before_ready: awaited between the start of the suite and the line that says that it is ready.
        after_ready: called after that line.
    """

    def __init__(
        self,
        config: Config,
        suite: Any,
        reactor: Any,
        *,
        pidfile: str = "",
        before_ready: Callable[[], Awaitable[None]] | None = None,
        after_ready: Callable[[], None] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        self._config = config
        self._suite = suite
        self._reactor = reactor
        self._pidfile = os.path.abspath(pidfile) if pidfile else ""
        self._pid_descriptor = -1
        self._before_ready = before_ready
        self._after_ready = after_ready
        self._log = EventLog(Logger("mailsuite.service.application"))
        self._log_stream: LineStream | None = None
        self._manager = ServiceManager.from_environment(os.environ, reactor)
        # Twisted redirects the standard streams into the log; these are the real ones.
        self._stdout, self._stderr = sys.stdout, sys.stderr
        suite.on_reload = self.reopen_log
        suite.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Join an application: tell it where the log goes and who to become."""
        if isinstance(parent, Componentized):
            identity = self._identity()
            parent.setComponent(ILogObserver, self.open_log(identity))
            process: Any = IProcess(parent)
            process.uid, process.gid = identity.uid, identity.gid
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]  # Twisted's is not annotated

    def open_log(self, identity: Identity | None = None) -> ILogObserver:
        """
        Open what the configuration says about the log, and give what writes to it.

        Args:
            identity: who the server becomes, and who owns the file then.

        Raises:
            SystemExit: the file cannot be opened.
        """
        self._log_stream = open_log(self._config, identity)
        return make_log_observer(self._config, self._log_stream, self._reactor)

    def reopen_log(self) -> None:
        """Go on in the file that has the log's name now; a log that is no file is left alone."""
        if self._log_stream is not None:
            reopen_log(self._config, self._log_stream)

    def _identity(self) -> Identity:
        """Find who to become, while it can still be said in one line that this is not possible."""
        server = self._config.server
        try:
            identity = find_identity(server)
            prepare_folders(identity, os.path.dirname(self._config.path), [server.data_dir, self._config.run_folder])
        except (MailError, OSError) as error:
            raise SystemExit(f"mailsuite cannot start: {error}") from error
        return identity

    def privilegedStartService(self) -> None:
        """Take what needs rights or must be ours alone: the process id file, locks, ports."""
        os.umask(PRIVATE_UMASK)
        # Until there is something to reload: who rotates logs now must not end a server that starts.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
        if self._config.server.pin_threads and not self._config.server.workers:
            run_on(choose(processors(), os.getpid()))
        raise_file_limit()
        try:
            self._write_pidfile()
            super().privilegedStartService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        except (MailError, OSError) as error:
            self._fail(str(error))
            raise StartError(str(error)) from error
        if os.geteuid() == 0 and not self._config.server.user:
            self._log.emit("service.root.kept")

    def startService(self) -> None:
        """Start the suite, and say when it is ready."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated
        # Not before the reactor runs: until then nobody is answered, and SIGTERM is not ours to catch.
        self._reactor.callWhenRunning(self._running)

    def _running(self) -> None:
        # Twisted's own treatment of SIGTERM ends the process by that signal; a clean stop has the exit status 0.
        def stop(_number: int, _frame: object) -> None:
            self._reactor.callFromThread(self._stop)

        def hang_up(_number: int, _frame: object) -> None:
            self._reactor.callFromThread(self._hang_up)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, hang_up)
        _ = Deferred.fromCoroutine(self._announce()).addErrback(self._failed)

    def _stop(self) -> None:
        if self._reactor.running:
            with contextlib.suppress(Exception):  # a second signal, while it stops already
                self._reactor.stop()

    def _hang_up(self) -> None:
        _ = background(self._reload(), self._log, "reading the configuration again")

    async def _reload(self) -> None:
        self._manager.reloading()
        try:
            await self._suite.ask("reload")
        except MailError as error:
            self._log.emit("config.file.refused", reason=error.detail)
        finally:
            self._manager.ready(self._status())

    def _status(self) -> str:
        return f"serves {', '.join(self._suite.listeners.services)}"

    async def _announce(self) -> None:
        await self._suite.when_ready()
        if self._before_ready is not None:
            await self._before_ready()
        _spare_the_collector()
        _print(self._stdout, READY)
        self._manager.ready(self._status())
        if self._after_ready is not None:
            self._after_ready()
            self._suite.standard_streams_closed()

    def _failed(self, failure: Failure) -> None:
        error = failure.value
        if isinstance(error, CancelledError) or not self.running:
            return  # told to stop while it started
        known = isinstance(error, MailError | OSError)
        self._fail(str(error) if known else f"{type(error).__name__}: {error}")
        if not known:
            self._log.failure("service.start.failed", failure, reason="an unexpected fault")
        # Nothing that Twisted offers gives the process an exit status; by then everything has stopped.
        self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        self._stop()

    def _fail(self, reason: str) -> None:
        _print(self._stderr, f"mailsuite cannot start: {reason}")
        self._manager.status(f"cannot start: {reason}")

    def stopService(self) -> "Deferred[None]":
        """Stop the suite, then forget the process id."""
        self._manager.stopping("finishes what is under way")
        stopping: Deferred[None] = super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is not annotated

        def stopped(result: object) -> object:
            if self._pid_descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.unlink(self._pidfile)
                os.close(self._pid_descriptor)
                self._pid_descriptor = -1
            return result

        return stopping.addBoth(stopped)

    def _write_pidfile(self) -> None:
        if not self._pidfile:
            return
        descriptor = os.open(self._pidfile, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PID_FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise OSError(f"{self._pidfile} belongs to a server that runs") from error
        os.fchmod(descriptor, PID_FILE_MODE)  # whatever the mask took away: monitors read it
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._pid_descriptor = descriptor


def open_log(config: Config, identity: Identity | None = None) -> LineStream:
    """
    Open what ``log.output`` names.

    Args:
        identity: who the server becomes, and who owns the file then.

    Raises:
        SystemExit: the file cannot be opened.
    """
    output = config.log.output
    try:
        stream = open_output(output)
        if isinstance(stream, LogFile) and identity is not None:
            stream.give(identity.uid, identity.gid)
    except OSError as error:
        raise SystemExit(f"log.output: cannot open {output}: {error.strerror}") from error
    return stream


def reopen_log(config: Config, stream: LineStream) -> None:
    """Go on in the file that has the log's name now; a log that is no file is left alone."""
    if isinstance(stream, LogFile):
        try:
            stream.reopen()
        except OSError as error:
            log = EventLog(Logger("mailsuite.service.application"))
            log.emit("service.log.kept", file=config.log.output, reason=str(error.strerror))


def make_log_observer(config: Config, stream: LineStream, reactor: Any) -> ILogObserver:
    """Make what writes every event of the process, in the form and from the level that the configuration says."""
    turn = TurnStream(stream, reactor)
    reactor.addSystemEventTrigger("after", "shutdown", turn.pass_on)
    return make_observer(turn, config.log.format, config.log.level)


def run_application(application: Application, reactor: Any) -> None:
    """Do what twistd does, in the foreground and without its options; returns when everything has stopped."""
    globalLogBeginner.beginLoggingTo([application.open_log()], redirectStandardIO=False)
    application.privilegedStartService()
    application.startService()
    reactor.addSystemEventTrigger("before", "shutdown", application.stopService)
    reactor.run()


def _print(stream: Any, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # the reader has gone; the server goes on
        stream.write(text + "\n")
        stream.flush()


def _spare_the_collector() -> None:
    """What is there now stays for good: looking for garbage in it held up everybody for more than 50 ms each time."""
    gc.collect()
    gc.freeze()


def raise_file_limit() -> None:
    """Use as many file descriptors as the system grants; each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
