"""Alembic runs this for each migration; the connection and its transaction come from `mailsuite.directory.database`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
