import errno

import pytest

from mailsuite.errors import Kind
from mailsuite.service.sockets import explain


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.EADDRINUSE, Kind.CONFLICT, "stop the program that has it"),
        (errno.EACCES, Kind.DENIED, "needs root"),
        (errno.EADDRNOTAVAIL, Kind.INVALID, "no address of this machine"),
        (errno.ENOBUFS, Kind.UNAVAILABLE, "cannot be used"),
    ],
)
def test_a_port_that_cannot_be_had_is_explained(number, kind, words):
    error = explain(OSError(number, "text"), "imap", "192.0.2.1", 143)
    assert error.kind is kind
    assert words in str(error)
    assert "192.0.2.1" in str(error)
