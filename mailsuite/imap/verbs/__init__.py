"""What each command does: one coroutine a command, found by the class of its value."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mailsuite.imap import acl_commands, commands, finding_commands, metadata_commands, notify_commands, quota_commands
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.verbs import (
    acl,
    any_state,
    compress,
    copy,
    expunge,
    fetch,
    listing,
    login,
    mailbox,
    metadata,
    notify,
    quota,
    search,
    select,
    sort,
    status,
    store,
    thread,
)

Verb = Callable[[Session, Any], Awaitable[Reply | None]]

VERBS: Mapping[type[commands.Command], Verb] = {
    commands.Capability: any_state.capability,
    commands.Noop: any_state.noop,
    commands.Logout: any_state.logout,
    commands.Id: any_state.id_,
    commands.StartTLS: login.start_tls,
    commands.Authenticate: login.authenticate,
    commands.Login: login.log_in,
    commands.Enable: any_state.enable,
    commands.Unauthenticate: login.unauthenticate,
    commands.Select: select.select,
    commands.Examine: select.examine,
    commands.Create: mailbox.create,
    commands.Delete: mailbox.delete,
    commands.Rename: mailbox.rename,
    commands.Subscribe: mailbox.subscribe,
    commands.Unsubscribe: mailbox.unsubscribe,
    commands.List: listing.list_,
    commands.Lsub: listing.lsub,
    commands.Namespace: any_state.namespace,
    commands.Status: status.status,
    commands.Compress: compress.compress,
    metadata_commands.GetMetadata: metadata.get_metadata,
    metadata_commands.SetMetadata: metadata.set_metadata,
    notify_commands.Notify: notify.notify,
    commands.Check: any_state.check,
    commands.Close: select.close,
    commands.Unselect: select.unselect,
    commands.Expunge: expunge.expunge,
    finding_commands.Search: search.search,
    finding_commands.Sort: sort.sort,
    finding_commands.Thread: thread.thread,
    commands.Fetch: fetch.fetch,
    commands.Store: store.store,
    commands.Copy: copy.copy,
    commands.Move: copy.move,
    acl_commands.SetACL: acl.set_acl,
    acl_commands.DeleteACL: acl.delete_acl,
    acl_commands.GetACL: acl.get_acl,
    acl_commands.ListRights: acl.list_rights,
    acl_commands.MyRights: acl.my_rights,
    quota_commands.GetQuota: quota.get_quota,
    quota_commands.GetQuotaRoot: quota.get_quota_root,
    quota_commands.SetQuota: quota.set_quota,
}
"""
All but APPEND and REPLACE, which begin before they are complete (`mailsuite.imap.verbs.append`), and IDLE, which ends
with something that is no command (`mailsuite.imap.verbs.idle`).
"""

__all__ = ["VERBS", "Verb"]
