"""Tell whether the machine was restarted since a file was written."""

from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Name this run of the kernel; empty where the system does not tell, which callers take for a restart."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
