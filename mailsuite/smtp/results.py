"""What came of the recipients of one message at one host, while it comes."""

from collections.abc import Iterable, Sequence

import attrs

from mailsuite.smtp.dialogue import ServerReply
from mailsuite.smtp.outcome import Outcome, OutcomeState
from mailsuite.smtp.replies import clean

TOO_MANY = 452  # RFC 5321 section 4.5.3.1.10
TOO_MANY_OF_OLD = 552
OTHER_SECURITY = "4.7.0"  # RFC 3463 section 3.8: what failed for good is TLS as a message requires it
TOO_MANY_STATUS = frozenset({"", "4.5.3", "5.5.3"})  # RFC 3463 section 3.6


def deferred(enhanced: str, text: str) -> Outcome:
    """Make the outcome of an attempt that failed without a reply."""
    return Outcome(OutcomeState.DEFERRED, 0, enhanced, clean(text))


def outcome_of(reply: ServerReply) -> Outcome:
    """Read a reply as an outcome; one that makes no sense where it came is temporary."""
    if 200 <= reply.code < 300:  # noqa: PLR2004 - RFC 5321 section 4.2.1
        state = OutcomeState.DELIVERED
    elif reply.code >= 500:  # noqa: PLR2004 - likewise
        state = OutcomeState.FAILED
    else:
        state = OutcomeState.DEFERRED
    return Outcome(state, reply.code, reply.enhanced, reply.text)


def later(reply: ServerReply) -> Outcome:
    """Read a reply that refuses this host's service, and not this message: another host may say something else."""
    return attrs.evolve(outcome_of(reply), state=OutcomeState.DEFERRED)


def is_too_many(reply: ServerReply) -> bool:
    """Say whether RCPT was refused because there are enough recipients: RFC 5321 section 4.5.3.1.10."""
    return (reply.code == TOO_MANY and reply.enhanced in TOO_MANY_STATUS) or (
        reply.code == TOO_MANY_OF_OLD and reply.enhanced == "5.5.3"
    )


class Results:
    """
    Outcomes by the place of the recipient in the envelope; None while there is none.

    Args:
        count: how many recipients there are.
    """

    def __init__(self, count: int) -> None:
        self.outcomes: list[Outcome | None] = [None] * count
        self.elsewhere: set[int] = set()
        """
        Places of recipients of whom another host may be asked at once: this one took nothing for them. Those that
        failed are ones that only this host can never take.
        """
        self.without_chunking = False
        """The host offered CHUNKING and does not know BDAT."""
        self._former: dict[int, Outcome] = {}

    @property
    def unsent(self) -> Sequence[int]:
        """Places of recipients of whom this host was not asked."""
        return [place for place, outcome in enumerate(self.outcomes) if outcome is None]

    @property
    def any_known(self) -> bool:
        """Whether any recipient has an outcome."""
        return len(self.unsent) < len(self.outcomes)

    def settle(self, places: Iterable[int], outcome: Outcome, *, elsewhere: bool = False) -> None:
        """Give those of these recipients that have no outcome this one."""
        for place in places:
            if self.outcomes[place] is None:
                self.outcomes[place] = outcome
                if elsewhere:
                    self.elsewhere.add(place)

    def refuse(self, places: Iterable[int], outcome: Outcome) -> None:
        """Note what a host said that took nothing: what is temporary there may go well elsewhere."""
        self.settle(places, outcome, elsewhere=outcome.state is OutcomeState.DEFERRED)

    def name_host(self, host: str) -> None:
        """Note the host on the outcomes that it brought."""
        for place, outcome in enumerate(self.outcomes):
            if outcome is not None and not outcome.host:
                self.outcomes[place] = attrs.evolve(outcome, host=host)

    def reopen(self) -> bool:
        """
        Let another host be asked for those of whom the last one took nothing.

        Returns:
            Whether there is anybody left to ask for.
        """
        for place in self.elsewhere:
            outcome = self.outcomes[place]
            if outcome is not None:
                self._remember(place, outcome)
                self.outcomes[place] = None
        self.elsewhere.clear()
        return None in self.outcomes

    def _remember(self, place: int, outcome: Outcome) -> None:
        """
        Keep what is worth more to who reads it: a host's words rather than that another one could not be reached.

        While one host may take the message later, it has not failed because others never will.
        """
        former = self._former.get(place)
        states = (former.state if former else None, outcome.state)
        if states == (OutcomeState.DEFERRED, OutcomeState.FAILED):
            return
        if former is None or outcome.code or not former.code or former.state is not OutcomeState.DEFERRED:
            self._former[place] = outcome

    def keep_hoping(self) -> None:
        """There are hosts that were not asked: that those that were will never take the message is not the end."""
        for place, former in self._former.items():
            if former.state is OutcomeState.FAILED:
                self._former[place] = attrs.evolve(former, state=OutcomeState.DEFERRED, enhanced=OTHER_SECURITY)

    def finish(self, otherwise: Outcome) -> Sequence[Outcome]:
        """Give an outcome for each: where nobody else was left to ask, the former one."""
        return [self._last(place, outcome) or otherwise for place, outcome in enumerate(self.outcomes)]

    def _last(self, place: int, outcome: Outcome | None) -> Outcome | None:
        if outcome is None:
            return self._former.get(place)
        if outcome.state is not OutcomeState.DEFERRED:
            return outcome
        self._remember(place, outcome)
        return self._former[place]
