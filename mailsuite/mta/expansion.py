"""Aliases that lead to several targets, and what that means for reports on success. RFC 3461 section 5.2.7.3."""

from collections.abc import Sequence

import attrs

from mailsuite.envelope import Recipient
from mailsuite.mta.content import Target

SUCCESS = "SUCCESS"


def with_expansion(recipient: Recipient, targets: Sequence[Target]) -> Sequence[Target]:
    """
    Add the target that stands for a report, where mail for one recipient goes to several and its sender asked to hear.

    It is told once that the mail arrived where it was sent, not once for each address that it need not know of.
    """
    keywords = recipient.notify.upper().split(",")
    if len(targets) < 2 or SUCCESS not in keywords:  # noqa: PLR2004 - several
        return targets
    notify = ",".join(keyword for keyword in keywords if keyword != SUCCESS) or "NEVER"
    notice = Target(address=recipient.path, notify=recipient.notify, original=recipient.original, is_notice=True)
    return [*(attrs.evolve(target, notify=notify) for target in targets), notice]
