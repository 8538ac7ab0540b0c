"""
What a typist's lines do: Python, run in the server, with the results of what has to be waited for.

Nothing of the process is changed for it: output goes through a ``print`` of the typist's own, not through
``sys.stdout``, and what would wait at the server's terminal is refused.
"""

import ast
import builtins
import codeop
import functools
import inspect
import pprint
import pydoc
import traceback
import types
from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.defer import CancelledError

from mailsuite.errors import MailError
from mailsuite.observe import EventLog

FILE_NAME = "<manhole>"
LINE_MAX_CHARACTERS = 4096  # of one line, so that the log has it whole
OUTPUT_MAX_CHARACTERS = 64 * 1024  # of what one statement prints
FRAMES_MAX = 6
TEXT_WIDTH = 100


class OutputLimitError(Exception):
    """A statement printed too much; it ends there."""


class Output:
    """
    What ``print`` writes to.

    Args:
        write: sends text to the typist.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._send = write
        self._left = OUTPUT_MAX_CHARACTERS

    def begin(self) -> None:
        """A new statement begins."""
        self._left = OUTPUT_MAX_CHARACTERS

    def write(self, text: str) -> int:
        """
        Send text.

        Raises:
            OutputLimitError: it was too much; what fits was sent.
        """
        self._send(text[: self._left])
        self._left -= len(text)
        if self._left < 0:
            self._left = 0
            raise OutputLimitError
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


class Console:
    """
    The names that one typist works with, and what was typed of a statement so far.

    Args:
        names: what there is at the beginning.
        write: sends text to the typist; lines end with a newline.
        log: with the peer bound.
        who: the typist, as the log names them.
    """

    def __init__(self, names: Mapping[str, object], *, write: Callable[[str], object], log: EventLog, who: str) -> None:
        self._output = Output(write)
        self.names: dict[str, object] = {
            "__name__": "__manhole__",
            "__builtins__": builtins,
            **names,
            **self._own_names(),
        }
        self._log = log
        self._who = who
        self._lines: list[str] = []
        self._compile = codeop.CommandCompiler()
        self._compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def _own_names(self) -> dict[str, object]:
        return {
            "print": functools.partial(print, file=self._output),
            "help": self._help,
            "input": _refuse,
            "breakpoint": _refuse,
            "exit": _leave,
            "quit": _leave,
        }

    @property
    def is_within(self) -> bool:
        """Whether the next line belongs to a statement that was begun."""
        return bool(self._lines)

    def forget(self) -> None:
        """Give up a statement that was begun."""
        self._lines.clear()

    def take(self, line: str) -> str | None:
        """
        Take a line that was typed, and log it.

        Returns:
            The statement that it completes; None when there is more to come.

        Raises:
            ValueError: it is too long; nothing of it counts.
        """
        if len(line) > LINE_MAX_CHARACTERS:
            self.forget()
            raise ValueError(f"a line may have {LINE_MAX_CHARACTERS} characters")
        self._log.emit("manhole.line.typed", who=self._who, line=line)
        self._lines.append(line)
        source = "\n".join(self._lines)
        try:
            if self._compile(source, FILE_NAME, "single") is None:
                return None
        except (SyntaxError, ValueError, OverflowError):
            pass  # running it tells what is wrong
        self.forget()
        return source

    def tell(self, text: str) -> None:
        """Say something to the typist."""
        self._output.begin()
        self._output.write(text)

    def take_rest(self) -> str | None:
        """Give a statement that was begun and will not go on."""
        source = "\n".join(self._lines)
        self.forget()
        return source or None

    async def run(self, source: str) -> bool:
        """
        Run a statement to its end and show what it gives; False when it failed.

        Raises:
            SystemExit: the typist wants to leave.
        """
        self._output.begin()
        try:
            for node in ast.parse(source, FILE_NAME).body:
                await self._do(node)
        except OutputLimitError:
            self._output.begin()
            self._output.write(f"\n... the rest is left out: more than {OUTPUT_MAX_CHARACTERS} characters\n")
            return False
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever was typed, the typist is told
            self._output.begin()
            self._output.write(explain(error)[:OUTPUT_MAX_CHARACTERS])
            return False
        return True

    async def _do(self, node: ast.stmt) -> None:
        """Do one statement; of an expression, show the value, when it has come."""
        if not isinstance(node, ast.Expr):
            await self._execute(ast.Module([node], []), "exec")
            return
        value = await self._execute(ast.Expression(node.value), "eval")
        while inspect.isawaitable(value):
            value = await value
        if value is not None:
            self.names["_"] = value
            self._output.write(display(value) + "\n")

    async def _execute(self, tree: ast.Module | ast.Expression, mode: str) -> object:
        code = compile(tree, FILE_NAME, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        result = types.FunctionType(code, self.names)()
        if code.co_flags & inspect.CO_COROUTINE:
            waiting: Awaitable[object] = result
            return await waiting
        return result

    def _help(self, thing: object = None) -> None:
        """Describe something; without it, say what there is."""
        if thing is None:
            thing = self.names.get("ops")
            self._output.write(f"{thing!r}\n")
            return
        self._output.write(pydoc.plain(pydoc.render_doc(thing)) + "\n")


def display(value: object) -> str:
    """Write a value for people."""
    if isinstance(value, dict | list | tuple | set | frozenset):
        return pprint.pformat(value, width=TEXT_WIDTH, sort_dicts=False)
    return repr(value)


def explain(error: BaseException) -> str:
    """Say what went wrong: what the server refuses in one line, anything else with a short traceback."""
    if isinstance(error, MailError):
        return f"{error.kind.name}: {error.detail}\n"
    if isinstance(error, CancelledError):
        return "interrupted\n"
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(error))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    lines = traceback.format_list(frames[-FRAMES_MAX:])
    if lines:
        lines.insert(0, "Traceback (most recent call last):\n")
    return "".join([*lines, *traceback.format_exception_only(error)])


def _refuse(*_arguments: object) -> None:
    """Say no to what would wait at the server's own terminal."""
    raise RuntimeError("this would stop the whole server")


def _leave(status: int = 0) -> None:
    """End the session."""
    raise SystemExit(status)
