"""``twistd mailsuite`` and its siblings: options, and what makes the service."""

import os
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from mailsuite.config import ConfigError, load_config
from mailsuite.service.application import Application
from mailsuite.service.roles import ALL_ROLES, Role
from mailsuite.service.suite import make_suite


class Options(usage.Options):
    """Command line of the twistd plugins."""

    synopsis = "[--config FILE]"
    longdesc = "Mail server suite: SMTP, IMAP and POP3. Without --config: $MAILSUITE_CONFIG, then /etc."
    optParameters = [  # noqa: RUF012 - how usage.Options is declared
        ["config", "c", None, "Configuration file."],
        ["pid-lock", None, "", "File for the process id; a stale one never blocks."],
    ]


def make_application(options: Any, roles: frozenset[Role] = ALL_ROLES) -> IService:
    """
    Make what twistd runs.

    Args:
        options: a mapping with ``config``, and as one likes ``pid-lock`` and ``after_ready``, see `Application`.

    Raises:
        SystemExit: the configuration cannot be used; every fault is printed.
    """
    from twisted.internet import reactor

    try:
        config = load_config(options["config"], os.environ)
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    suite = make_suite(config, reactor, roles)
    pidfile, after_ready = options.get("pid-lock", ""), options.get("after_ready")
    application: IService = Application(config, suite, reactor, pidfile=pidfile, after_ready=after_ready)
    return application


def makeService(options: Options) -> IService:
    """Make the service with all roles."""
    return make_application(options)
