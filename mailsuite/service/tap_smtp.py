"""``twistd mailsuite-smtp``."""

from twisted.application.service import IService

from mailsuite.service.roles import Role
from mailsuite.service.tap import Options, make_application

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> IService:
    """Make the service for reception and submission."""
    return make_application(options, frozenset({Role.SMTP}))
