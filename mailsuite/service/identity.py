"""Which account of the operating system the server runs as, and whose files it works on."""

import grp
import os
import pwd
import stat
from collections.abc import Sequence

import attrs

from mailsuite.config.settings import ServerSettings
from mailsuite.errors import Kind, MailError

ROOT = 0
FOLDER_MODE = 0o700


@attrs.frozen
class Identity:
    """
    Who to become.

    Args:
        name: of the user; empty keeps the caller's.
        uid: None keeps the caller's.
        gid: None keeps the caller's.
    """

    name: str = ""
    uid: int | None = None
    gid: int | None = None


def find_identity(settings: ServerSettings) -> Identity:
    """
    Find who ``server.user`` and ``server.group`` name; nobody, when that is the caller already.

    Raises:
        MailError: DENIED when the caller may not become that user or group.
    """
    uid = pwd.getpwnam(settings.user).pw_uid if settings.user else None
    gid = pwd.getpwnam(settings.user).pw_gid if settings.user else None
    if settings.group:
        gid = grp.getgrnam(settings.group).gr_gid
    if (uid is None or uid == os.geteuid()) and (gid is None or gid == os.getegid()):
        return Identity()
    if os.geteuid() != ROOT:
        wanted = "server.user" if settings.user else "server.group"
        raise MailError(Kind.DENIED, f"{wanted}: only root can become {settings.user or settings.group}")
    return Identity(settings.user, uid, gid)


def become(identity: Identity) -> None:
    """Become who the server is, for good, so that whatever is written belongs to it."""
    if identity.gid is not None:
        os.initgroups(identity.name, identity.gid) if identity.name else os.setgroups([identity.gid])
        os.setgid(identity.gid)
    if identity.uid is not None:
        os.setuid(identity.uid)


def prepare_folders(identity: Identity, home: str, folders: Sequence[str]) -> None:
    """
    See to it that folders belong to who the server becomes; those that are not there are made.

    Args:
        home: the folder of the configuration, which must let the server pass.

    Raises:
        MailError: DENIED, with what to do, when they belong to somebody else.
        OSError: one cannot be made.
    """
    if identity.uid is None:
        return
    for folder in folders:
        if not os.path.lexists(folder):
            os.makedirs(folder, mode=FOLDER_MODE)
            os.chown(folder, identity.uid, -1 if identity.gid is None else identity.gid)
    foreign = [folder for folder in folders if os.stat(folder).st_uid != identity.uid]
    status = os.stat(home)
    if status.st_uid != identity.uid and not status.st_mode & stat.S_IXOTH:
        foreign = [home, *(folder for folder in foreign if not folder.startswith(home + os.sep))]
    if foreign:
        text = f"server.user: {identity.name} cannot use what it works on; run: chown -R {identity.name}: "
        raise MailError(Kind.DENIED, text + " ".join(foreign))
