"""What a process does when its suite is up."""

import gc
import io
from types import SimpleNamespace

import pytest
from twisted.application.service import Service

from mailsuite.config import load_config
from mailsuite.service.application import READY, Application


class UpAtOnce(Service):
    listeners = SimpleNamespace(services=["smtp"])

    async def when_ready(self) -> None:
        """Nothing to wait for."""


class Running:
    def callWhenRunning(self, call):
        call()


@pytest.fixture
def thawed():
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_lives_as_long_as_the_server_is_not_searched_for_garbage(thawed, tmp_path, monkeypatch):
    monkeypatch.setattr("signal.signal", lambda _number, _stop: None)
    (tmp_path / "mailsuite.toml").write_text("""[server]\nhostname = "mx.example.test"\n""")
    said = io.StringIO()
    monkeypatch.setattr("sys.stdout", said)
    application = Application(load_config(str(tmp_path / "mailsuite.toml"), {}), UpAtOnce(), Running())
    application.startService()
    assert said.getvalue().strip() == READY
    assert gc.get_freeze_count() > 10_000
