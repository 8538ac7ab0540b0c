"""Command lines of ours, as pages and units show them: parsed without being run."""

import importlib
from collections.abc import Sequence

import click

from mailsuite.cli.main import FOREIGN, main


def check_command(words: Sequence[str], program: str = "mailsuite") -> None:
    """
    Parse a command line of ours, without running it.

    Args:
        words: behind the name of the program.

    Raises:
        click.UsageError: there is no such option.
        AssertionError: there is no such command.
    """
    command: click.Command = main
    if program in FOREIGN:
        command = importlib.import_module(f"mailsuite.cli.{FOREIGN[program]}").command
    rest = list(words)
    if not rest:
        return  # its name alone
    while isinstance(command, click.Group):
        context = click.Context(command)
        context.allow_interspersed_args = False
        rest = command.make_parser(context).parse_args(rest)[1]
        if not rest and command.invoke_without_command:
            return
        assert rest, f"{command.name} wants a command"
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]}"
        command, rest = found, rest[1:]
    command.make_parser(click.Context(command)).parse_args(rest)
