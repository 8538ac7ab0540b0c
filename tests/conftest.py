"""Fixtures for tests that use a real server in a child process."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from demo_server import DemoServer, Login

MANY_TESTS_FROM_ONE_ADDRESS = {
    f"MAILSUITE_{section}__CONNECTIONS_PER_MINUTE_MAX": "100000" for section in ("SMTP", "SUBMISSION", "IMAP")
}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    """One server for all tests that leave it as it was; each makes its own accounts."""
    server = DemoServer(tmp_path_factory.mktemp("demo"), environment=MANY_TESTS_FROM_ONE_ADDRESS).start()
    yield server
    assert server.process is not None
    assert server.process.poll() is None, "the server ended:\n" + "".join(server.output[-50:])
    assert server.stop() == 0, "".join(server.output[-50:])


@pytest.fixture
def account(demo: DemoServer) -> Callable[[], Login]:
    """Make accounts on the shared server."""
    return demo.add_account
