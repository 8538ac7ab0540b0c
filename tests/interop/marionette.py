"""The protocol that Gecko programs are driven by: a length, a colon, and JSON."""

import json
import socket
from typing import Any

CONNECT_SECONDS = 90
SCRIPT_SECONDS = 60


class MarionetteError(Exception):
    """A script failed."""


class Marionette:
    """
    A driver of one program, in the context that may do everything.

    Args:
        port: where the program listens.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)
        self._file = self._socket.makefile("rwb")
        self._number = 0
        self._read()
        self.call("WebDriver:NewSession", capabilities={})
        self.call("WebDriver:SetTimeouts", script=SCRIPT_SECONDS * 1000)
        self.call("Marionette:SetContext", value="chrome")

    def _read(self) -> Any:
        length = b""
        while (octet := self._file.read(1)) != b":":
            if not octet:
                raise MarionetteError("the program has ended")
            length += octet
        return json.loads(self._file.read(int(length)))

    def call(self, command: str, **parameters: Any) -> Any:
        """Send a command and give its result."""
        self._number += 1
        octets = json.dumps([0, self._number, command, parameters]).encode()
        self._file.write(b"%d:%b" % (len(octets), octets))
        self._file.flush()
        _, _, error, result = self._read()
        if error:
            raise MarionetteError(f"{error['error']}: {error['message']}")
        return result

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of an async function; give what it returns."""
        wrapped = f"""
            const [resolve] = Array.prototype.slice.call(arguments, -1);
            const given = Array.prototype.slice.call(arguments, 0, -1);
            (async () => {{ {script} }})().then(
                value => resolve({{value: value === undefined ? null : value}}),
                error => resolve({{error: String(error) + " " + (error.stack || "")}}));
        """
        result = self.call("WebDriver:ExecuteAsyncScript", script=wrapped, args=list(arguments))["value"]
        if "error" in result:
            raise MarionetteError(result["error"])
        return result["value"]

    def close(self) -> None:
        """Let go of the connection."""
        self._file.close()
        self._socket.close()
