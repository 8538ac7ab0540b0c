"""``ops``: what an operator asks the server in the manhole."""

import inspect
from collections.abc import Mapping
from typing import Protocol

from mailsuite.manhole.tables import Facts, Table


class Ask(Protocol):
    """Asks the server, in whatever process what is asked for runs."""

    async def __call__(self, command: str, **arguments: object) -> object:
        """Give the answer as plain values, or raise MailError."""


class Ops:
    """
    The operator's questions. Each answers with a table that prints itself; its rows are dictionaries.

    Args:
        ask: the one way to the server.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def status(self) -> object:
        """Who runs, since when, where."""
        return _shown(await self._ask("status"))

    async def sessions(self) -> object:
        """Open connections: who, from where, what they do, the oldest first."""
        return _shown(await self._ask("sessions"))

    async def end_session(self, id: str) -> object:  # noqa: A002 - as the list calls it
        """End one connection after what is under way."""
        return _shown(await self._ask("session.end", id=id))

    async def accounts(self) -> object:
        """Accounts, each with how many of its connections are open."""
        return _shown(await self._ask("accounts"))

    async def domains(self) -> object:
        """Domains whose mail is ours."""
        return _shown(await self._ask("domains"))

    async def queue(self) -> object:
        """Recipients that wait for delivery."""
        return _shown(await self._ask("queue.list"))

    async def trace(self, id: str) -> object:  # noqa: A002 - as the log calls it
        """What happened to a message, by its queue id or Message-ID."""
        return _shown(await self._ask("trace", id=id), hidden=frozenset({"fields"}))

    async def reload(self) -> object:
        """Look again at what may have changed on disk, such as the certificate."""
        return _shown(await self._ask("reload"))

    async def stalls(self) -> object:
        """Moments in which something held up the server."""
        return _shown(await self._ask("stalls"))

    def __repr__(self) -> str:
        return "\n".join(f"ops.{_signature(name)}  {_purpose(name)}" for name in _questions())


def _questions() -> list[str]:
    return [name for name, member in vars(Ops).items() if inspect.iscoroutinefunction(member)]


def _signature(name: str) -> str:
    parameters = ", ".join(list(inspect.signature(vars(Ops)[name]).parameters)[1:])
    return f"{name}({parameters})".ljust(16)


def _purpose(name: str) -> str:
    return str(vars(Ops)[name].__doc__).strip()


def _shown(answer: object, hidden: frozenset[str] = frozenset()) -> object:
    """Give an answer a form that prints readably."""
    if isinstance(answer, list) and all(isinstance(row, Mapping) for row in answer):
        return Table(answer, hidden)
    if isinstance(answer, Mapping):
        return Facts(answer)
    return answer
