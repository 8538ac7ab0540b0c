"""
The tables, as the newest migration leaves them.

Identifiers are never reused: mail on disk may be named after them.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    true,
)
from sqlalchemy import UniqueConstraint as Unique

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

DOMAINS = Table(
    "domains",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),  # as mailsuite.address.normalize_domain writes it
    Column("alias_of", Integer, ForeignKey("domains.id")),  # every address means the same one in that domain
    Column("catch_all", Text, nullable=False),  # address key; empty: unknown names are refused
    Column("postmaster", Text, nullable=False),  # address key; empty: the administrator
    Column("created", BigInteger, nullable=False),  # seconds since the epoch
    Column("backup_mx", Boolean, nullable=False, server_default=false()),  # mail is passed on to its other hosts
    Column("capture_seconds", BigInteger, nullable=False, server_default="0"),  # every name is kept so long; 0: off
    Unique("name"),
    sqlite_autoincrement=True,
)

USERS = Table(
    "users",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("username", Text, nullable=False),  # the local part as it was given
    Column("email", Text, nullable=False),  # as mailsuite.address.Address.key writes it
    Column("domain_id", Integer, ForeignKey("domains.id"), nullable=False),
    Column("password_hash", Text, nullable=False),  # PHC string; empty: nobody can log in by password
    Column("enabled", Boolean, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("quota_octets", BigInteger, nullable=False),  # 0: without limit
    Column("created", BigInteger, nullable=False),
    Column("keep_copy", Boolean, nullable=False, server_default=true()),  # of what the forwards pass on
    Unique("email"),
    Index(None, "domain_id"),
    sqlite_autoincrement=True,
)

CREDENTIALS = Table(
    "credentials",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),  # "password": the account's own
    Column("label", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Unique("user_id", "kind", "label"),
    sqlite_autoincrement=True,
)

VERIFIERS = Table(
    "verifiers",
    METADATA,
    Column("credential_id", Integer, ForeignKey("credentials.id", ondelete="CASCADE"), primary_key=True),
    Column("scheme", Text, primary_key=True),  # "argon2id", "scram-sha-256", "scram-sha-1"
    Column("value", Text, nullable=False),
)

ALIASES = Table(
    "aliases",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("source", Text, nullable=False),  # address key
    Column("domain_id", Integer, ForeignKey("domains.id"), nullable=False),
    Column("target", Text, nullable=False),  # an address: ours or anybody's
    Column("created", BigInteger, nullable=False),
    Unique("source", "target"),
    Index(None, "domain_id"),
    Index(None, "target"),
    sqlite_autoincrement=True,
)

FORWARDS = Table(
    "forwards",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("target", Text, nullable=False),  # an address: ours or anybody's
    Column("created", BigInteger, nullable=False),
    Unique("user_id", "target"),
    Index(None, "target"),
    sqlite_autoincrement=True,
)

SECRETS = Table(
    "secrets",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
