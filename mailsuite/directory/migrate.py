"""Alembic, run inside our own transaction."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mailsuite.errors import Kind, MailError


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "mailsuite.directory:migrations")
    config.attributes["connection"] = connection
    return config


def versions() -> list[str]:
    """All versions, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def upgrade(connection: Connection, version: str = "head") -> None:
    """
    Run the migrations that are missing, up to a version; all of them or none.

    Raises:
        MailError: CONFLICT, when the database was made by a newer version of the program.
    """
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in versions():
        raise MailError(Kind.CONFLICT, "the database was made by a newer version of mailsuite; install that one")
    command.upgrade(_config(connection), version)
