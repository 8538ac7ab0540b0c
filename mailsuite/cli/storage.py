"""``mailsuite storage``."""

import click


@click.group("storage")
def command() -> None:
    """The folders of all accounts."""
