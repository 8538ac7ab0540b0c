"""
Mailboxes of others beside one's own: one account out of those of several, for every protocol.

`SharingAccount` is what a portal hands out; stores decide who may do what. Nothing here knows a protocol or a store.
"""

from typing import TYPE_CHECKING

from mailsuite.exports import exporter

if TYPE_CHECKING:
    from mailsuite.sharing.account import SharingAccount
    from mailsuite.sharing.settings import SharingSettings

__all__ = ["SharingAccount", "SharingSettings"]

__getattr__ = exporter(__name__, {"SharingAccount": "account", "SharingSettings": "settings"})
