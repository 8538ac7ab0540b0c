"""A Postfix of the test's own: its configuration, queue and mail lie in one folder, its ports on loopback."""

import email
import email.policy
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from email.message import EmailMessage
from pathlib import Path

from free_ports import free_port

UTF8 = email.policy.default.clone(utf8=True)
RUN_SECONDS = 60
HOSTNAME = "postfix.test"
"""Mail for anybody there is filed in one Maildir."""
HELD_DOMAIN = "held.test"
"""Mail for it stays in the queue."""

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = {hostname}
mydestination =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtputf8_enable = yes
smtp_tls_security_level = may
relay_domains = {held}
relayhost = [127.0.0.1]:{relay_port}
transport_maps = inline:{{ {held}=held: }}
defer_transports = held
fast_flush_domains =
virtual_mailbox_domains = {hostname}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
"""
MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
held unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""


def why_not() -> str:
    """Say why there can be no Postfix here; empty when there can."""
    if shutil.which("postfix") is None:
        return "postfix is not installed; Debian package postfix"
    if os.getuid() != 0:
        return "postfix is started by root only"
    try:
        pwd.getpwnam("postfix")
    except KeyError:
        return "the system has no user postfix; Debian package postfix"
    return ""


class Postfix:
    """One instance; everything it cannot deliver itself goes to `relay_port`."""

    def __init__(self, relay_port: int) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="postfix-"))  # pytest's own folders are closed to other users
        self.folder.chmod(0o755)
        self.user = pwd.getpwnam("postfix")
        self.configuration = self.make_folder("etc", own=False)
        self.mail = self.make_folder("mail")
        for name in ("spool", "data"):
            self.make_folder(name, own=name == "data")
        values = {
            "folder": self.folder,
            "hostname": HOSTNAME,
            "held": HELD_DOMAIN,
            "relay_port": relay_port,
            "uid": self.user.pw_uid,
            "gid": self.user.pw_gid,
            "port": self.port,
        }
        (self.configuration / "main.cf").write_text(MAIN.format(**values))
        (self.configuration / "master.cf").write_text(MASTER.format(**values))

    def make_folder(self, name: str, *, own: bool = True) -> Path:
        """Make a folder into which Postfix may write, if it is its own."""
        path = self.folder / name
        path.mkdir()
        if own:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def start(self) -> None:
        """Start it; it listens when this returns."""
        self._run("postfix", "-c", str(self.configuration), "start")

    def stop(self) -> None:
        """End it and remove what it had."""
        self._run("postfix", "-c", str(self.configuration), "stop")
        shutil.rmtree(self.folder)

    def log(self) -> str:
        """Read what it said."""
        path = self.folder / "log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def received(self, subject: str = "") -> list[EmailMessage]:
        """Read the messages in its Maildir, those with a subject only, if one is named."""
        paths = sorted((self.mail / "box/new").glob("*"))
        messages = [email.message_from_bytes(path.read_bytes(), policy=UTF8) for path in paths]
        return [message for message in messages if not subject or message["Subject"] == subject]

    def queued(self) -> dict[str, str]:
        """Read the envelopes that wait: each queue id with what Postfix knows of it."""
        paths = [path for path in (self.folder / "spool/deferred").glob("*/*") if path.is_file()]
        return {
            path.name: self._run("postcat", "-c", str(self.configuration), "-e", str(path))
            for path in paths
            if re.fullmatch(r"[0-9A-Za-z]+", path.name)
        }
