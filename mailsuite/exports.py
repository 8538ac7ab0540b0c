"""Let a package offer names without importing them all: who needs its settings does not pay for its server."""

import importlib
from collections.abc import Callable, Mapping


def exporter(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """
    Make the ``__getattr__`` of a package (PEP 562).

    Args:
        package: its ``__name__``.
        homes: names that it offers, each with the module of the package that has it.
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return find
