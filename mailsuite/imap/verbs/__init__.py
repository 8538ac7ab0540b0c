"""What each command does: one coroutine a command, found by the class of its value."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mailsuite.imap import commands
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.verbs import (
    copy,
    expunge,
    fetch,
    idle,
    listing,
    login,
    mailbox,
    misc,
    search,
    select,
    status,
    store,
)

Verb = Callable[[Session, Any], Awaitable[Reply | None]]

VERBS: Mapping[type[commands.Command], Verb] = {
    commands.Capability: misc.capability,
    commands.Noop: misc.noop,
    commands.Logout: misc.logout,
    commands.Id: misc.id_,
    commands.StartTLS: login.start_tls,
    commands.Authenticate: login.authenticate,
    commands.Login: login.log_in,
    commands.Enable: misc.enable,
    commands.Select: select.select,
    commands.Examine: select.examine,
    commands.Create: mailbox.create,
    commands.Delete: mailbox.delete,
    commands.Rename: mailbox.rename,
    commands.Subscribe: mailbox.subscribe,
    commands.Unsubscribe: mailbox.unsubscribe,
    commands.List: listing.list_,
    commands.Lsub: listing.lsub,
    commands.Namespace: misc.namespace,
    commands.Status: status.status,
    commands.Idle: idle.idle,
    commands.Check: misc.check,
    commands.Close: select.close,
    commands.Unselect: select.unselect,
    commands.Expunge: expunge.expunge,
    commands.Search: search.search,
    commands.Fetch: fetch.fetch,
    commands.Store: store.store,
    commands.Copy: copy.copy,
    commands.Move: copy.move,
}
"""All but APPEND, which begins before its command is complete: see `mailsuite.imap.verbs.append`."""

__all__ = ["VERBS", "Verb"]
