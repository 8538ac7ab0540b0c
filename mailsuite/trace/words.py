"""Events in words, for who reads what happened to a message and has never seen our log."""

from collections.abc import Callable, Mapping

from mailsuite.observe import EVENTS

ACCEPTED = "spool.message.accepted"
REPORT_QUEUED = "queue.report.queued"
LATER = ("spool.delivery.", "queue.")
"""What can only follow the acceptance of a message begins so."""

STATES: Mapping[str, str] = {
    ACCEPTED: "accepted",
    "spool.delivery.completed": "delivered",
    "spool.delivery.deferred": "deferred",
    "queue.recipient.delivered": "delivered",
    "queue.recipient.deferred": "deferred",
    "queue.recipient.failed": "failed",
    "queue.attempt.broken": "deferred",
    "queue.message.held": "held",
    "queue.message.released": "waiting",
    "queue.message.removed": "removed",
    "smtp.rcpt.refused": "refused",
    "smtp.message.refused": "refused",
    "smtp.message.abandoned": "abandoned",
}

FINAL = frozenset({"delivered", "failed", "refused"})
"""What becomes of a message as a whole later is not true of recipients in such a state."""


def state_of(event: str) -> str:
    """Say in a word what became of a message or recipient with an event; empty when that changed nothing."""
    return STATES.get(event, "")


def words_of(event: str, values: Mapping[str, object]) -> str:
    """Tell an event, also one that this version does not know, or that had other fields once."""
    own = WORDS.get(event)
    try:
        if own is not None:
            return own(values)
        return EVENTS[event].format.format_map(values)
    except (KeyError, ValueError):
        told = " ".join(f"{name}={value}" for name, value in values.items() if value)
        return f"{event} {told}"


def _list(value: object) -> str:
    return ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)


def _accepted(values: Mapping[str, object]) -> str:
    peer, helo = values.get("peer"), values.get("helo")
    account, tls, port = values.get("account"), values.get("tls"), values.get("port")
    came = [f"from {peer or 'a socket'}{f' ({helo})' if helo else ''}"]
    came += [f"to port {port}"] if port else []
    came += [f"as {account}"] if account else []
    came += [f"with {tls}" if tls else "without TLS"]
    text = f"{values['queue_id']} from {values['sender']} to {_list(values['recipients'])}"
    goes = f"; goes to {_list(values['targets'])}" if values.get("targets") else ""
    return f"{text}, {values['size']} octets; came {' '.join(came)}{goes}"


def _outcome(verb: str) -> Callable[[Mapping[str, object]], str]:
    def tell(values: Mapping[str, object]) -> str:
        host, code = values["host"], values["code"]
        who = f"{host} said: " if host else ""
        words = f"{code} {values['text']}" if code else str(values["text"])
        return f"{values['queue_id']} for {values['recipient']} {verb}, attempt {values['tries']}; {who}{words}"

    return tell


WORDS: Mapping[str, Callable[[Mapping[str, object]], str]] = {
    ACCEPTED: _accepted,
    "queue.recipient.delivered": _outcome("delivered"),
    "queue.recipient.deferred": _outcome("deferred"),
    "queue.recipient.failed": _outcome("failed"),
}
