"""The MTA-STS policies of domains: fetched when a record announces them, kept until they expire. RFC 8461 section 5."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mailsuite.durable import InlineLane, Lane
from mailsuite.errors import Kind, MailError, ProtocolError
from mailsuite.interfaces import TXT, IResolver
from mailsuite.mta.sts import STSPolicy, parse_policy, parse_record
from mailsuite.mta.sts_fetch import FetchError
from mailsuite.mta.tls_store import KnownPolicy, TLSStore
from mailsuite.observe import EventLog, background

RECORD_LABEL = "_mta-sts"
REFRESH_SECONDS = 86400.0  # RFC 8461 section 3.3: about once a day
FAILED_SECONDS = 300.0  # RFC 8461 section 3.3: for each id, not more than every five minutes
FAILED_MAX = 10_000


class STSPolicies:
    """
    Finds the policy of a domain.

    Args:
        fetch: gives the octets of a policy or raises `FetchError`.
        store: keeps policies; used in `lane` alone.
        failed: is told the domain and the result type of RFC 8460 section 4.3.2.2 when one cannot be fetched.
    """

    def __init__(
        self,
        resolver: IResolver,
        fetch: Callable[[str], Awaitable[bytes]],
        store: TLSStore,
        lane: Lane | InlineLane,
        clock: IReactorTime,
        *,
        failed: Callable[[str, str], None],
    ) -> None:
        self._resolver = resolver
        self._fetch = fetch
        self._store = store
        self._lane = lane
        self._clock = clock
        self._tell_failed = failed
        self._under_way: dict[str, list[Deferred[None]]] = {}
        self._failed: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._fetching: Deferred[None] | None = None
        self._refreshing: Deferred[None] | None = None
        self._log = EventLog(Logger("mailsuite.mta.sts_policies"))

    async def find(self, domain: str) -> STSPolicy | None:
        """
        Give the policy in force; None when there is none.

        One that is known holds until it expires, whatever the DNS says (RFC 8461 section 5.1). When another one is
        announced it is fetched first; the known one stays if that fails. About once a day it is fetched again, also
        when no record announces it any more, which may be an attacker's doing (RFC 8461 section 10.2).

        Raises:
            MailError: UNAVAILABLE, when it cannot be told whether one is known.
        """
        known = await self._lane.run(self._store.policy, domain)
        announced = await self._announced(domain)
        now = self._clock.seconds()
        if known is not None and now >= known.expires:
            known = None
        wanted = announced or (known.policy_id if known is not None else "")
        if wanted and not self._failed_lately(domain, wanted, now):
            if known is None or known.policy_id != wanted:
                await self._fetch_once(domain, wanted)
                known = await self._lane.run(self._store.policy, domain) or known
            elif now - known.fetched > REFRESH_SECONDS and domain not in self._under_way:
                self._refreshing = background(self._fetch_once(domain, wanted), self._log, "refreshing a policy")
        return None if known is None else self._parse(domain, known)

    async def _announced(self, domain: str) -> str | None:
        """Say which policy the domain's record announces; None when there is none, or it cannot be told."""
        try:
            answer = await self._resolver.resolve(f"{RECORD_LABEL}.{domain}", TXT)
        except MailError:
            return None
        return parse_record(answer.records)

    def _failed_lately(self, domain: str, policy_id: str, now: float) -> bool:
        failed = self._failed.get((domain, policy_id))
        return failed is not None and failed <= now < failed + FAILED_SECONDS

    async def _fetch_once(self, domain: str, policy_id: str) -> None:
        """
        Fetch and keep; who wants the same meanwhile waits for this one, and who goes away does not end it.

        Raises:
            MailError: UNAVAILABLE, when what was fetched is lost: it may be a policy that forbids what we would do.
        """
        done: Deferred[None] = Deferred()
        waiting = self._under_way.get(domain)
        if waiting is None:
            self._under_way[domain] = [done]
            self._fetching = background(self._fetch_for_all(domain, policy_id), self._log, "fetching a policy")
        else:
            waiting.append(done)
        await done

    async def _fetch_for_all(self, domain: str, policy_id: str) -> None:
        failure: MailError | None = MailError(Kind.UNAVAILABLE, f"the policy of {domain} cannot be fetched")
        try:
            await self._fetch_and_keep(domain, policy_id)
            failure = None
        except MailError as error:
            failure = error
        finally:
            for one in self._under_way.pop(domain):
                if one.called:
                    continue
                if failure is None:
                    one.callback(None)
                else:
                    one.errback(failure)

    async def _fetch_and_keep(self, domain: str, policy_id: str) -> None:
        try:
            body = await self._fetch(domain)
            policy = parse_policy(body)
        except (FetchError, ProtocolError) as error:
            self._note_failed(domain, policy_id)
            self._log.emit("sts.policy.refused", domain=domain, reason=error.detail)
            self._tell_failed(domain, error.result if isinstance(error, FetchError) else "sts-policy-invalid")
            return
        self._failed.pop((domain, policy_id), None)
        now = self._clock.seconds()
        known = KnownPolicy(policy_id=policy_id, body=body, fetched=now, expires=now + policy.max_age_seconds)
        await self._lane.run(self._store.put_policy, domain, known)
        self._log.emit("sts.policy.fetched", domain=domain, mode=policy.mode.value, hosts=list(policy.mx))

    def _note_failed(self, domain: str, policy_id: str) -> None:
        self._failed[domain, policy_id] = self._clock.seconds()
        self._failed.move_to_end((domain, policy_id))
        if len(self._failed) > FAILED_MAX:
            self._failed.popitem(last=False)

    def _parse(self, domain: str, known: KnownPolicy) -> STSPolicy:
        try:
            return parse_policy(known.body)
        except ProtocolError as error:  # it was well-formed when it was kept
            raise MailError(Kind.UNAVAILABLE, f"the policy of {domain} that was kept cannot be read") from error
