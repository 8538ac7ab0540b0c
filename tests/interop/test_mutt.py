"""mutt and neomutt list a mailbox and move messages."""

import fcntl
import os
import pty
import select
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop
SCREEN_SECONDS = 30


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, command: Sequence[str], home: Path) -> None:
        self.screen = b""
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8"}
            os.execve(command[0], command, environment)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def _read(self) -> bool:
        try:
            piece = os.read(self.descriptor, 65536)
        except OSError:  # the program has ended
            return False
        self.screen += piece
        return bool(piece)

    def wait_for(self, text: bytes) -> None:
        """Read until it was shown."""
        deadline = time.monotonic() + SCREEN_SECONDS
        while text not in self.screen:
            ready, _, _ = select.select([self.descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready and self._read(), self.screen[-2000:]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.descriptor, keys)

    def wait(self) -> int:
        """Read to the end; give the exit status."""
        while self._read():
            pass
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.mark.parametrize("name", ["mutt", "neomutt"])
def test_mutt_lists_and_moves(demo, account, program, tmp_path: Path, name: str) -> None:
    target = account()
    for number in range(3):
        demo.send(target, f"Subject: letter {number}\r\n\r\nbody\r\n")
    demo.eventually(lambda: demo.count(target), lambda count: count == 3)
    user = target.email.replace("@", "%40")
    url = f"imaps://{user}@localhost:{demo.port('imaps')}"
    configuration = tmp_path / "muttrc"
    configuration.write_text(
        f'set imap_user="{target.email}"\nset imap_pass="{target.password}"\n'
        f'set folder="{url}/"\nset spoolfile="{url}/INBOX"\n'
        f'set certificate_file="{demo.certificate}"\nset ssl_verify_host=no\n'
        "set quit=yes\nset delete=yes\nset move=no\nset confirmappend=no\nset confirmcreate=no\nset wait_key=no\n"
    )
    mutt = Terminal([program(name, name), "-n", "-F", str(configuration)], tmp_path)
    mutt.wait_for(b"letter 0")
    mutt.wait_for(b"letter 2")
    mutt.type(b"T~s letter.1\n")
    mutt.type(b";s=Archive\n")
    mutt.wait_for(b"Archive")
    mutt.type(b"$")
    mutt.type(b"q")
    assert mutt.wait() == 0
    assert demo.count(target) == 2
    assert demo.count(target, "Archive") == 1
