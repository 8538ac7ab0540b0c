"""A Dovecot of the test's own: its configuration and mail lie in one folder, it listens on loopback."""

import contextlib
import getpass
import grp
import imaplib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from demo_server import CONDITION_SECONDS, eventually
from free_ports import free_port

RUN_SECONDS = 60
VERSION = "2.3."
"""The configuration of other versions looks different."""

MAIN = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:{folder}/mail/%n
mail_fsync = never
mail_max_userip_connections = 100
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%n
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  {chroot}
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  {chroot}
}}
service stats {{
  {chroot}
}}
"""
PASSWORD = "correct-horse-1"  # where it stands, a space would end it


def why_not() -> str:
    """Say why there can be no Dovecot here; empty when there can."""
    path = shutil.which("dovecot")
    if path is None or not Path("/usr/lib/dovecot/imap").exists():
        return "dovecot is not installed; Debian package dovecot-imapd"
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if not done.stdout.startswith(VERSION):
        return f"dovecot is {done.stdout.split()[:1]}, not {VERSION}x; Debian 12's package dovecot-imapd"
    return ""


class Dovecot:
    """One instance; started by root it uses the package's users, otherwise it is its starter's alone."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="dovecot-"))  # pytest's own folders are closed to other users
        self.folder.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        root = os.getuid() == 0
        own = pwd.getpwnam("dovecot" if root else getpass.getuser())
        for name in ("mail", "state", "run"):
            (self.folder / name).mkdir()
        os.chown(self.folder / "mail", own.pw_uid, own.pw_gid)
        self.configuration = self.folder / "dovecot.conf"
        self.configuration.write_text(
            MAIN.format(
                folder=self.folder,
                internal=own.pw_name,
                internal_group=grp.getgrgid(own.pw_gid).gr_name,
                login="dovenull" if root else own.pw_name,
                password=PASSWORD,
                uid=own.pw_uid,
                gid=own.pw_gid,
                chroot="" if root else "chroot =",
                port=self.port,
            )
        )

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self.process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(self.configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self._listens, bool)

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"dovecot ended\n{self.log()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), CONDITION_SECONDS):
            return True
        return False

    def stop(self) -> None:
        """End it and remove what it had."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(CONDITION_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder)

    @contextlib.contextmanager
    def imap(self, name: str) -> Iterator[imaplib.IMAP4]:
        """Log in as somebody, who is made where there was nobody."""
        client = imaplib.IMAP4("127.0.0.1", self.port, timeout=CONDITION_SECONDS)
        try:
            client.login(name, PASSWORD)
            yield client
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    def log(self) -> str:
        """Read what it said."""
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""
