"""Who has mail here: domains, accounts, aliases, logins. Changes by any process act in a running server at once."""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.directory.accounts import Accounts
    from mailsuite.directory.aliases import Aliases
    from mailsuite.directory.checker import CheckerChain, DirectoryChecker
    from mailsuite.directory.database import DirectoryDatabase
    from mailsuite.directory.directory import Directory, open_directory
    from mailsuite.directory.domains import Domains
    from mailsuite.directory.passwords import PasswordHashing, weakness
    from mailsuite.directory.plugins import make_checker, make_realm
    from mailsuite.directory.realm import MailRealm
    from mailsuite.directory.records import AccountInfo, AliasInfo, DomainInfo, LoginRecord
    from mailsuite.directory.settings import AuthSettings, DatabaseSettings, ThrottleSettings
    from mailsuite.directory.throttle import Rule, Throttle, submission_rules

__all__ = [
    "AccountInfo",
    "Accounts",
    "AliasInfo",
    "Aliases",
    "AuthSettings",
    "CheckerChain",
    "DatabaseSettings",
    "Directory",
    "DirectoryChecker",
    "DirectoryDatabase",
    "DomainInfo",
    "Domains",
    "LoginRecord",
    "MailRealm",
    "PasswordHashing",
    "Rule",
    "Throttle",
    "ThrottleSettings",
    "make_checker",
    "make_realm",
    "open_directory",
    "submission_rules",
    "weakness",
]

__getattr__ = exporter(
    __name__,
    {
        "AccountInfo": "records",
        "Accounts": "accounts",
        "AliasInfo": "records",
        "Aliases": "aliases",
        "AuthSettings": "settings",
        "CheckerChain": "checker",
        "DatabaseSettings": "settings",
        "Directory": "directory",
        "DirectoryChecker": "checker",
        "DirectoryDatabase": "database",
        "DomainInfo": "records",
        "Domains": "domains",
        "LoginRecord": "records",
        "MailRealm": "realm",
        "PasswordHashing": "passwords",
        "Rule": "throttle",
        "Throttle": "throttle",
        "ThrottleSettings": "settings",
        "make_checker": "plugins",
        "make_realm": "plugins",
        "open_directory": "directory",
        "submission_rules": "throttle",
        "weakness": "passwords",
    },
)
