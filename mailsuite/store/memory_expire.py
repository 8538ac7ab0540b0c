"""What is old in an account of the reference store."""

from collections.abc import Iterator, Sequence

from mailsuite.interfaces import Expiry
from mailsuite.store.memory_mail import Box, Mail


def doomed_messages(
    mail: Mail, boxes: Sequence[Box], named: Sequence[Box], expiry: Expiry
) -> Iterator[tuple[Box, int]]:
    """Give what is too old, then what is too much, looking again after each; the caller removes it meanwhile."""
    for box in boxes:
        surplus = len(box.messages) - expiry.messages_per_mailbox_max
        for place, message in enumerate(list(box.messages.values())):
            if place < surplus or message.saved < expiry.before:
                yield box, message.uid
    by_age = sorted((message.saved, box.mailbox_id, message.uid) for box in boxes for message in box.messages.values())
    by_id = {box.mailbox_id: box for box in boxes}
    for _, mailbox_id, uid in by_age:
        if not expiry.octets_max or mail.totals()[0] <= expiry.octets_max:
            break
        yield by_id[mailbox_id], uid
    full = [box for box in named if box.messages]
    full.sort(key=lambda box: max(message.saved for message in box.messages.values()))
    for box in full[: max(0, len(full) - expiry.mailboxes_max)]:
        for uid in list(box.messages):
            yield box, uid
