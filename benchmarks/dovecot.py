"""Run Debian's Dovecot on loopback, in folders of its own, as the peer of a measurement. Needs root."""

import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import servers

OWNER = "mail"
CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%n
mail_max_userip_connections = 10000
default_client_limit = 20000
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%n
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
  service_count = 0
}}
service imap {{
  process_limit = 5000
}}
"""


@contextlib.contextmanager
def dovecot(folder: Path) -> Iterator[tuple[int, int]]:
    """Run it; mail of an account lies in ``folder/mail/NAME``. Gives the process id of its master, and its port."""
    port = servers.free_offset() + 143
    owner = pwd.getpwnam(OWNER)
    for parent in (folder, *folder.parents[:-2]):
        if parent.is_dir():
            parent.chmod(parent.stat().st_mode | 0o711)
    (folder / "mail").mkdir()
    os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
    values = {"folder": folder, "password": servers.PASSWORD, "uid": owner.pw_uid, "gid": owner.pw_gid, "port": port}
    configuration = folder / "dovecot.conf"
    configuration.write_text(CONFIGURATION.format(**values), encoding="ascii")
    command = [servers.program("dovecot", "dovecot-imapd"), "-F", "-c", str(configuration)]
    with servers.running(command) as process:
        servers.wait_for_port(port, process)
        try:
            yield process.pid, port
        except SystemExit:
            print((folder / "log").read_text(encoding="utf-8", errors="replace")[-1000:])
            raise
