"""The manhole's place in the server: its own port, opened last and closed first."""

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IProtocolFactory

from mailsuite.config import Config
from mailsuite.config.model import MANHOLE
from mailsuite.config.tls import ReloadingTLS
from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.manhole import Ask, ensure_host_key
from mailsuite.service.listeners import Listeners


class Manhole:
    """
    Listens for operators, if the configuration names who may come in.

    Args:
        wanted: this process is the one to ask.
    """

    def __init__(self, config: Config, tls: ReloadingTLS, reactor: Any, *, wanted: bool) -> None:
        self._config = config
        self._reactor = reactor
        services = [MANHOLE] if wanted and MANHOLE in config.services() else []
        self._listeners = Listeners(config, services, tls, reactor)
        self.bind = self._listeners.bind
        self.unbind = self._listeners.unbind
        self.close = self._listeners.close

    async def open(self, ask: Ask, names: Mapping[str, object], disk: Disk) -> None:
        """
        Accept connections.

        Args:
            names: what the typist finds beside ``ops``: the configuration, and parts of the server as they are.

        Raises:
            MailError: the port or the host key cannot be had.
        """

        def make_factory(_service: str) -> IProtocolFactory:
            from mailsuite.manhole import ManholeFactory

            settings = self._config.manhole
            try:
                ensure_host_key(settings.host_key, disk)
                return ManholeFactory(ask, names, settings=settings, host_key=settings.host_key, reactor=self._reactor)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise MailError(Kind.INVALID, f"manhole.host_key {settings.host_key}: {reason}") from error

        await self._listeners.open(make_factory)
