"""
Every event that the server can log: name, level, readable form, fields.

Names are ``noun.noun.past``. A test fails for an event that is emitted and not listed here, or listed and emitted
nowhere; the list in the documentation is made from this one.
"""

from collections.abc import Mapping

import attrs
from constantly import NamedConstant
from twisted.logger import LogLevel


@attrs.frozen
class Event:
    """
    One kind of event.

    Args:
        format: PEP 3101 text over the fields; ours, never a peer's.
        fields: what the event carries beside the bound ids, each with its meaning.
        level: below ``info`` it is shown only when asked for.
    """

    format: str
    fields: Mapping[str, str] = attrs.field(factory=dict)
    level: NamedConstant = LogLevel.info


_ATTEMPT = {
    "queue_id": "of the message",
    "recipient": "address",
    "host": "who was tried; empty for our own mailboxes",
    "code": "SMTP reply code; 0 when there was none",
    "text": "the other side's words",
    "tries": "how many attempts there were",
}

_UNFINISHED = {
    "queue_id": "that the message would have had",
    "sender": "reverse-path",
    "recipients": "forward-paths that were taken",
}
_OPERATED = {"queue_id": "of the message", "by": "who did it"}

EVENTS: Mapping[str, Event] = {
    # observe
    "background.work.failed": Event("background work failed: {what}", {"what": "which work"}, LogLevel.critical),
    # durable
    "durable.group.failed": Event(
        "{items} items of {thread} failed unforeseen", {"items": "how many", "thread": "its name"}, LogLevel.critical
    ),
    "durable.job.failed": Event("a job of {thread} failed", {"thread": "its name"}, LogLevel.critical),
    # dns
    "dns.lookup.failed": Event(
        "no resolver answers for {name} {type}: {reason}",
        {"name": "looked up", "type": "of the records", "reason": "what the last one that was asked did"},
        LogLevel.warn,
    ),
    # directory
    "login.verifiers.renewed": Event(
        "password of {account} hashed anew and SCRAM keys stored", {"account": "address of the account"}
    ),
    # store
    "store.work.deferred": Event(
        "account {account}: removing or renaming a file failed with {reason} and is tried again later",
        {"account": "id", "reason": "name of the system's error"},
        LogLevel.warn,
    ),
    "store.messages.vanished": Event(
        "account {account}: {count} messages of mailbox {mailbox} have no file any more and are expunged",
        {"account": "id", "mailbox": "id", "count": "how many"},
        LogLevel.warn,
    ),
    "store.file.torn": Event(
        "account {account}: a delivery has {size} of {expected} octets and is put aside",
        {"account": "id", "size": "octets that are there", "expected": "octets that its name tells"},
        LogLevel.warn,
    ),
    "store.index.damaged": Event(
        "the index of {path} is damaged and kept aside as number {number}",
        {"path": "folder of the account", "number": "ending of the file that was kept"},
        LogLevel.error,
    ),
    "store.index.rebuilt": Event(
        "account {account}: the index of {messages} messages was built from the Maildir in {seconds} s",
        {"account": "id", "messages": "how many", "seconds": "how long it took"},
    ),
    "store.notice.failed": Event(
        "account {account}: the folder of mailbox {mailbox} could not be compared with the index",
        {"account": "id", "mailbox": "id"},
        LogLevel.error,
    ),
    "store.root.frozen": Event(
        "nothing can be written in {path} ({reason}): mail can be read only, as far as it was seen before",
        {"path": "folder of all mail", "reason": "name of the system's error"},
        LogLevel.error,
    ),
    "store.account.frozen": Event(
        "account {account}: nothing can be written in its folder ({reason}); its mail can be read",
        {"account": "id", "reason": "name of the system's error"},
        LogLevel.error,
    ),
    "store.folders.failed": Event(
        "account {account}: folders that another program made could not be taken in", {"account": "id"}, LogLevel.error
    ),
    "store.watch.failed": Event(
        "folders cannot be watched ({reason}): what other programs do is told to idling clients when it is looked for",
        {"reason": "name of the system's error"},
        LogLevel.warn,
    ),
    "store.delivery.failed": Event(
        "account {account}: deliveries failed and are tried again later", {"account": "id"}, LogLevel.error
    ),
    "store.job.failed": Event("account {account}: the store failed", {"account": "id"}, LogLevel.error),
    "store.removal.failed": Event(
        "account {account}: files of expunged messages could not be removed and are tried again later",
        {"account": "id"},
        LogLevel.warn,
    ),
    "store.mirror.failed": Event(
        "account {account}: flags could not be written into file names", {"account": "id"}, LogLevel.warn
    ),
    "store.close.failed": Event("account {account}: the index could not be closed", {"account": "id"}, LogLevel.warn),
    "store.rights.changed": Event(
        "account {account}: {guest} now has the rights {rights!r} on mailbox {mailbox}, given by account {by}",
        {"guest": "id of an account, 0 is anyone", "rights": "letters", "mailbox": "its id", "by": "id of an account"},
    ),
    "store.rights.deferred": Event(
        "account {account}: rights could not be written into the folder of a mailbox; the index has them",
        {},
        LogLevel.error,
    ),
    "store.annotations.deferred": Event(
        "account {account}: annotations could not be written into the folder of a mailbox; the index has them",
        {"account": "id"},
        LogLevel.error,
    ),
    "store.move.failed": Event("the folder of an account could not be moved", {}, LogLevel.error),
    "store.listener.failed": Event(
        "a listener to changes of account {account} failed", {"account": "id"}, LogLevel.critical
    ),
    # spool and queue
    "spool.service.started": Event("spool {spool} opened, last message {last}", {"spool": "its id", "last": "id"}),
    "spool.commit.failed": Event(
        "{writes} writes refused: the spool could not commit", {"writes": "how many"}, LogLevel.critical
    ),
    "spool.commit.recovered": Event("the spool commits again"),
    "spool.sync.failed": Event("delivered mail could not be synced, it stays in the spool", level=LogLevel.error),
    "spool.sweep.failed": Event("a sweep of the spool failed", level=LogLevel.critical),
    "spool.body.abandoned": Event("body file {name} could not be removed", {"name": "its name"}, LogLevel.warn),
    "spool.orphans.removed": Event("{count} body files of unfinished receptions removed", {"count": "how many"}),
    "spool.messages.replayed": Event("{count} messages replayed", {"count": "how many"}),
    "spool.message.unreadable": Event(
        "message {message} in the spool cannot be read: {reason}",
        {"message": "its number", "reason": "what is wrong with it"},
        LogLevel.error,
    ),
    "spool.delivery.deferred": Event(
        "{queue_id} for {recipient} could not be delivered yet: {reason}",
        {"queue_id": "which message", "recipient": "as the sender wrote it", "reason": "in the store's words"},
        LogLevel.warn,
    ),
    "spool.delivery.completed": Event(
        "{queue_id} for {recipient} is in {mailbox} of {account}",
        {
            "queue_id": "which message",
            "recipient": "as the sender wrote it",
            "account": "address of the account",
            "mailbox": "where it was filed",
        },
        LogLevel.debug,
    ),
    "submission.message.held": Event(
        "{queue_id} of {account} is held until {release}: limit {rule}",
        {
            "account": "address of the account",
            "queue_id": "of the message",
            "release": "when it leaves, in seconds since the epoch",
            "rule": "name of the limit",
        },
        LogLevel.warn,
    ),
    "spool.message.accepted": Event(
        "{queue_id} from {sender} to {recipients}, {size} octets",
        {
            "queue_id": "of the message",
            "sender": "reverse-path",
            "recipients": "forward-paths",
            "size": "octets as received",
            "message_id": "as its header has it; empty when it has none",
            "helo": "what the peer called itself",
            "port": "where it connected to",
            "tls": "version and cipher; empty in the clear",
            "targets": "where it goes: account and mailbox, or an address elsewhere",
        },
    ),
    "queue.attempt.broken": Event(
        "an attempt for {queue_id} failed here", {"queue_id": "of the message"}, LogLevel.critical
    ),
    "queue.report.broken": Event(
        "the report about {queue_id} could not be written; it is tried again",
        {"queue_id": "of the message"},
        LogLevel.critical,
    ),
    "queue.recipient.delivered": Event("{queue_id} for {recipient} delivered to {host}: {code} {text}", _ATTEMPT),
    "queue.recipient.deferred": Event("{queue_id} for {recipient} deferred: {code} {text}", _ATTEMPT, LogLevel.warn),
    "queue.recipient.failed": Event(
        "delivery of {queue_id} to {recipient} failed: {code} {text}", _ATTEMPT, LogLevel.warn
    ),
    "relay.attempt.broken": Event(
        "an attempt for {domain} failed here after some recipients had their outcome",
        {"domain": "where it was to go"},
        LogLevel.critical,
    ),
    "relay.host.failed": Event(
        "{host} at {address} port {port} takes no mail now: {code} {text}",
        {
            "host": "its name",
            "address": "that was tried",
            "port": "likewise",
            "code": "SMTP reply code; 0 when there was none",
            "text": "the host's words, or ours",
        },
    ),
    "sts.policy.fetched": Event(
        "MTA-STS policy of {domain}: {mode} {hosts}",
        {"domain": "whose it is", "mode": "enforce, testing or none", "hosts": "that it allows"},
    ),
    "sts.policy.refused": Event(
        "the MTA-STS policy of {domain} cannot be had: {reason}",
        {"domain": "whose it is", "reason": "what is wrong with it or its server"},
        LogLevel.warn,
    ),
    "tls.host.refused": Event(
        "{host} of {domain} is not used: {reason}",
        {"host": "its name", "domain": "whose mail it takes", "reason": "which policy forbids it"},
        LogLevel.warn,
    ),
    "tls.store.damaged": Event(
        "what is known about TLS to other hosts is damaged and was laid aside as {file}: {reason}; it is gathered anew",
        {"file": "its path", "reason": "in SQLite's words"},
        LogLevel.error,
    ),
    "tls.results.lost": Event(
        "{count} results of TLS to other hosts could not be kept: {reason}",
        {"count": "how many", "reason": "one sentence"},
        LogLevel.warn,
    ),
    "tls.certificate.unreadable": Event(
        "the certificate of {host} could not be looked at", {"host": "who showed it"}, LogLevel.warn
    ),
    "queue.destination.paused": Event(
        "{destination} is left alone for {seconds} s after {failures} failures: {text}",
        {
            "destination": "domain, or host and port of a route",
            "seconds": "how long",
            "failures": "in a row",
            "text": "of the last one",
        },
        LogLevel.warn,
    ),
    "queue.destination.resumed": Event(
        "{destination} answers again", {"destination": "domain, or host and port of a route"}
    ),
    "queue.report.queued": Event(
        "what became of {queue_id} is reported to {sender} as {report}",
        {"queue_id": "of the message", "sender": "reverse-path", "report": "the report's queue id"},
    ),
    "queue.report.dropped": Event(
        "what became of {queue_id} cannot be reported to {sender}",
        {"queue_id": "of the message", "sender": "reverse-path"},
        LogLevel.warn,
    ),
    # captured mail
    "capture.messages.expired": Event(
        "{count} messages and {mailboxes} mailboxes of {account} are gone",
        {"count": "messages that were too old or too many", "mailboxes": "how many", "account": "its address"},
    ),
    "capture.account.skipped": Event(
        "{account} could not be tidied up: {reason}",
        {"account": "its address", "reason": "in the store's words"},
        LogLevel.warn,
    ),
    "capture.sweep.failed": Event("a sweep of captured mail failed", level=LogLevel.critical),
    "queue.message.held": Event("{queue_id} held by {by}", _OPERATED),
    "queue.message.released": Event("{queue_id} released by {by}", _OPERATED),
    "queue.message.retried": Event("{queue_id} tried again at once: told by {by}", _OPERATED),
    "queue.message.removed": Event("{queue_id} removed from the queue by {by}", _OPERATED),
    # trace
    "trace.write.failed": Event(
        "what happens to messages cannot be written down: {reason}; mail goes on",
        {"reason": "in the system's words"},
        LogLevel.error,
    ),
    "trace.write.recovered": Event(
        "what happens to messages is written down again; {dropped} events were lost", {"dropped": "how many"}
    ),
    "trace.file.damaged": Event(
        "the trace {file} is damaged and left as it is: {reason}; another file is begun",
        {"file": "its name", "reason": "in SQLite's words"},
        LogLevel.error,
    ),
    # smtp
    "smtp.connection.refused": Event("{peer} turned away: too many connections", level=LogLevel.warn),
    "smtp.session.expired": Event("{peer} was too slow"),
    "smtp.session.failed": Event("our fault while {doing}", {"doing": "what was being done"}, LogLevel.critical),
    "smtp.tls.started": Event("TLS with {peer}: {tls}", {"tls": "version and cipher"}, LogLevel.debug),
    "smtp.pipelining.refused": Event("{peer} did not wait: octets {place}", {"place": "where"}, LogLevel.warn),
    "smtp.xclient.taken": Event(
        "{peer} speaks for {client}", {"client": "address of the peer from now on"}, LogLevel.debug
    ),
    "smtp.command.refused": Event("{peer} said {verb!r}", {"verb": "the first octets of the line"}, LogLevel.debug),
    "smtp.login.succeeded": Event("{account} logged in"),
    "smtp.login.refused": Event(
        "AUTH failed: login as {username!r} refused", {"username": "as the client wrote it"}, LogLevel.warn
    ),
    "smtp.mail.refused": Event(
        "sender {sender} refused: {code} {text}",
        {"sender": "reverse-path", "code": "of the reply", "text": "of the reply"},
    ),
    "smtp.rcpt.refused": Event(
        "recipient {recipient} refused: {code} {text}",
        {
            "queue_id": "that the message would have had",
            "sender": "reverse-path",
            "recipient": "forward-path",
            "code": "of the reply",
            "text": "of the reply",
        },
    ),
    "smtp.message.refused": Event(
        "message refused: {code} {text}",
        {**_UNFINISHED, "code": "of the reply", "text": "of the reply"},
    ),
    "smtp.message.abandoned": Event("{peer} left before the message was complete", _UNFINISHED),
    # imap
    "imap.session.begun": Event("connection from {peer}", {"tls": "whether it is encrypted"}, LogLevel.debug),
    "imap.session.ended": Event("connection ended", level=LogLevel.debug),
    "imap.session.expired": Event("{state} session closed: the client is silent", {"state": "of RFC 3501"}),
    "imap.session.stalled": Event("session cut off: the client takes nothing", level=LogLevel.warn),
    "imap.session.refused": Event("session closed: {reason}", {"reason": "what the client did"}, LogLevel.warn),
    "imap.connection.refused": Event("{peer} has too many connections", level=LogLevel.warn),
    "imap.account.refused": Event("{account} has too many connections", level=LogLevel.warn),
    "imap.starttls.refused": Event("connection closed: octets came behind STARTTLS in the clear", level=LogLevel.warn),
    "imap.login.succeeded": Event("{account} logged in"),
    "imap.login.ended": Event("{account} logged out; the connection goes on"),
    "imap.login.refused": Event(
        "AUTH failed: login as {username!r} refused", {"username": "as the client wrote it"}, LogLevel.warn
    ),
    "imap.login.failed": Event(
        "login as {username} was not possible: {reason}",
        {"username": "as the client wrote it", "reason": "kind of failure"},
        LogLevel.error,
    ),
    "imap.client.identified": Event("client {client}", {"client": "what it tells of itself"}, LogLevel.debug),
    "imap.quirk.matched": Event(
        "for {whom}, off: {off}; {reason}",
        {
            "whom": "what the client tells of itself, or whose account it is, as a row has it",
            "off": "capabilities that the row switches off",
            "reason": "why, in the row's words",
            "source": "where that can be read",
        },
    ),
    "imap.quota.changed": Event(
        "{account} set the quota of {owner} to {limit_octets} octets, which was {before_octets}",
        {"owner": "address", "limit_octets": "0 is without limit", "before_octets": "the limit until then, likewise"},
    ),
    "imap.command.failed": Event("a command failed because of an error of ours", level=LogLevel.critical),
    "imap.message.unreadable": Event(
        "message {uid} could not be read to its end: {reason}",
        {"uid": "which one", "reason": "kind of failure"},
        LogLevel.error,
    ),
    # pop3
    "pop3.connection.refused": Event("too many connections, {peer} turned away", {"peer": "its address"}),
    "pop3.login.succeeded": Event("{account} logged in, {messages} messages", {"messages": "in the maildrop"}),
    "pop3.login.refused": Event(
        "AUTH failed: login as {username!r} refused", {"username": "as the client wrote it"}, LogLevel.warn
    ),
    "pop3.messages.removed": Event("{count} messages removed", {"count": "how many"}),
    "pop3.removal.failed": Event(
        "{count} messages could not be removed: {reason}",
        {"count": "how many", "reason": "in the store's words"},
        LogLevel.error,
    ),
    "pop3.pipelining.refused": Event("octets behind STLS, connection dropped", level=LogLevel.warn),
    "pop3.session.closed": Event(
        "closed in state {state}, {retrieved} messages retrieved",
        {"account": "empty without login", "state": "of RFC 1939", "retrieved": "how many"},
    ),
    "pop3.session.failed": Event("a {doing} failed", {"doing": "what was being done"}, LogLevel.critical),
    # manhole
    "manhole.connection.refused": Event("{peer} turned away: too many connections", level=LogLevel.warn),
    "manhole.peer.refused": Event(
        "connection closed: what {peer} sent is no SSH", {"reason": "what it failed with"}, LogLevel.warn
    ),
    "manhole.login.succeeded": Event(
        "{who} logged in as {username!r}",
        {"who": "comment and fingerprint of the key", "username": "as the client wrote it"},
    ),
    "manhole.login.refused": Event(
        "AUTH failed: login as {username!r} by {method} refused {key}",
        {"username": "as the client wrote it", "method": "of RFC 4252", "key": "fingerprint; empty without a key"},
        LogLevel.warn,
    ),
    "manhole.keys.unreadable": Event(
        "nobody can log in to the manhole: {reason}", {"reason": "what is wrong with the keys"}, LogLevel.error
    ),
    "manhole.line.typed": Event(
        "{who} typed: {line}", {"who": "comment and fingerprint of the key", "line": "as it was typed"}
    ),
    "manhole.session.ended": Event("{who} left", {"who": "comment and fingerprint of the key"}),
    "manhole.session.failed": Event("a manhole session failed", level=LogLevel.critical),
    # service
    "config.key.ignored": Event(
        "{key} is set, but what it is for does not exist yet; it has no effect", {"key": "its path"}, LogLevel.warn
    ),
    "tls.certificate.loaded": Event("certificate loaded from {file}", {"file": "the certificate's"}),
    "tls.certificate.refused": Event(
        "certificate {file} cannot be used: {reason}; nothing changes until that is repaired",
        {"file": "the certificate's", "reason": "what is wrong with it or its key"},
        LogLevel.error,
    ),
    "service.listener.opened": Event(
        "{service} listens on {address}", {"service": "key of [listen]", "address": "address and port, or endpoint"}
    ),
    "service.listener.delayed": Event(
        "{service} waits for the certificate {file}",
        {"service": "key of [listen]", "file": "where the certificate is expected"},
        LogLevel.warn,
    ),
    "service.connection.refused": Event(
        "{peer} turned away: the process has few file descriptors left; raise its limit of {limit} open files "
        "(LimitNOFILE, ulimit -n)",
        {"limit": "of the system on the process", "count": "turned away since the last such line"},
        LogLevel.warn,
    ),
    "service.proxy.refused": Event(
        "connection of the proxy {peer} closed: {reason}", {"reason": "what is wrong with its header"}, LogLevel.warn
    ),
    "service.storage.opened": Event("{what} in {place}", {"what": "what lies there", "place": "a folder or database"}),
    "reactor.turn.stalled": Event(
        "the reactor was kept for {seconds} s in {place}",
        {"seconds": "how long", "place": "function", "stack": "who called it, outermost first", "count": "in all"},
        LogLevel.warn,
    ),
    "reactor.turn.hung": Event(
        "the reactor has been kept for {seconds} s and is still in {place}",
        {"seconds": "how long, up to now", "place": "function", "stack": "who called it, outermost first"},
        LogLevel.error,
    ),
    "service.start.completed": Event("the server is ready", {}),
    "service.start.failed": Event("the server cannot start: {reason}", {"reason": "one sentence"}, LogLevel.critical),
    "service.directory.unfilled": Event(
        "no domain is ours yet, so no mail comes in; add one with: mailsuite domain add DOMAIN", {}, LogLevel.warn
    ),
    "service.root.kept": Event("the server runs as root; set server.user", {}, LogLevel.warn),
    "config.file.reloaded": Event(
        "configuration read again; in force now: {changed}; only after a new start: {waiting}",
        {"changed": "keys with other values", "waiting": "likewise"},
    ),
    "config.file.refused": Event("{reason}", {"reason": "what is wrong with the configuration"}, LogLevel.error),
    "service.worker.started": Event(
        "{worker} is process {process}", {"worker": "its name", "process": "its process id"}
    ),
    "service.worker.ended": Event(
        "{worker}, process {process}, has ended by itself with {reason} and is started again",
        {"worker": "its name", "process": "its process id", "reason": "signal or exit status"},
        LogLevel.error,
    ),
    "service.worker.left": Event(
        "{worker}, process {process}, was told to end and is started again",
        {"worker": "its name", "process": "its process id"},
    ),
    "service.worker.failed": Event(
        "{worker} cannot start: {reason}", {"worker": "its name", "reason": "one sentence"}, LogLevel.critical
    ),
    "service.worker.hung": Event(
        "{worker}, process {process}, does not answer and is killed; it is started again",
        {"worker": "its name", "process": "its process id"},
        LogLevel.error,
    ),
    "service.worker.killed": Event(
        "{worker}, process {process}, has not stopped in time and is killed",
        {"worker": "its name", "process": "its process id"},
        LogLevel.error,
    ),
    "service.descriptors.exhausted": Event(
        "no descriptor is left for a connection to {service}; raise the limit of open files",
        {"service": "key of [listen]"},
        LogLevel.error,
    ),
    "service.log.kept": Event(
        "the log {file} cannot be opened again: {reason}; the old file stays in use",
        {"file": "log.output", "reason": "in the system's words"},
        LogLevel.error,
    ),
    "service.stop.begun": Event("the server stops", {}),
    "service.stop.completed": Event("the server has stopped", {}),
}
