"""A client's connection that can carry one message after another."""

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.interfaces import IReactorTime

from mailsuite.envelope import Envelope, Recipient, Sender
from mailsuite.errors import MailError
from mailsuite.message.convert import NotConvertibleError
from mailsuite.smtp.dialogue import Dialogue
from mailsuite.smtp.envelope_commands import encode_mail, requires_tls
from mailsuite.smtp.grammar import encode_path
from mailsuite.smtp.offered import Offered
from mailsuite.smtp.outcome import Content, Outcome, OutcomeState
from mailsuite.smtp.outgoing import Conversions, Outgoing, prepare
from mailsuite.smtp.replies import clean
from mailsuite.smtp.results import Results, deferred
from mailsuite.smtp.settings import ClientSettings
from mailsuite.smtp.transaction import Transaction

NO_TLS_STATUS = "5.7.10"  # RFC 8689 section 4.2.1: encryption needed
NO_REQUIRETLS_STATUS = "5.7.30"  # RFC 8689 section 4.2.1: REQUIRETLS support required
# RFC 6531 section 4.2
NO_UTF8_ADDRESS = Outcome(OutcomeState.FAILED, 0, "5.6.7", "the host does not take internationalized addresses")
NO_UTF8_HEADER = Outcome(OutcomeState.FAILED, 0, "5.6.9", "the host does not take internationalized mail")

_Place = tuple[int, Recipient]


