"""Where concrete classes meet: the whole suite as one Twisted service."""

from mailsuite.config import load_config
from mailsuite.service.roles import ALL_ROLES, Role
from mailsuite.service.suite import Suite, make_service, make_suite

__all__ = ["ALL_ROLES", "Role", "Suite", "load_config", "make_service", "make_suite"]
