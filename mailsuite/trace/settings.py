"""What the trace is told: for how long, and how much."""

import attrs


@attrs.frozen(kw_only=True)
class TraceSettings:
    """
    The ``[trace]`` table.

    Args:
        days: how long what happened to a message is kept; 0 keeps nothing.
        max_octets: of all days together; beyond it the oldest go first.
    """

    days: int = 30
    max_octets: int = 1_000_000_000
