"""``twistd mailsuite-queue``."""

from twisted.application.service import IService

from mailsuite.service.roles import Role
from mailsuite.service.tap import Options, make_application

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """Make the service for the queue: further attempts, and mail for elsewhere."""
    return make_application(options, frozenset({Role.QUEUE}))
