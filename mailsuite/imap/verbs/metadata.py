"""GETMETADATA and SETMETADATA: annotations of mailboxes and of the server."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from mailsuite.errors import Kind, MailError
from mailsuite.imap import metadata_commands, responses
from mailsuite.imap.commands import MetadataRequest
from mailsuite.imap.session import Reply, Session
from mailsuite.imap.tokens import BadCommandError
from mailsuite.interfaces import (
    PRIVATE,
    SHARED,
    SPECIAL_USE_ENTRY,
    AnnotationLimits,
    Depth,
    IAnnotatedAccount,
    NoPrivateAnnotationsError,
    TooManyAnnotationsError,
    is_asked,
    is_private,
)

SERVER = ""
"""In place of the name of a mailbox: the annotations of the server (RFC 5464 section 3.2.1.1)."""
COMMENT_ENTRY = "/shared/comment"
ADMIN_ENTRY = "/shared/admin"
VENDOR = "vendor"
VENDOR_ENTRY_LEVELS = 2
"""So many components an entry has at least behind that: the name of the vendor and one more (RFC 5464 section 3.2)."""
SHARED_SPECIAL_USE = "/shared/specialuse"


def annotated_account(session: Session, tag: bytes) -> IAnnotatedAccount:
    """
    Give the account as one that keeps annotations.

    Raises:
        BadCommandError: it keeps none, which its capabilities say.
    """
    account = session.annotated
    if account is None:
        raise BadCommandError("this account keeps no annotations", tag=tag)
    return account


async def get_metadata(session: Session, command: metadata_commands.GetMetadata) -> Reply:
    """GETMETADATA (RFC 5464 section 4.2)."""
    account = annotated_account(session, command.tag)
    longest = await tell(session, account, command.mailbox, command.wanted)
    code = responses.long_entries_code(longest) if longest is not None else b""
    return Reply("GETMETADATA completed", code=code)


async def tell(session: Session, account: IAnnotatedAccount, mailbox: str, wanted: MetadataRequest) -> int | None:
    """
    Write what is asked for of one mailbox.

    Returns:
        The size of the longest value that is longer than the client wants (RFC 5464 section 4.2.1), or None.

    Raises:
        MailError: NOT_FOUND.
    """
    found = dict(await account.annotations(mailbox, wanted.entries, wanted.depth))
    if mailbox == SERVER:
        found.update(pair for pair in _of_operator(session) if is_asked(pair[0], wanted.entries, wanted.depth))
    longest: int | None = None
    shown: list[tuple[str, bytes | None]] = []
    for entry, value in _in_order(found, wanted):
        if value is not None and wanted.max_octets is not None and len(value) > wanted.max_octets:
            longest = max(longest or 0, len(value))
        else:
            shown.append((entry, value))
    if shown:
        session.connection.write(responses.metadata_line(session.shown(mailbox), shown))
        await session.connection.drained()
    return longest


def _in_order(found: dict[str, bytes], wanted: MetadataRequest) -> Iterator[tuple[str, bytes | None]]:
    """Give what was asked for by name first, as the client wrote it, and then what lies below."""
    by_key = {entry.lower(): (entry, value) for entry, value in found.items()}
    for asked in dict.fromkeys(wanted.entries):
        pair = by_key.pop(asked.lower(), None)
        if pair is not None:
            yield asked, pair[1]
        elif wanted.depth is Depth.ENTRY:
            yield asked, None
    for key in sorted(by_key):
        yield by_key[key]


def _of_operator(session: Session) -> Iterator[tuple[str, bytes]]:
    """Give what the configuration says of the server (RFC 5464 section 3.2.1.1)."""
    settings = session.settings
    if settings.server_comment:
        yield COMMENT_ENTRY, "\r\n".join(settings.server_comment.splitlines()).encode("utf-8")
    _, at, domain = session.avatar.email.rpartition("@")
    admin = settings.server_admin or (f"mailto:postmaster@{quote(domain)}" if at else "")
    if admin:
        yield ADMIN_ENTRY, admin.encode("utf-8")


async def set_metadata(session: Session, command: metadata_commands.SetMetadata) -> Reply:
    """SETMETADATA (RFC 5464 section 4.3): all entries or none."""
    account = annotated_account(session, command.tag)
    for entry, value in command.values.items():
        _ensure_settable(command.mailbox, entry, value)
    if any(len(value or b"") > session.settings.annotation_max_octets for value in command.values.values()):
        return too_large(session)
    try:
        await _annotate(session, account, command.mailbox, command.values)
    except TooManyAnnotationsError as error:
        return Reply(error.detail, status=responses.NO, code=responses.METADATA_TOOMANY)
    except NoPrivateAnnotationsError as error:
        return Reply(error.detail, status=responses.NO, code=responses.METADATA_NOPRIVATE)
    return Reply("SETMETADATA completed")


async def _annotate(
    session: Session, account: IAnnotatedAccount, mailbox: str, values: Mapping[str, bytes | None]
) -> None:
    """Set annotations, of which this client need not be told."""
    settings = session.settings
    limits = AnnotationLimits(
        per_mailbox=settings.annotations_per_mailbox, per_account=settings.annotations_per_account
    )
    numbers = await account.annotate(mailbox, values, limits)
    if session.annotation_watch is not None:
        session.annotation_watch.note_own(numbers)
    if session.watching is not None and numbers:
        session.watching.own_messages(mailbox, ())  # it has taken a MODSEQ


async def copy_annotations(session: Session, source: str, target: str) -> None:
    """
    Give a mailbox the annotations of another, as far as this account sees them.

    Where they cannot be copied, for which there are limits, the client is warned.
    """
    account = session.annotated
    if account is None:
        return
    try:
        values = await account.annotations(source, (PRIVATE, SHARED), Depth.ALL)
        if values:
            await _annotate(session, account, target, values)
    except MailError as error:
        failure = responses.failure_of(error)
        text = f"the annotations of {source} are not copied: {error.detail}"
        session.connection.write(responses.untagged(responses.NO, text, failure.code))


def too_large(session: Session) -> Reply:
    """Refuse a value that is too long, and say how long one may be."""
    code = responses.metadata_max_size_code(session.settings.annotation_max_octets)
    return Reply("the value is too long", status=responses.NO, code=code)


def _ensure_settable(mailbox: str, entry: str, value: bytes | None) -> None:
    """
    Check that a client may set an entry at all (RFC 5464 sections 3.2, 3.2.1 and 3.3).

    An entry of a vendor has four components at least; one with less that is there may still be removed.

    Raises:
        MailError: INVALID; DENIED for what the operator says of the server.
    """
    key = entry.lower()
    if not is_private(key) and not key.startswith(f"{SHARED}/"):
        raise MailError(Kind.INVALID, f"an entry begins with {PRIVATE}/ or {SHARED}/")
    _, _, second, *below = key.split("/")
    if value is not None and second == VENDOR and len(below) < VENDOR_ENTRY_LEVELS:
        raise MailError(Kind.INVALID, "the entry lacks the name of a vendor, or one below that")
    if key == SHARED_SPECIAL_USE or (mailbox == SERVER and key == SPECIAL_USE_ENTRY):
        raise MailError(Kind.INVALID, "that cannot have a special use")
    if mailbox == SERVER and not is_private(key):
        raise MailError(Kind.DENIED, "what all see of the server is the operator's to say")
