"""Mailboxes that several accounts use, on a server with two workers."""

import json
import time

import pytest
from demo_server import DemoServer, Login, eventually
from imap_words import connections, connections_of_workers

ALICE = Login("alice@example.test", "alice-demo")
BOB = Login("bob@example.test", "bob-demo")
BOX = "Users/alice@example.test/INBOX"
MAIL = b"Subject: shared\r\n\r\nbody\r\n"
SOON_SECONDS = 5.0  # it takes some hundredths of a second; the machine may have other things to do


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    environment = {"MAILSUITE_SERVER__WORKERS": "2", "MAILSUITE_LIMITS__RATES": "false"}
    made = DemoServer(tmp_path_factory.mktemp("sharing") / "srv", "--no-sample-mail", environment=environment).start()
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


@pytest.fixture
def connect(server):
    with connections(server) as log_in:
        yield log_in
    eventually(lambda: sum(connections_of_workers(server).values()), lambda count: count == 0)


def idle_in(client, mailbox):
    assert client.select(mailbox, readonly=True)[0] == "OK"
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+")


def read_until(client, wanted):
    while not (line := client.readline()).startswith(wanted):
        assert line, f"the connection ended without {wanted!r}"


@pytest.mark.parametrize("how", ["by the owner", "by an operator"])
def test_revocation_reaches_those_who_idle_in_either_worker(server, connect, how):
    owner = connect(ALICE)
    assert owner.setacl("INBOX", BOB.email, "lrs")[0] == "OK"
    assert owner.myrights("INBOX") == ("OK", [b"INBOX lrswipkxteacd"])
    idlers = [connect(BOB) for _ in range(6)]
    spread = connections_of_workers(server)
    assert all(spread[f"worker-{number}"] for number in (0, 1)), spread
    for idler in idlers:
        idle_in(idler, BOX)
    assert owner.append("INBOX", None, None, MAIL)[0] == "OK"
    for idler in idlers:
        read_until(idler, b"* ")
    began = time.monotonic()
    if how == "by the owner":
        assert owner.deleteacl("INBOX", BOB.email)[0] == "OK"
        began = time.monotonic()
    else:
        server.command("rights", "remove", ALICE.email, "INBOX", BOB.email)
    for idler in idlers:
        read_until(idler, b"* BYE")
        assert idler.readline() == b""
    if how == "by the owner":
        assert time.monotonic() - began < SOON_SECONDS
    again = connect(BOB)
    assert again.select(BOX)[0] == "NO"
    assert not any(b"Users" in line for line in again.list()[1])


def test_an_account_that_is_switched_off_takes_its_mailboxes_along(server, connect):
    owner = server.add_account()
    client = connect(owner)
    assert client.setacl("INBOX", BOB.email, "lr")[0] == "OK"
    guests = [connect(BOB) for _ in range(4)]
    box = f"Users/{owner.email}/INBOX"
    for guest in guests:
        idle_in(guest, box)
    server.command("user", "disable", owner.email)
    for guest in (client, *guests):
        read_until(guest, b"* BYE")
    again = connect(BOB)
    assert again.select(box, readonly=True)[0] == "NO"
    server.command("user", "enable", owner.email)
    assert again.select(box, readonly=True)[0] == "OK"


def test_mail_goes_from_one_account_to_another_and_rights_end_with_an_account(server, connect):
    server.command("rights", "set", ALICE.email, "Archive", BOB.email, "lrswite")
    shown = json.loads(server.command("rights", "list", ALICE.email, "--json").stdout)
    assert {"mailbox": "Archive", "identifier": BOB.email, "rights": "lrswite"} in shown
    bob = connect(BOB)
    large = b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 30_000
    for content in (MAIL, large):
        assert bob.append("INBOX", None, None, content)[0] == "OK"
    archive = "Users/alice@example.test/Archive"
    count = int(bob.select("INBOX")[1][0])
    assert bob.uid("MOVE", "1:*", archive)[0] == "OK"
    assert bob.select("INBOX")[1] == [b"0"]
    assert bob.select(archive)[1] == [b"%d" % count]
    assert bob.fetch(str(count), "(BODY.PEEK[])")[1][0][1] == large
    alice = connect(ALICE)
    assert alice.select("Archive")[1] == [b"%d" % count]
    guest = server.add_account()
    assert alice.setacl("Archive", guest.email, "lr")[0] == "OK"
    assert archive in str(connect(guest).list()[1])
    server.command("user", "remove", guest.email)
    server.command("user", "add", guest.email, "--password", guest.password)
    newcomer = connect(guest)
    assert newcomer.select(archive)[0] == "NO"
    assert "Users" not in str(newcomer.list()[1])
    assert guest.email not in str(alice.getacl("Archive")[1])
