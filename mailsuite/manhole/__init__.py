"""The manhole: a console into the running server over SSH, for who holds a configured key."""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.manhole.factory import ManholeFactory
    from mailsuite.manhole.hostkey import ensure_host_key
    from mailsuite.manhole.ops import Ask, Ops
    from mailsuite.manhole.settings import ManholeSettings

__all__ = ["Ask", "ManholeFactory", "ManholeSettings", "Ops", "ensure_host_key"]

__getattr__ = exporter(
    __name__,
    {
        "Ask": "ops",
        "ManholeFactory": "factory",
        "ManholeSettings": "settings",
        "Ops": "ops",
        "ensure_host_key": "hostkey",
    },
)
