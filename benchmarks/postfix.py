"""Run Debian's Postfix on loopback, in folders of its own, as the peer of a measurement. Needs root."""

import contextlib
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import servers

OWNER = "postfix"
MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/log
maillog_file_prefixes = {folder}
myhostname = peer.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
message_size_limit = 52428800
in_flow_delay = 0
default_process_limit = 100
virtual_mailbox_domains = example.test
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = texthash:{folder}/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_tls_security_level = none
"""
MASTER = """
{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@contextlib.contextmanager
def postfix(folder: Path, accounts: int = 1, extra: str = "") -> Iterator[tuple[int, int]]:
    """Run it; mail for the accounts lies below ``folder/mail``. Gives the process id of its master, and its port."""
    port = servers.free_offset() + 25
    owner = pwd.getpwnam(OWNER)
    for name in ("etc", "spool", "data", "mail"):
        (folder / name).mkdir(parents=True)
    for name in ("data", "mail"):
        os.chown(folder / name, owner.pw_uid, owner.pw_gid)
    for parent in (folder, *folder.parents[:-2]):
        parent.chmod(parent.stat().st_mode | 0o711)
    values = {"folder": folder, "uid": owner.pw_uid, "gid": owner.pw_gid, "port": f"127.0.0.1:{port}"}
    (folder / "etc" / "main.cf").write_text(MAIN.format(**values) + extra, encoding="ascii")
    (folder / "etc" / "master.cf").write_text(MASTER.format(**values), encoding="ascii")
    lines = [f"{address} {address.partition('@')[0]}/\n" for address in servers.addresses(accounts)]
    (folder / "mailboxes").write_text("".join(lines), encoding="ascii")
    command = [servers.program("postfix", "postfix"), "-c", str(folder / "etc")]
    said = subprocess.run([*command, "start"], check=False, capture_output=True, text=True)
    if said.returncode:
        raise SystemExit(f"Postfix does not start: {said.stderr}")
    try:
        master = int((folder / "spool" / "pid" / "master.pid").read_text(encoding="ascii"))
        yield master, port
    finally:
        subprocess.run([*command, "stop"], check=False, capture_output=True)
