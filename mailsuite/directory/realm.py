"""Hands out avatars by interface; knows no protocol."""

import inspect
from collections.abc import Callable, Mapping

from twisted.cred.error import LoginDenied
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from mailsuite.interfaces import Account, IAccounts

Avatar = tuple[type[Interface], object, Callable[[], None]]


@implementer(IRealm)
class MailRealm:
    """
    The realm of our accounts.

    Args:
        table: makes an avatar, or an awaitable of one, for an account and a mind; of the interfaces that a server
            asks for, the first that is in the table wins. An avatar's ``logout``, if it has one, ends its session.
        accounts: where avatar ids, which are addresses, are looked up.
    """

    def __init__(
        self, table: Mapping[type[Interface], Callable[[Account, object], object]], accounts: IAccounts
    ) -> None:
        self._table = dict(table)
        self._accounts = accounts

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> "Deferred[Avatar] | Avatar":
        """
        Make an avatar.

        Returns:
            Fires with the interface, the avatar and what to call at logout; fails with ``LoginDenied`` when the
            account does not exist, is switched off, or nothing in the table serves the interfaces.
        """
        return Deferred.fromCoroutine(self._avatar(avatarId, mind, interfaces))

    async def _avatar(
        self, avatar_id: bytes | tuple[()], mind: object, interfaces: tuple[type[Interface], ...]
    ) -> Avatar:
        interface = next((wanted for wanted in interfaces if wanted in self._table), None)
        if interface is None or not avatar_id:
            raise LoginDenied("this account has nothing of that kind")
        account = await self._accounts.find(bytes(avatar_id).decode("utf-8", "replace"))
        if account is None or not account.enabled:
            raise LoginDenied("there is no such account")
        avatar = self._table[interface](account, mind)
        if inspect.isawaitable(avatar):
            avatar = await avatar
        return interface, avatar, getattr(avatar, "logout", _nothing)


def _nothing() -> None:
    """End a session that has nothing to end."""
