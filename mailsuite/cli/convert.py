"""``mailsuite config convert``."""

import os
from typing import TYPE_CHECKING

import click

from mailsuite.cli.session import json_option, print_json, say
from mailsuite.errors import Kind, MailError

if TYPE_CHECKING:
    from mailsuite.config.convert import Conversion

FILE_MAX_OCTETS = 128 * 1024
FORMAT_NAMES = ("ini", "yaml", "toml", "env")


@click.command("convert")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--format", "format_name", type=click.Choice(FORMAT_NAMES), default=None, help="If its name misleads.")
@click.option("--output", metavar="FILE", help="Where to write our configuration; default: standard output.")
@click.option(
    "--profile",
    type=click.Choice(("production", "dev")),
    default="production",
    help="dev: take over what is unsafe, and listen on loopback only.",
)
@json_option
def convert(file: str, format_name: str | None, output: str | None, profile: str, *, as_json: bool) -> None:
    """
    Make a configuration from that of another mail server, FILE: INI, YAML, TOML or .env.

    What has no counterpart, and what to run afterwards, is said on standard error and in comments.
    """
    from mailsuite.config.convert import convert_text, write_toml
    from mailsuite.durable import Disk

    target = None if output is None else os.path.abspath(output)
    if target is not None and os.path.lexists(target):
        raise MailError(Kind.EXISTS, f"{target} is there already; nothing was changed")
    text = read_text(file)
    source = os.path.dirname(os.path.abspath(file))
    conversion = convert_text(
        text,
        file,
        format_name=format_name or "",
        target=target or os.path.abspath("mailsuite.toml"),
        folder="" if target is None or os.path.dirname(target) == source else source,
        development=profile == "dev",
    )
    toml = write_toml(conversion, file)
    if target is not None:
        Disk().replace_file(target, toml.encode("utf-8"))
    _tell(conversion, target or "")
    if as_json:
        print_json(_facts(conversion, toml, target))
    elif target is None:
        click.echo(toml, nl=False)


def read_text(path: str) -> str:
    """
    Read a file of the size that a configuration has.

    Raises:
        MailError: INVALID, when it is too large or no text.
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        data = stream.read(FILE_MAX_OCTETS + 1)
    if len(data) > FILE_MAX_OCTETS:
        raise MailError(Kind.INVALID, f"{path} is longer than {FILE_MAX_OCTETS // 1024} KiB; that is no configuration")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MailError(Kind.INVALID, f"{path} is not UTF-8 text") from error


def _tell(conversion: "Conversion", target: str) -> None:
    """Say what became no key, and what is to be done."""
    from mailsuite.config.convert import describe_system, shell_lines
    from mailsuite.observe.escape import escape

    say(f"read as {describe_system(conversion)}")
    for lost in conversion.lost:
        say(escape(str(lost)))
    for key in conversion.inactive:
        say(f"{key} is set, but what it is for does not exist yet; it has no effect")
    if conversion.commands:
        say("to run once the new configuration is in place:")
    for line in shell_lines(conversion, target):
        say(f"    {line}")


def _facts(conversion: "Conversion", toml: str, target: str | None) -> dict[str, object]:
    return {
        "system": conversion.system.title,
        "format": conversion.system.format,
        "output": target,
        "toml": toml,
        "settings": [
            {"key": line.key, "value": line.value, "sources": list(line.sources)} for line in conversion.lines
        ],
        "not_taken": [{"key": lost.key, "line": lost.line, "reason": lost.reason} for lost in conversion.lost],
        "inactive": list(conversion.inactive),
        "commands": [list(words) for words in conversion.commands],
    }
