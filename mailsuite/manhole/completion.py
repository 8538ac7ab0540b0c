"""Completion of names and attributes, as far as it can be told without calling anything."""

import builtins
import inspect
import keyword
import re
from collections.abc import Iterable, Mapping, Sequence

import attrs

_PATH = re.compile(r"[A-Za-z_]\w*(?:\.\w*)*$")


@attrs.frozen
class Completion:
    """
    What could stand at the cursor.

    Args:
        insert: what all candidates add to what is there.
        candidates: all of them; those of attributes without what stands before the dot.
    """

    insert: str
    candidates: Sequence[str]


def complete(names: Mapping[str, object], text: str) -> Completion:
    """
    Complete what stands before the cursor.

    Args:
        names: the typist's.
        text: the line up to the cursor.
    """
    match = _PATH.search(text)
    if match is None:
        return Completion("", ())
    head, dot, begun = match.group().rpartition(".")
    found = _attributes(names, head, begun) if dot else _names(names, begun)
    candidates = sorted(found)
    common = _common(candidates)
    return Completion(common[len(begun) :], candidates)


def _common(words: Sequence[str]) -> str:
    """Give what all words begin with; they are sorted."""
    if not words:
        return ""
    first, last = words[0], words[-1]
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[: min(len(first), len(last)) if length is None else length]


def _names(names: Mapping[str, object], begun: str) -> Iterable[str]:
    known = {**vars(builtins), **names}
    for name, value in known.items():
        if _matches(name, begun):
            yield f"{name}(" if callable(value) else name
    yield from (f"{word} " for word in keyword.kwlist if word.startswith(begun) and word not in known)


def _attributes(names: Mapping[str, object], head: str, begun: str) -> Iterable[str]:
    first, *rest = head.split(".")
    if first not in names:
        return
    thing = names[first]
    for name in rest:
        try:
            thing = getattr(thing, name)
        except Exception:  # noqa: BLE001 - a property may raise what it likes; there is nothing to offer then
            return
    for name in dir(thing):
        if _matches(name, begun):
            static = inspect.getattr_static(thing, name, None)
            yield f"{name}(" if callable(static) or isinstance(static, staticmethod | classmethod) else name


def _matches(name: str, begun: str) -> bool:
    """Offer what is not public only to who begins it so."""
    return name.startswith(begun) and (begun.startswith("_") or not name.startswith("_"))
