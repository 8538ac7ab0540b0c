"""Three accounts in each kind of store."""

import pytest
from shared_mail import House


@pytest.fixture(params=["memory", "maildir"])
def house(request, tmp_path):
    made = House(request.param, tmp_path)
    yield made
    made.close()


@pytest.fixture
def on_disk(tmp_path):
    made = House("maildir", tmp_path)
    yield made
    made.close()
