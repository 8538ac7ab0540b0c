"""Which spools a process has, and what of the work on them is its own."""

import os
import sqlite3
from collections.abc import Iterable, Sequence

import attrs

from mailsuite.config import Config
from mailsuite.durable import Disk
from mailsuite.errors import Kind, MailError
from mailsuite.mta.attempt import plan_of
from mailsuite.mta.operations import spool_folders, worker_folder
from mailsuite.mta.retry import RetryPlan
from mailsuite.mta.share import Share
from mailsuite.mta.spool import forget_if_empty
from mailsuite.service.roles import Role
from mailsuite.service.seat import Seat

SPOOL_FOLDER = "spool"


@attrs.frozen
class SpoolPlan:
    """
    One spool to open.

    Args:
        retry: when what a mailbox could not take is tried again.
    """

    folder: str
    share: Share
    retry: RetryPlan


def plan_spools(config: Config, roles: Iterable[Role], seat: Seat | None) -> Sequence[SpoolPlan]:
    """
    Say which spools to open; the first one is where mail is received, if it is.

    Each worker has a spool of its own. What workers left that there are no more is the first one's to deliver.
    """
    roles = frozenset(roles)
    root = _root(config)
    receives, queues = Role.SMTP in roles, Role.QUEUE in roles
    retry = plan_of(config.queue)
    if not receives and not queues:
        return ()
    workers = [worker_folder(root, number) for number in range(1 if seat is None else seat.count)]
    left = [folder for folder in spool_folders(root) if folder not in workers]
    if not receives:
        return [SpoolPlan(folder, Share.QUEUE, retry) for folder in [*workers, *left]]
    number = 0 if seat is None else seat.number
    share = Share.WHOLE if queues else Share.RECEPTION
    folders = [workers[number]]
    if number == 0:
        folders.extend(left)
    return [SpoolPlan(folder, share, retry) for folder in folders]


def forget_spools(config: Config, workers: int, disk: Disk) -> None:
    """
    Remove spools of workers that there are no more, once nothing is in them; nobody has them open. Blocks.

    Args:
        workers: how many there are, at least one.

    Raises:
        MailError: UNAVAILABLE, when one cannot be looked at.
    """
    root = _root(config)
    workers_folders = {worker_folder(root, number) for number in range(workers)}
    for folder in spool_folders(root):
        if folder not in workers_folders:
            try:
                forget_if_empty(folder, disk)
            except sqlite3.Error as error:
                raise MailError(Kind.UNAVAILABLE, f"the spool {folder}: {error}") from error


def _root(config: Config) -> str:
    return os.path.join(config.server.data_dir, SPOOL_FOLDER)
