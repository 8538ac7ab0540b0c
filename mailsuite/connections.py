"""How many connections there may be: in all, of one network, of one account, and new ones in a minute."""

from collections import Counter, deque
from collections.abc import Callable

import attrs

MINUTE_SECONDS = 60
NETWORKS_TRACKED_MAX = 100_000


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """
    What one service takes.

    Args:
        total: in all.
        per_network: of one network, see `mailsuite.peers.network_of`.
        per_account: of one account.
        per_minute: new ones of one network in a minute; 0 is no limit.
    """

    total: int
    per_network: int
    per_account: int
    per_minute: int = 0


@attrs.define
class ConnectionTable:
    """
    Who is connected, and how often lately.

    What has no network, such as a unix socket, is not limited by it.

    Args:
        limits: None for none; may be changed.
        seconds: a monotonic clock.
    """

    limits: ConnectionLimits | None
    seconds: Callable[[], float]
    total: int = attrs.field(default=0, init=False)
    _networks: Counter[str] = attrs.field(factory=Counter, init=False)
    _accounts: Counter[str] = attrs.field(factory=Counter, init=False)
    _recent: dict[str, deque[float]] = attrs.field(factory=dict, init=False)

    def admit(self, network: str) -> bool:
        """Count a new connection; False, and not counted, when it is one too many."""
        limits = self.limits
        if limits is not None and (self.total >= limits.total or self._is_one_too_many(network, limits)):
            return False
        self.total += 1
        self._networks[network] += 1
        return True

    def move(self, network: str, other: str) -> bool:
        """Count a connection for another network; False, and nothing changed, when that has too many."""
        if self.limits is not None and self._is_one_too_many(other, self.limits):
            return False
        _lower(self._networks, network)
        self._networks[other] += 1
        return True

    def leave(self, network: str) -> None:
        """A counted connection has ended."""
        self.total -= 1
        _lower(self._networks, network)

    def join_account(self, account: str) -> bool:
        """Count a login; False, and not counted, when the account has too many connections."""
        if self.limits is not None and self._accounts[account] >= self.limits.per_account:
            return False
        self._accounts[account] += 1
        return True

    def leave_account(self, account: str) -> None:
        """A counted login has ended."""
        _lower(self._accounts, account)

    def _is_one_too_many(self, network: str, limits: ConnectionLimits) -> bool:
        return bool(network) and (
            self._networks[network] >= limits.per_network
            or (limits.per_minute > 0 and self._too_often(network, limits.per_minute))
        )

    def _too_often(self, network: str, most: int) -> bool:
        now = self.seconds()
        if network not in self._recent and len(self._recent) >= NETWORKS_TRACKED_MAX:
            self._recent.pop(next(iter(self._recent)))
        times = self._recent.setdefault(network, deque())
        while times and times[0] <= now - MINUTE_SECONDS:
            times.popleft()
        if len(times) >= most:
            return True
        times.append(now)
        return False


def _lower(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]
