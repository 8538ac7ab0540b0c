"""Forwards of accounts, as they are written and read inside a transaction."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select

from mailsuite.address import Address
from mailsuite.directory.aliases import written_target
from mailsuite.directory.tables import FORWARDS, USERS
from mailsuite.errors import Kind, MailError

FORWARDS_MAX = 50


def replace_forwards(
    connection: Connection, user_id: int, key: str, targets: Sequence[str], *, keep_copy: bool, now: int
) -> None:
    """
    Set where an account's mail is passed on to; no target ends that.

    Args:
        key: the account's own address; as a target it means that a copy is kept.

    Raises:
        MailError: INVALID; NOT_FOUND when a target in one of our domains is nobody.
    """
    written = list(dict.fromkeys(written_target(connection, Address.parse(target)) for target in targets))
    kept = [target for target in written if not is_own(target, key)]
    if len(kept) > FORWARDS_MAX:
        raise MailError(Kind.INVALID, f"an account has at most {FORWARDS_MAX} forwards")
    connection.execute(FORWARDS.delete().where(FORWARDS.c.user_id == user_id))
    if kept:
        rows = [{"user_id": user_id, "target": target, "created": now} for target in kept]
        connection.execute(FORWARDS.insert(), rows)
    keep_copy = keep_copy or not kept or len(kept) < len(written)
    connection.execute(USERS.update().where(USERS.c.id == user_id).values(keep_copy=keep_copy))


def is_own(target: str, key: str) -> bool:
    """Whether an address, as it is stored, is an account's own or one of its tags."""
    name, _, domain = target.rpartition("@")
    return target == key or f"{name.partition('+')[0].casefold()}@{domain}" == key


def load_forwards(connection: Connection, user_id: int | None = None) -> Mapping[int, tuple[str, ...]]:
    """Read the forwards of one account, or of all, in their order."""
    query = select(FORWARDS.c.user_id, FORWARDS.c.target).order_by(FORWARDS.c.id)
    if user_id is not None:
        query = query.where(FORWARDS.c.user_id == user_id)
    found: dict[int, list[str]] = {}
    for owner, target in connection.execute(query):
        found.setdefault(owner, []).append(target)
    return {owner: tuple(targets) for owner, targets in found.items()}
