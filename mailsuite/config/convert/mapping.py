"""
The tables: every key of the other servers, and what becomes of it.

The keys are those that each server documents; where its documents name only a section, the usual spellings stand side
by side. Lists are written ``domains[].name``.
"""

from collections.abc import Mapping, Sequence

import attrs

from mailsuite.config.convert import kinds
from mailsuite.config.convert.outcomes import Turn
from mailsuite.config.convert.turns import (
    address_and_port,
    by_truth,
    captured_domains,
    certbot,
    cleartext,
    data_folder,
    database_file,
    database_url,
    dkim_key,
    domains,
    file_to,
    log_output,
    mechanisms,
    normalize_host,
    one_of,
    port,
    redis_address,
    redis_url,
    remark,
    secret,
    to,
    together,
    where_tls_is_on,
)

AUTH_STAYS = remark("logins stay on offer, since nobody sends mail elsewhere without one")
LOGIN_TO_SEND = remark("needs no key: submission always asks for a login, reception never, and strangers relay nowhere")
LOG_FORMAT = one_of({"json": "json", "text": "text", "console": "text", "plain": "text"}, "log.format")
LEVEL = to(kinds.level, "log.level")
NOT_IN_THIS_FILE = 'accounts and mail are not in this file; see the page "Coming from another server"'
NO_DOMAINS = "domains are not in this file; add each with: mailsuite domain add DOMAIN"
CAUGHT_MAIL = (
    "mail was kept in Redis for a day, for any name; here the commands below do the same, in a mailbox for each name "
    "of the account capture@DOMAIN; another time: mailsuite domain set DOMAIN --capture-retention 7d"
)
NO_REST_API = "there is no REST API yet; to read mail by IMAP or POP3, take its line out of [listen]"
VERIFY = to(kinds.boolean, "msgauth.verify")


@attrs.frozen(kw_only=True)
class System:
    """
    Another mail server.

    Args:
        title: as its own documents call it.
        format: of its file.
        services: those of ours that it has as well; the others are turned off.
        rules: what becomes of each key; several spellings may stand in one row, with spaces between them.
        implied: what it does without a key that says so, and why we write it down.
        remarks: what else whoever moves has to know.
    """

    title: str
    format: str
    services: frozenset[str]
    rules: Mapping[str, Turn]
    implied: Mapping[str, tuple[object, str]] = attrs.field(factory=dict)
    remarks: Sequence[str] = (NOT_IN_THIS_FILE,)

    def find(self, key: str) -> Turn | None:
        """Look a key up; list numbers are left out."""
        return next((turn for names, turn in self.rules.items() if key in names.split()), None)


EMAIL_SERVER_SUITE = System(
    title="Email Server Suite",
    format="ini",
    services=frozenset({"smtp", "submission", "submissions", "imap", "imaps", "pop3", "pop3s"}),
    implied={"storage.layout": ("domain", "folders lie as root/domain/user")},
    rules={
        "tls.certificate tls.cert tls.cert_file tls.certificate_file": file_to("tls.certificate"),
        "tls.private_key tls.key tls.key_file tls.private_key_file": file_to("tls.private_key"),
        "tls.enabled tls.enable": by_truth(remark("needs no key: TLS is on where there is a certificate"), cleartext),
        "tls.min_version tls.minimum_version": one_of(
            {"1.2": "1.2", "tls1.2": "1.2", "tlsv1.2": "1.2", "1.3": "1.3", "tls1.3": "1.3", "tlsv1.3": "1.3"},
            "tls.min_version",
        ),
        "database.path database.file database.database database.users database.users_db database.db_path": together(
            database_file, data_folder
        ),
        "storage.maildir_root storage.root storage.maildir storage.maildir_path storage.path": file_to(
            "storage.maildir_root"
        ),
        "smtp.hostname server.hostname": to(normalize_host, "server.hostname"),
        "smtp.local_domains smtp.domains server.local_domains": domains,
        "smtp.require_auth": LOGIN_TO_SEND,
        "smtp.enable_auth smtp.auth": AUTH_STAYS,
        "smtp.require_tls": to(kinds.boolean, "submission.require_tls"),
        "smtp.port smtp.smtp_port": port("smtp"),
        "smtp.submission_port": port("submission"),
        "smtp.smtps_port smtp.tls_port smtp.ssl_port": port("submissions"),
        "smtp.max_message_size smtp.message_size_limit": to(kinds.whole, "smtp.message_max_octets"),
        "smtp.timeout": to(kinds.whole, "smtp.command_seconds"),
        "imap.port imap.imap_port": port("imap"),
        "imap.imaps_port imap.tls_port imap.ssl_port": port("imaps"),
        "imap.timeout": to(kinds.whole, "imap.idle_seconds"),
        "pop3.port pop3.pop3_port": port("pop3"),
        "pop3.pop3s_port pop3.tls_port pop3.ssl_port": port("pop3s"),
        "pop3.timeout": to(kinds.whole, "pop3.idle_seconds"),
        "server.bind_address server.listen_address smtp.bind_address smtp.listen_address": to(
            kinds.address, "server.listen_address"
        ),
        "logging.level log.level": LEVEL,
        "logging.file logging.output log.file log.output": log_output,
        "logging.format log.format": LOG_FORMAT,
    },
)