class Connection:
    """
    Made by `mailsuite.smtp.opening.open_connection`, ready for MAIL. Whoever has it ends it with `leave` or `abort`.

    Args:
        offered: by the last EHLO.
        settings: as they came to be, which may be without TLS.
        encrypted: TLS is on.
        tls_failure: why it is not, or what is wrong with it: a result type of RFC 8460 section 4.3; empty when all is
            well.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        offered: Offered,
        settings: ClientSettings,
        reactor: IReactorTime,
        *,
        encrypted: bool,
        tls_failure: str = "",
    ) -> None:
        self.offered = offered
        self.encrypted = encrypted
        self.tls_failure = tls_failure
        self.opened = reactor.seconds()
        self.messages = 0
        self._dialogue = dialogue
        self._settings = settings
        self._domains: set[str] = set()
        self._dirty = False
        self._usable = True

    @property
    def reusable(self) -> bool:
        """Whether it can carry another message."""
        most = min(self._settings.messages_max, self.offered.messages_max or self._settings.messages_max)
        return self._usable and self.messages < most and self._dialogue.quiet

    def watch(self, disturbed: Callable[[], None] | None) -> None:
        """Tell once when the far side closes or says anything while nothing is sent; None stops that."""
        self._dialogue.watch(disturbed)

    def leave(self) -> None:
        """End it politely; nothing that happens then concerns a message."""
        if self._usable:
            self._usable = False
            self._dialogue.leave(self._settings.quit_seconds)

    def abort(self) -> None:
        """End it at once."""
        self._usable = False
        self._dialogue.abort()

    async def send(
        self,
        envelope: Envelope,
        open_content: Callable[[], Content],
        results: Results,
        conversions: Conversions,
        places: Sequence[int],
    ) -> None:
        """
        Send a message to some recipients, in as many transactions as the host wants.

        Those of whom it was not asked have no outcome afterwards. When that is because this connection is spent, it
        is not `reusable` any more.

        Args:
            open_content: gives the octets from their beginning.
            places: of the recipients in the envelope.
        """
        try:
            await self._send(envelope, open_content, results, conversions, places)
        except BaseException:
            self.abort()
            raise

    async def _send(
        self,
        envelope: Envelope,
        open_content: Callable[[], Content],
        results: Results,
        conversions: Conversions,
        places: Sequence[int],
    ) -> None:
        sender = envelope.sender
        if requires_tls(sender) and (refused := self._breaks_tls()) is not None:
            results.settle(places, refused, elsewhere=True)  # RFC 8689 section 4.2.1: another host may do better
            return
        waiting, smtputf8 = self._nameable(envelope, results, places)
        if not waiting:
            return
        outgoing = await self._prepared(open_content, sender, conversions, results, places)
        if outgoing is None:
            return
        try:
            if (refused := self._cannot_take(outgoing, sender)) is not None:
                results.settle(places, refused)
                return
            try:
                mail = encode_mail(
                    sender,
                    self.offered,
                    size_octets=outgoing.size_octets,
                    body=outgoing.body,
                    smtputf8=smtputf8,
                    logged_in=bool(self._settings.username),
                )
            except MailError as error:
                results.settle(places, Outcome(OutcomeState.FAILED, 0, "5.1.7", error.detail))
                return
            while self.reusable and (group := self._take_group(waiting)):
                transaction = Transaction(
                    self._dialogue,
                    self.offered,
                    self._settings,
                    outgoing,
                    mail,
                    group,
                    results,
                    smtputf8=smtputf8,
                    reset=self._dirty,
                    reused=self.messages > 0,
                )
                self.messages += 1
                if not await transaction.run():
                    self.abort()  # half a message must not be taken for the whole: no QUIT
                    return
                self._dirty = transaction.dirty
                waiting[:0] = transaction.too_many
        finally:
            outgoing.close()

    async def _prepared(
        self,
        open_content: Callable[[], Content],
        sender: Sender,
        conversions: Conversions,
        results: Results,
        places: Sequence[int],
    ) -> Outgoing | None:
        """Bring the message into a form that the host takes; None, and the outcome noted, where that cannot be."""
        try:
            return await prepare(
                open_content,
                sender,
                self.offered,
                conversions,
                wait_seconds=self._settings.content_seconds,
            )
        except NotConvertibleError as error:
            # RFC 6152 section 3: convert it or give it back; RFC 3463 section 3.7 has the status for the latter.
            text = f"the host does not take 8-bit mail, and it cannot be converted: {error}"
            results.settle(places, Outcome(OutcomeState.FAILED, 0, "5.6.3", clean(text)))
        except MailError as error:
            results.settle(places, deferred("4.3.0", error.detail))
        except OSError:
            results.settle(places, deferred("4.3.0", "the message could not be read"))
        return None

    def _cannot_take(self, outgoing: Outgoing, sender: Sender) -> Outcome | None:
        """Say why the host cannot be given this content."""
        if sender.smtputf8 and not self.offered.smtputf8 and outgoing.internationalized:
            return NO_UTF8_HEADER
        if 0 < self.offered.size_octets < outgoing.size_octets:
            text = f"the host takes messages up to {self.offered.size_octets} octets"
            return Outcome(OutcomeState.FAILED, 552, "5.3.4", text)  # RFC 1870 section 6.1
        return None

    def _breaks_tls(self) -> Outcome | None:
        """
        Say why a message that requires TLS may not go here: RFC 8689 section 4.2.1.

        The host's certificate must be verified, and it must say that it will do the same.
        """
        if not (self.encrypted and self._settings.verifies):
            return no_tls("the connection has no TLS with a verified certificate")
        if not self.offered.requiretls:
            text = "the host does not promise TLS on the whole way"
            return Outcome(OutcomeState.FAILED, 0, NO_REQUIRETLS_STATUS, text)
        return None

    def _nameable(self, envelope: Envelope, results: Results, places: Sequence[int]) -> tuple[list[_Place], bool]:
        """
        Find the recipients that this host can be told, and note the outcome of the others: RFC 6531 section 3.5.

        A sender that said SMTPUTF8 may not have needed it; whether the content does is found out later.

        Returns:
            Those with their places, and whether MAIL gets SMTPUTF8.
        """
        sender = envelope.sender
        from_ascii = sender.path is None or sender.path.is_ascii
        needed = sender.smtputf8 or not from_ascii
        found = []
        for place in places:
            recipient = envelope.recipients[place]
            try:
                encode_path(recipient.path)
            except MailError as error:
                results.settle([place], Outcome(OutcomeState.FAILED, 0, "5.1.3", error.detail))
                continue
            if not self.offered.smtputf8 and not (from_ascii and recipient.path.is_ascii):
                results.settle([place], NO_UTF8_ADDRESS)
                continue
            needed = needed or not recipient.path.is_ascii
            found.append((place, recipient))
        return found, needed and self.offered.smtputf8

    def _take_group(self, waiting: list[_Place]) -> list[_Place]:
        """
        Take as many recipients from those that wait as fit into one transaction: RFC 9422 section 4.

        Where nobody fits since the connection carried mail for as many domains as it may, it ends.
        """
        most = self.offered.recipients_max or len(waiting)
        domains_max = self.offered.domains_max
        group: list[_Place] = []
        left: list[_Place] = []
        for place, recipient in waiting:
            domain = recipient.path.domain
            fits = not domains_max or domain in self._domains or len(self._domains) < domains_max
            if fits and len(group) < most:
                group.append((place, recipient))
                if domains_max:
                    self._domains.add(domain)
            else:
                left.append((place, recipient))
        if left and not group:
            self.leave()
        waiting[:] = left
        return group


def no_tls(reason: str) -> Outcome:
    """
    Make the outcome of a message that requires TLS at a host with which that cannot be had.

    Its sender is told, and does not wait for the host to learn it: RFC 8689 section 4.2.1.
    """
    return Outcome(OutcomeState.FAILED, 0, NO_TLS_STATUS, clean(f"the message requires TLS: {reason}"))


def without_chunking(settings: ClientSettings) -> ClientSettings:
    """Send to a host that offers CHUNKING as if it did not."""
    return attrs.evolve(settings, chunking=False)
