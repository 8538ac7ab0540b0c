"""Large messages on their way into the store that is only memory."""

from zope.interface import implementer

from mailsuite.interfaces import Body, IBodyFile


@implementer(IBodyFile)
class MemoryBody:
    """A large message on its way into the store; its path is only a name."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self._bodies = bodies
        self._path = f"memory:{id(self)}"
        self._pieces: list[bytes] = []

    async def write(self, chunk: bytes) -> None:
        """Add octets."""
        self._pieces.append(chunk)

    async def finish(self) -> Body:
        """All is written."""
        content = self._bodies[self._path] = b"".join(self._pieces)
        return Body(self._path, len(content))

    def abort(self) -> None:
        """Forget it."""
        self._pieces.clear()
        self._bodies.pop(self._path, None)
