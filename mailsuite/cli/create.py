"""Make a server in a folder: configuration, folders, databases, keys. Used by ``init`` and ``demo``."""

import datetime as dt
import json
import os
import tomllib

import attrs

from mailsuite.address import normalize_domain
from mailsuite.config import Config, parse_config
from mailsuite.config.publish import ensure_dkim_key
from mailsuite.config.tls import write_self_signed
from mailsuite.directory import DirectoryDatabase
from mailsuite.directory.domains import Domains
from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.manhole import ensure_host_key

FILE_NAME = "mailsuite.toml"


@attrs.frozen(kw_only=True)
class Plan:
    """
    What to make.

    Args:
        folder: absolute; may exist.
        listen: an address; empty means all.
        self_signed: make a certificate; otherwise services with TLS wait for one from elsewhere.
        extra: further lines of the configuration.
    """

    folder: str
    hostname: str
    domain: str
    port_offset: int = 0
    listen: str = ""
    self_signed: bool = False
    extra: str = ""

    @property
    def path(self) -> str:
        """The configuration file."""
        return os.path.join(self.folder, FILE_NAME)

    def text(self) -> str:
        """Write the configuration file."""
        if self.self_signed:
            certificate, key = "data/keys/tls/cert.pem", "data/keys/tls/key.pem"
        else:
            live = f"/etc/letsencrypt/live/{self.hostname}"
            certificate, key = f"{live}/fullchain.pem", f"{live}/privkey.pem"
        lines = [
            "# The configuration of this server. All keys and their defaults: etc/mailsuite.toml in the source,",
            "# or: mailsuite config show",
            "",
            "[server]",
            f"hostname = {_toml(self.hostname)}",
            'data_dir = "data"',
        ]
        if self.port_offset:
            lines.append(f"port_offset = {self.port_offset}")
        if self.listen:
            lines.append(f"listen_address = {_toml(self.listen)}")
        lines += [
            "",
            "[tls]",
            f"certificate = {_toml(certificate)}",
            f"private_key = {_toml(key)}",
        ]
        if self.self_signed:
            lines.append("self_signed = true")
        return "\n".join(lines) + "\n" + self.extra


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def create_server(plan: Plan, disk: Disk) -> Config:
    """
    Make everything; a second try after a failure goes on where the first one ended.

    The configuration file is written last: while it is not there, nothing has been promised.

    Raises:
        MailError: EXISTS when there is a configuration file; INVALID for a name that is none.
        ConfigError: the environment says something that does not fit.
        OSError: the disk does not take it.
    """
    if os.path.lexists(plan.path):
        raise MailError(Kind.EXISTS, f"{plan.path} is there already; nothing was changed")
    plan = attrs.evolve(plan, hostname=normalize_domain(plan.hostname), domain=normalize_domain(plan.domain))
    text = plan.text()
    config = parse_config(tomllib.loads(text), plan.path, os.environ)
    data = config.server.data_dir
    for folder in ("data", "run", "log"):
        disk.make_folders(os.path.join(plan.folder, folder))
    for folder in ("mail", "spool", "keys/dkim", "keys/tls", "keys/manhole"):
        disk.make_folders(os.path.join(data, folder))
    database = DirectoryDatabase(config.database.url, disk)
    database.migrate()
    try:
        Domains(database).add(plan.domain)
    except MailError as error:
        if error.kind is not Kind.EXISTS:
            raise
    database.close()
    ensure_dkim_key(data, plan.domain, disk)
    ensure_host_key(config.manhole.host_key, disk)
    if plan.self_signed and not os.path.exists(config.tls.certificate):
        write_self_signed(config.tls, plan.hostname, disk, dt.datetime.now(dt.UTC))
    disk.replace_file(plan.path, text.encode("utf-8"))
    return config
