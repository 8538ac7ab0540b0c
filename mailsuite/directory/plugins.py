"""Finds checkers and realms that others wrote: by name through ``twisted.plugin``, or as ``module:object``."""

import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm
from twisted.plugin import getPlugins
from zope.interface.interface import InterfaceClass

from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import ICheckerPlugin, IRealmPlugin


def make_checker(name: str, options: Mapping[str, object], package: ModuleType | None = None) -> ICredentialsChecker:
    """
    Make a checker that the configuration names.

    Args:
        name: of a plugin, or ``module:object``, where the object is an ``ICheckerPlugin``, a class or function that
            makes a checker of keyword arguments, or a checker itself.
        options: the plugin's own table in the configuration.
        package: where plugins are looked for; ``twisted.plugins`` unless given.

    Raises:
        MailError: NOT_FOUND; INVALID when it is no checker.
    """
    plugin = _load(name, ICheckerPlugin, package)
    if ICheckerPlugin.providedBy(plugin):
        plugin = plugin.make_checker(options)
    elif not ICredentialsChecker.providedBy(plugin) and callable(plugin):
        plugin = plugin(**options)
    if not ICredentialsChecker.providedBy(plugin):
        raise MailError(Kind.INVALID, f"{name} provides no ICredentialsChecker")
    checker: ICredentialsChecker = plugin
    return checker


def make_realm(name: str, options: Mapping[str, object], default: IRealm, package: ModuleType | None = None) -> IRealm:
    """
    Make a realm that the configuration names.

    Args:
        name: of a plugin, or ``module:object``, where the object is an ``IRealmPlugin``, a class or function that makes
            a realm of `default` and keyword arguments, or a realm itself.
        options: the plugin's own table in the configuration.
        default: our own realm, for the plugin to fall back to.
        package: where plugins are looked for; ``twisted.plugins`` unless given.

    Raises:
        MailError: NOT_FOUND; INVALID when it is no realm.
    """
    plugin = _load(name, IRealmPlugin, package)
    if IRealmPlugin.providedBy(plugin):
        plugin = plugin.make_realm(options, default)
    elif not IRealm.providedBy(plugin) and callable(plugin):
        plugin = plugin(default, **options)
    if not IRealm.providedBy(plugin):
        raise MailError(Kind.INVALID, f"{name} provides no IRealm")
    realm: IRealm = plugin
    return realm


def _load(name: str, interface: InterfaceClass, package: ModuleType | None) -> Any:
    return _load_object(name) if ":" in name else _find_plugin(name, interface, package)


def _load_object(name: str) -> object:
    module_name, _, path = name.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise MailError(Kind.NOT_FOUND, f"{name} cannot be loaded: {error}") from error
    return found


def _find_plugin(name: str, interface: InterfaceClass, package: ModuleType | None) -> object:
    plugins: Iterable[Any] = getPlugins(interface) if package is None else getPlugins(interface, package)
    names = []
    for plugin in plugins:
        if plugin.name == name:
            found: object = plugin
            return found
        names.append(plugin.name)
    known = f"there are: {', '.join(sorted(names))}" if names else "none is installed"
    raise MailError(Kind.NOT_FOUND, f"no plugin is called {name}; {known}")
