"""Going on in the background: whoever asked for it waits until the server is ready, or hears why it will not be."""

import os
import sys

READY = "mailsuite is ready"


def detach() -> None:
    """
    Go on in a process of its own session, without terminal and input.

    The process that called this waits, says what the new one says until that is ready or has ended, and ends itself.
    Then the new one calls `fall_silent`: nobody hears it.

    Raises:
        SystemExit: in the process that called; status 0 if the server is ready.
    """
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        os.waitpid(child, 0)
        raise SystemExit(0 if _relay(reading) else 1)
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(0)  # who leads no session can get no terminal
    for number in (1, 2):
        os.dup2(writing, number)
    os.close(writing)
    _point_at_nothing(0)


def fall_silent() -> None:
    """Let what goes to standard output and error go nowhere."""
    _point_at_nothing(1, 2)


def _point_at_nothing(*numbers: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in numbers:
        os.dup2(nothing, number)
    os.close(nothing)


def _relay(reading: int) -> bool:
    """Pass on what the server says; True if it became ready."""
    with open(reading, encoding="utf-8", errors="backslashreplace") as stream:
        for line in stream:
            ready = line.rstrip("\n") == READY
            print(line, end="", file=sys.stdout if ready else sys.stderr, flush=True)
            if ready:
                return True
    return False
