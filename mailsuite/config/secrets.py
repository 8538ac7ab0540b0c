"""Values that are never shown, and values that stand elsewhere: in a file or in the environment."""

import os
from collections.abc import Mapping

import attrs

MASK = "********"
SECRET_FILE_MAX_OCTETS = 64 * 1024


@attrs.frozen(repr=False)
class Secret:
    """
    A text that logs, tracebacks and ``config show`` never show.

    Args:
        value: the clear text; read it only where it is used.
    """

    value: str = ""

    def __bool__(self) -> bool:
        return bool(self.value)

    def __repr__(self) -> str:
        return f"Secret({MASK if self.value else ''})"

    __str__ = __repr__


def dereference(reference: Mapping[str, object], folder: str, environment: Mapping[str, str]) -> str:
    """
    Fetch the text that ``{ file = "..." }`` or ``{ env = "..." }`` stands for.

    Args:
        folder: where relative file names begin.

    Raises:
        ValueError: with a sentence that says why there is no text.
    """
    match dict(reference):
        case {"file": str(name), **rest} if not rest:
            path = os.path.join(folder, name)
            try:
                with open(path, encoding="utf-8") as stream:
                    text = stream.read(SECRET_FILE_MAX_OCTETS)
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
                raise ValueError(f"the file {path} cannot be read: {reason}") from error
            return text.removesuffix("\n").removesuffix("\r")
        case {"env": str(name), **rest} if not rest:
            if name not in environment:
                raise ValueError(f"the environment variable {name} is not set")
            return environment[name]
    raise ValueError('expected text, { file = "..." } or { env = "..." }')
