"""``mailsuite migrate``."""

import click

from mailsuite.cli.session import Session, pass_session, say


@click.command("migrate")
@pass_session
def command(session: Session) -> None:
    """Bring every database to this version. The spool and the accounts' indexes do it when they are opened."""
    from mailsuite.directory import DirectoryDatabase

    database = DirectoryDatabase(session.config.database.url)
    before = database.version()
    database.migrate()
    after = database.version()
    say(f"the directory was at version {before or 'none'} and is at {after}" if before != after else "nothing to do")
