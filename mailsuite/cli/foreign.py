"""What the commands of other mail servers have in common: their own names for ours, and no configuration but ours."""

import configparser
import re
import tomllib
from typing import TYPE_CHECKING

import click

from mailsuite.cli.session import Session

if TYPE_CHECKING:
    from mailsuite.config import Config

LOOK_MAX_OCTETS = 256 * 1024

_ENVIRONMENT_LINE = re.compile(r"(?:export )?[A-Z][A-Z0-9_]*=")
_YAML_LINE = re.compile(r"(?:- )?[a-z_]+:(?: |$)")
_FOREIGN_KEYS = frozenset(
    {"enable_auth", "enable_tls", "jwt_secret", "listen_addr", "local_domains", "maildir_path", "require_auth"}
    | {"queue_db_path", "users_db_path"}
)
"""None of them is a key of ours."""


class ForeignSession(Session):
    """A session whose configuration may turn out to be that of another server."""

    @property
    def config(self) -> "Config":
        """
        The configuration, read when it is first asked for.

        Raises:
            ClickException: the file is another server's.
        """
        from mailsuite.config.load import locate_config

        path = locate_config(self.path)
        if kind := foreign_format(path):
            raise click.ClickException(f"{path} is {kind} of another server: run mailsuite config convert {path}")
        return super().config


def foreign_format(path: str) -> str:
    """Name the format of a configuration that is not ours; empty for ours, for a broken one and for none."""
    try:
        with open(path, "rb") as stream:
            text = stream.read(LOOK_MAX_OCTETS).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] not in "#;"]
    if lines and all(_ENVIRONMENT_LINE.match(line) for line in lines):
        return "the .env file"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        if lines and _YAML_LINE.match(lines[0]):
            return "the YAML file"
        return "the INI file" if _is_ini(text) else ""
    keys = {key for part in table.values() if isinstance(part, dict) for key in part}
    return "the TOML file" if keys & _FOREIGN_KEYS else ""


def _is_ini(text: str) -> bool:
    """Whether it is INI and not TOML with a mistake in it: INI writes text without quotes."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error:
        return False
    values = [value for section in parser.sections() for value in parser[section].values() if value]
    return bool(values) and not any(value[0] in "\"'[{" for value in values)


def begin(context: click.Context) -> None:
    """Start a session, or go on with the one of ``mailsuite``."""
    known = context.find_object(Session)
    context.obj = ForeignSession(None if known is None else known.path)
