"""CAPABILITY, NOOP, CHECK, ID, ENABLE, NAMESPACE and LOGOUT."""

import itertools

from mailsuite import __version__
from mailsuite.imap import commands, responses
from mailsuite.imap.capabilities import CONDSTORE, METADATA, QRESYNC, REV2, UIDONLY, UTF8_ACCEPT, is_off
from mailsuite.imap.session import Reply, Session, State
from mailsuite.interfaces import IRightsAccount

ID_LOGGED_MAX = 10  # fields of a client's ID that go to the log


async def capability(session: Session, command: commands.Capability) -> Reply:
    """CAPABILITY (RFC 3501 section 6.1.1)."""
    del command
    session.connection.write(responses.capability_line(session.capabilities()))
    return Reply("CAPABILITY completed")


async def noop(session: Session, command: commands.Noop) -> Reply:
    """NOOP, which looks for changes (RFC 3501 section 6.1.2)."""
    del command
    if session.selected is not None:
        await session.selected.look_again(session.seconds())
    return Reply("NOOP completed")


async def check(session: Session, command: commands.Check) -> Reply:
    """CHECK: everything that was answered is on disk already (RFC 3501 section 6.4.1)."""
    del command
    await session.mailbox.synchronise(always=True)
    return Reply("CHECK completed")


async def id_(session: Session, command: commands.Id) -> Reply:
    """ID (RFC 2971 section 3.1); a client that something is switched off for is told what is left."""
    session.client = {
        name.decode("ascii", "replace"): value.decode("utf-8", "replace")
        for name, value in command.parameters.items()
        if value is not None
    }
    session.log.emit("imap.client.identified", client=dict(itertools.islice(session.client.items(), ID_LOGGED_MAX)))
    session.connection.write(responses.id_line({"name": "mailsuite", "version": __version__}))
    if session.look_for_quirks():
        session.connection.write(responses.capability_line(session.capabilities()))
    return Reply("ID completed")


async def enable(session: Session, command: commands.Enable) -> Reply:
    """ENABLE (RFC 5161 section 3.1); what is unknown, or switched off, is passed over."""
    wanted = {capability for capability in command.capabilities if not is_off(capability, session.off)}
    if METADATA in wanted and session.annotated is not None:
        await session.watch_annotations()  # it alone can fail, and then nothing is enabled
        session.enable({METADATA})
    if wanted & {CONDSTORE, QRESYNC} and session.avatar.remembers:
        session.use_modseq(command.tag)
        session.enable(wanted & {QRESYNC})  # RFC 7162 section 3.2.3
    session.enable(wanted & {REV2, UTF8_ACCEPT, UIDONLY})
    if session.is_rev2 and session.selected is not None:
        session.selected.view.forget_recent()
    enabled = [capability for capability in dict.fromkeys(command.capabilities) if capability in session.enabled]
    session.connection.write(responses.enabled_line(enabled))
    return Reply("ENABLE completed")


async def namespace(session: Session, command: commands.Namespace) -> Reply:
    """NAMESPACE: one's own mailboxes, and those of others (RFC 2342 section 5)."""
    del command
    account = session.avatar
    others = str(IRightsAccount(account).others) if IRightsAccount.providedBy(account) else ""
    session.connection.write(responses.namespace_line(others))
    return Reply("NAMESPACE completed")


async def logout(session: Session, command: commands.Logout) -> Reply:
    """LOGOUT (RFC 3501 section 6.1.3)."""
    del command
    session.unselect()
    session.state = State.LOGOUT
    session.connection.write(responses.bye("logging out"))
    return Reply("LOGOUT completed")
