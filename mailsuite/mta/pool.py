"""
Connections to other hosts that carried a message and may carry another one.

A connection is used for one message at a time; between two it is watched, and whatever the far side says or does then
ends it. Few are kept, and for a moment only: other hosts count connections too.
"""

from collections.abc import Hashable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mailsuite.smtp.connection import Connection


@attrs.define(eq=False)
class _Idle:
    key: Hashable
    connection: Connection
    timer: Any = None


class ConnectionPool:
    """
    Keeps connections between messages.

    Args:
        reactor: the clock.
        idle_max: connections kept at a time; the one that has waited longest makes room.
        idle_seconds: how long each waits for a message.
        life_seconds: a connection older than this is not kept.
    """

    def __init__(self, reactor: IReactorTime, *, idle_max: int, idle_seconds: float, life_seconds: float) -> None:
        self._reactor = reactor
        self._idle_max = idle_max
        self._idle_seconds = idle_seconds
        self._life_seconds = life_seconds
        self._by_key: dict[Hashable, list[_Idle]] = {}
        self._all: dict[_Idle, None] = {}  # in the order in which they came
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def take(self, key: Hashable) -> Connection | None:
        """
        Give a connection that waits; the one that came last, so that the others may end.

        Args:
            key: whatever two messages must have in common to go over the same connection.
        """
        while idle := self._by_key.get(key):
            connection = self._remove(idle[-1])
            if connection.reusable:
                return connection
            connection.abort()
        return None

    def give(self, key: Hashable, connection: Connection) -> None:
        """Take a connection after a message, and keep it or end it."""
        age = self._reactor.seconds() - connection.opened
        if self._closed or not self._idle_max or not connection.reusable or age >= self._life_seconds:
            connection.leave()
            return
        if len(self._all) >= self._idle_max:
            self._remove(next(iter(self._all))).leave()
        idle = _Idle(key, connection)
        idle.timer = self._reactor.callLater(self._idle_seconds, self._leave, idle)
        self._by_key.setdefault(key, []).append(idle)
        self._all[idle] = None
        connection.watch(lambda: self._remove(idle).abort())

    async def close(self) -> None:
        """Say goodbye to all hosts, keep nothing any more, and wait for them for as long as that may take each."""
        self._closed = True
        endings = [self._end(self._remove(idle)) for idle in list(self._all)]
        for ending in endings:
            await ending

    @staticmethod
    def _end(connection: Connection) -> "Deferred[None]":
        ended: Deferred[None] = Deferred()
        connection.watch(lambda: ended.callback(None))
        connection.leave()
        return ended

    def _leave(self, idle: _Idle) -> None:
        self._remove(idle).leave()

    def _remove(self, idle: _Idle) -> Connection:
        del self._all[idle]
        siblings = self._by_key[idle.key]
        siblings.remove(idle)
        if not siblings:
            del self._by_key[idle.key]
        if idle.timer.active():
            idle.timer.cancel()
        idle.connection.watch(None)
        return idle.connection
