"""Ask the server that runs on a folder; say whether there is one."""

import contextlib
import json
import os
import socket

from mailsuite.cli.session import Session
from mailsuite.errors import Kind, MailError

ANSWER_SECONDS = 600.0
PIECE_OCTETS = 64 * 1024


class NotRunningError(Exception):
    """No server runs on this folder."""


def ask_server(session: Session, command: str, **arguments: object) -> object:
    """
    Ask and wait for the answer.

    Raises:
        NotRunningError: nobody listens on the control socket.
        MailError: what the server said; UNAVAILABLE when it went away meanwhile.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_SECONDS)
        _connect(client, session.run_folder)
        pieces = []
        with contextlib.suppress(ConnectionError):  # the answer is not whole, then
            client.sendall(json.dumps({"command": command, **arguments}).encode("ascii") + b"\n")
            while piece := client.recv(PIECE_OCTETS):
                pieces.append(piece)
    try:
        answer = json.loads(b"".join(pieces))
    except ValueError as error:
        raise MailError(Kind.UNAVAILABLE, "the server went away before it answered") from error
    if "error" in answer:
        raise MailError(Kind[answer["kind"]], answer["error"])
    result: object = answer["result"]
    return result


def _connect(client: socket.socket, folder: str) -> None:
    from mailsuite.service.control import socket_path

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotRunningError from error
    try:
        client.connect(socket_path(descriptor))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotRunningError from error
    finally:
        os.close(descriptor)
