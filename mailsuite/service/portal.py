"""The one portal behind SMTP AUTH, IMAP and POP3."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm, Portal
from zope.interface import Interface

from mailsuite.directory import CheckerChain, MailRealm, make_checker, make_realm
from mailsuite.directory.settings import AuthSettings
from mailsuite.interfaces import Account, IAccounts

OWN_CHECKER = "directory"
OWN_REALM = "mail"


def make_portal(
    settings: AuthSettings,
    accounts: IAccounts,
    own_checker: ICredentialsChecker,
    table: Mapping[type[Interface], Callable[[Account, object], object]],
) -> Portal:
    """
    Assemble the portal from our own parts and those that the configuration names.

    Args:
        own_checker: what ``auth.checkers`` calls ``directory``.
        table: makes an avatar for each interface.

    Raises:
        MailError: a plugin cannot be found or is none.
    """
    checkers: list[ICredentialsChecker] = []
    for name in settings.checkers:
        options = settings.options.get(name, {})
        checkers.append(own_checker if name == OWN_CHECKER else make_checker(name, options))
    own: Any = MailRealm(table, accounts)
    realm: IRealm = own
    if settings.realm != OWN_REALM:
        realm = make_realm(settings.realm, settings.options.get(settings.realm, {}), own)
    return Portal(realm, [CheckerChain(checkers)])
