"""
How often somebody may do something: one limiter with named rules.

The rule is the generic cell rate algorithm: of each key one number is kept, the moment at which its allowance would be
whole again if nothing more happened. Up to `Rule.limit` may come at once, and then one every ``period / limit``. What
exceeds that may be booked for later, as far ahead as `Rule.patience_seconds`.

Counts lie in memory: a new start forgets them. Where several processes serve, their parent counts for all.
"""

from collections.abc import Callable, Mapping, Sequence

import attrs
from zope.interface import implementer

from mailsuite.directory.settings import ThrottleSettings
from mailsuite.interfaces import Claim, Grant, IThrottle

KEYS_MAX = 100_000
"""Keys that are remembered; beyond that, the one that was silent for longest is forgotten."""

MINUTE_SECONDS = 60.0
HOUR_SECONDS = 3600.0
DAY_SECONDS = 86400.0
NOTICES_PER_HOUR = 1
"""How often an account is told that its mail is held."""


@attrs.frozen(kw_only=True)
class Rule:
    """
    One limit.

    Args:
        limit: how often in `period_seconds`, on average and at once; at least 1.
        patience_seconds: how far ahead something may be booked; 0 allows now or never.
    """

    limit: int
    period_seconds: float
    patience_seconds: float = 0.0


@attrs.frozen
class Step:
    """
    What one claim comes to.

    Args:
        whole_at: when the allowance is whole again, if the claim is counted.
        wait_seconds: until what is claimed may be done.
    """

    whole_at: float
    wait_seconds: float


def gcra(whole_at: float, now: float, rule: Rule, amount: int = 1) -> Step:
    """
    Compute what a claim comes to.

    Args:
        whole_at: when the allowance of this key is whole again; in the past for one that was never seen.
        now: in the same seconds.
        amount: how often at once; what is more than the limit does not count, or it could never be done.
    """
    # A clock that was set back must not make anybody wait for longer than rules do.
    whole_at = min(whole_at, now + rule.period_seconds + rule.patience_seconds)
    after = max(whole_at, now) + min(amount, rule.limit) * rule.period_seconds / rule.limit
    return Step(after, max(0.0, after - now - rule.period_seconds))


def submission_rules(settings: ThrottleSettings) -> Mapping[str, Rule]:
    """Give the rules for mail of our own accounts; none where rates are not limited."""
    if not settings.rates:
        return {}
    patience = settings.hold_max_seconds
    wanted = {
        "submission.sender": (settings.messages_per_sender_minute, MINUTE_SECONDS, patience),
        "submission.hour": (settings.messages_per_account_hour, HOUR_SECONDS, patience),
        "submission.day": (settings.messages_per_account_day, DAY_SECONDS, patience),
        "submission.recipients": (settings.recipients_per_account_day, DAY_SECONDS, patience),
        "submission.null": (settings.null_senders_per_account_hour, HOUR_SECONDS, 0.0),
        "submission.notice": (NOTICES_PER_HOUR, HOUR_SECONDS, 0.0),
    }
    return {
        name: Rule(limit=limit, period_seconds=period, patience_seconds=patience)
        for name, (limit, period, patience) in wanted.items()
        if limit > 0
    }


@implementer(IThrottle)
class Throttle:
    """
    Counts in this process.

    Args:
        rules: by name; may be exchanged.
        seconds: what time it is.
        keys_max: see `KEYS_MAX`.
    """

    def __init__(self, rules: Mapping[str, Rule], seconds: Callable[[], float], *, keys_max: int = KEYS_MAX) -> None:
        self.rules = rules
        self._seconds = seconds
        self._keys_max = keys_max
        self._whole_at: dict[tuple[str, str], float] = {}  # the one that was silent for longest is the first

    async def take(self, claims: Sequence[Claim]) -> Grant:
        """Count all claims, or none; who must wait waits for the slowest rule."""
        now = self._seconds()
        self._forget(now)
        counted: dict[tuple[str, str], float] = {}
        grant = Grant(allowed=True)
        for claim in claims:
            rule = self.rules.get(claim.rule)
            if rule is None:
                continue
            key = (claim.rule, claim.key)
            step = gcra(counted.get(key, self._whole_at.get(key, 0.0)), now, rule, claim.amount)
            counted[key] = step.whole_at
            refused = step.wait_seconds > rule.patience_seconds
            if refused:
                wait = step.wait_seconds - rule.patience_seconds
                if grant.allowed or wait > grant.wait_seconds:
                    grant = Grant(allowed=False, wait_seconds=wait, rule=claim.rule, limit=rule.limit)
            elif grant.allowed and step.wait_seconds > grant.wait_seconds:
                grant = Grant(allowed=True, wait_seconds=step.wait_seconds, rule=claim.rule, limit=rule.limit)
        if grant.allowed:
            for key, whole_at in counted.items():
                self._whole_at.pop(key, None)
                self._whole_at[key] = whole_at
        return grant

    @property
    def size(self) -> int:
        """How many keys are remembered."""
        return len(self._whole_at)

    def _forget(self, now: float) -> None:
        """Forget keys whose allowance is whole, and those that are too many."""
        while self._whole_at:
            key = next(iter(self._whole_at))
            if self._whole_at[key] > now and len(self._whole_at) <= self._keys_max:
                return
            del self._whole_at[key]
