"""When to try again, and when to give up. RFC 5321 section 4.5.4.1."""

import attrs

JITTER_SHARE = 0.1


@attrs.frozen(kw_only=True)
class RetryPlan:
    """
    Growing pauses up to a largest one.

    Args:
        first_seconds: pause after the first attempt.
        factor: how much longer each pause is than the one before.
        lifetime_seconds: age at which there are no further attempts.
    """

    first_seconds: float = 5 * 60.0
    factor: float = 1.5
    max_seconds: float = 4 * 3600.0
    lifetime_seconds: float = 5 * 86400.0

    def delay_seconds(self, attempts: int) -> float:
        """Say how long to wait after so many attempts."""
        delay = self.first_seconds
        for _ in range(attempts - 1):
            delay *= self.factor
            if delay >= self.max_seconds:
                return self.max_seconds
        return min(delay, self.max_seconds)

    def next_attempt(self, created: float, attempts: int, now: float, jitter: float) -> float | None:
        """
        Say when to try again, or None to give up.

        The last attempt is made when the lifetime ends, not some hours before.

        Args:
            created: when the message was accepted, in seconds since the epoch.
            attempts: how many were made.
            jitter: 0 to 1; spreads retries after a restart.
        """
        end = created + self.lifetime_seconds
        if now >= end:
            return None
        delay = self.delay_seconds(attempts)
        return min(now + delay * (1 + JITTER_SHARE * jitter), end)