PERSONAL_EMAIL_SERVER = System(
    title="Personal Email Server",
    format="yaml",
    services=frozenset({"smtp", "submission", "submissions", "imap", "imaps", "dav"}),
    implied={"storage.layout": ("userid", "folders lie as root/user_1/INBOX")},
    rules={
        "server.hostname": to(normalize_host, "server.hostname"),
        "server.domain": domains,
        "server.bind_address": to(kinds.address, "server.listen_address"),
        "server.smtp_port": port("smtp"),
        "server.submission_port": port("submission"),
        "server.smtps_port": port("submissions"),
        "server.imap_port": port("imap"),
        "server.imaps_port": port("imaps"),
        "server.dav_port": port("dav"),
        "tls.auto_tls": by_truth(certbot, remark("needs no key: tls.certificate and tls.private_key name the files")),
        "tls.email": remark("certbot asks for it; see the commands below"),
        "tls.cache_dir": remark("certbot keeps its certificates in a folder of its own, /etc/letsencrypt"),
        "tls.cert_file": file_to("tls.certificate"),
        "tls.key_file": file_to("tls.private_key"),
        "storage.data_dir": file_to("server.data_dir"),
        "storage.database_path": database_file,
        "storage.maildir_path": file_to("storage.maildir_root"),
        "domains[].name": domains,
        "domains[].dkim_selector": remark("goes with the key; see the commands below"),
        "domains[].dkim_key_file": dkim_key,
        "security.require_tls": by_truth(to(kinds.boolean, "submission.require_tls"), cleartext),
        "security.verify_spf security.verify_dkim security.verify_dmarc": VERIFY,
        "security.sign_outbound": to(kinds.boolean, "msgauth.sign"),
        "security.max_message_size": to(kinds.whole, "smtp.message_max_octets", "imap.literal_max_octets"),
        "logging.level": LEVEL,
        "logging.format": LOG_FORMAT,
        "logging.output": log_output,
        "queue.redis_url": redis_url,
    },
)

MAIL_RS = System(
    title="mail-rs",
    format="toml",
    services=frozenset({"smtp", "imap", "http"}),
    implied={"storage.layout": ("address", "folders lie as root/user@domain")},
    remarks=(NO_DOMAINS, NOT_IN_THIS_FILE),
    rules={
        "smtp.listen_addr": address_and_port("smtp"),
        "smtp.enable_tls": by_truth(remark("needs no key: TLS is on where there is a certificate"), cleartext),
        "smtp.tls_cert_path": where_tls_is_on(file_to("tls.certificate")),
        "smtp.tls_key_path": where_tls_is_on(file_to("tls.private_key")),
        "smtp.enable_auth": AUTH_STAYS,
        "smtp.require_auth": LOGIN_TO_SEND,
        "smtp.max_message_size": to(kinds.whole, "smtp.message_max_octets"),
        "smtp.timeout_secs": to(kinds.whole, "smtp.command_seconds"),
        "imap.listen_addr": address_and_port("imap"),
        "imap.timeout_secs": to(kinds.whole, "imap.idle_seconds"),
        "api.listen_addr": address_and_port("http"),
        "api.jwt_secret": secret("there are no web pages yet, so nothing needs a secret"),
        "api.token_expiry_hours": remark("there are no web pages yet, so nothing expires"),
        "api.cors_origins": remark("there are no web pages yet; other sites would not be let in unless named"),
        "storage.maildir_path": file_to("storage.maildir_root"),
        "storage.users_db_path": together(database_file, data_folder),
        "storage.queue_db_path": remark(
            "the queue is kept in the folder spool below server.data_dir; let the old server send what it has first"
        ),
    },
)

SMTP_WITH_REST = System(
    title="Mail Server with REST API",
    format="env",
    services=frozenset({"smtp", "http", "https"}),
    implied={
        "tls.certificate": ("certs/fullchain.pem", "certificates lie in certs/"),
        "tls.private_key": ("certs/privkey.pem", "certificates lie in certs/"),
    },
    remarks=(CAUGHT_MAIL, NO_REST_API),
    rules={
        "DOMAIN": together(to(normalize_host, "server.hostname"), captured_domains),
        "API_KEY": secret("there is no REST API yet, so nothing needs a key"),
        "REDIS_ADDR": redis_address,
        "GIN_MODE": one_of({"debug": "debug", "release": "info", "test": "debug"}, "log.level"),
        "LOG_LEVEL RUST_LOG": LEVEL,
    },
)

CUSTOM_SMTP_SERVER = System(
    title="Custom SMTP Server",
    format="env",
    services=frozenset({"smtp", "submission", "metrics"}),
    rules={
        "SERVER_HOSTNAME": to(normalize_host, "server.hostname"),
        "SERVER_DOMAIN": domains,
        "SMTP_PORT": port("smtp"),
        "SUBMISSION_PORT": port("submission"),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "TLS_CERT_PATH": file_to("tls.certificate"),
        "TLS_KEY_PATH": file_to("tls.private_key"),
        "ENABLE_AUTH": AUTH_STAYS,
        "AUTH_METHODS": mechanisms,
        "MAX_MESSAGES_PER_HOUR": to(kinds.whole, "limits.messages_per_account_hour"),
        "MAX_MESSAGES_PER_DAY": to(kinds.whole, "limits.messages_per_account_day"),
        "LOG_LEVEL RUST_LOG": LEVEL,
    },
)

SYSTEMS: Sequence[System] = (
    EMAIL_SERVER_SUITE,
    PERSONAL_EMAIL_SERVER,
    MAIL_RS,
    SMTP_WITH_REST,
    CUSTOM_SMTP_SERVER,
)
