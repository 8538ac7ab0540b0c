"""
Several clients of one account, checked against a model after each step.

Each client counts messages by what it was told, as RFC 3501 wants it. The model knows what there is; it predicts each
answer, and whoever looks, idles or comes back must know the same.
"""

import re

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from mailsuite.interfaces import LocalDelivery

CLIENTS = 3
NAMES = ("INBOX", "A", "B")
FLAGS = ("\\Seen", "\\Deleted", "\\Flagged", "work")
STEPS = 40

LINE = re.compile(rb"\* (\d+) (EXISTS|RECENT|EXPUNGE|FETCH)(?: \((.*)\))?")
VANISHED = re.compile(rb"\* VANISHED (\(EARLIER\) )?([0-9:,]+)")
KEEPS_NUMBERS = ("FETCH", "STORE", "SEARCH")

which = st.integers(0, CLIENTS - 1)
names = st.sampled_from(NAMES)
flag_sets = st.frozensets(st.sampled_from(FLAGS))
picks = st.lists(st.integers(0, 9), min_size=1, max_size=4)
ways = st.booleans()


@attrs.define
class Message:
    subject: str
    flags: frozenset


@attrs.define(eq=False)
class Box:
    messages: dict = attrs.Factory(dict)
    uidnext: int = 1

    def add(self, subject, flags):
        uid, self.uidnext = self.uidnext, self.uidnext + 1
        self.messages[uid] = Message(subject, frozenset(flags))
        return uid


@attrs.define(eq=False)
class Told:
    """One client: what it has selected, and what it was told."""

    connection: object
    qresync: bool
    box: Box | None = None
    read_only: bool = False
    uids: list = attrs.Factory(list)  # None where it was told of a message and not of its UID
    flags: dict = attrs.Factory(dict)
    idling: bool = False
    modseq: int = 0
    left: dict = attrs.Factory(dict)  # what it knew of each mailbox when it went

    def hear(self, octets, command=""):
        """Take in what the server said; return the tagged line, if there was one."""
        tagged = b""
        for line in octets.split(b"\r\n"):
            if line.startswith(b"x "):
                tagged = line[2:]
            elif found := VANISHED.match(line):
                assert found[1] or command not in KEEPS_NUMBERS, octets
                self._vanished(found[2], earlier=bool(found[1]))
            elif found := LINE.match(line):
                self._numbered(int(found[1]), found[2], found[3], command, octets)
            for modseq in re.findall(rb"HIGHESTMODSEQ (\d+)", line):
                assert int(modseq) >= self.modseq or command == "SELECT", octets
                self.modseq = int(modseq)
        return tagged

    def _vanished(self, numbers, *, earlier):
        for part in numbers.split(b","):
            first, _, last = part.partition(b":")
            for uid in range(int(first), int(last or first) + 1):
                place = self._place(uid)
                assert earlier or place is not None
                if place is not None:
                    del self.uids[place]
                self.flags.pop(uid, None)

    def _place(self, uid):
        """Find a message, perhaps one whose UID it was never told."""
        for place, known in enumerate(self.uids):
            if known is None and not any(each is not None and each < uid for each in self.uids[place:]):
                return None if uid in self.uids else place
            if known == uid:
                return place
        return None

    def _numbered(self, number, kind, items, command, octets):
        if kind == b"EXISTS":
            assert number >= len(self.uids), octets
            self.uids += [None] * (number - len(self.uids))
        elif kind == b"EXPUNGE":
            assert not self.qresync
            assert command not in KEEPS_NUMBERS, octets
            assert number <= len(self.uids), octets
            self.flags.pop(self.uids.pop(number - 1), None)
        elif kind == b"FETCH":
            assert number <= len(self.uids), octets
            uid = re.search(rb"UID (\d+)", items)
            if uid:
                assert self.uids[number - 1] in {None, int(uid[1])}, octets
                self.uids[number - 1] = int(uid[1])
                known = [each for each in self.uids if each is not None]
                assert known == sorted(set(known)), octets
            flags = re.search(rb"FLAGS \(([^)]*)\)", items)
            if flags and self.uids[number - 1] is not None:
                self.flags[self.uids[number - 1]] = frozenset(flags[1].decode().split()) - {"\\Recent"}


class Machine(RuleBasedStateMachine):
    connect = None  # set by the test
    deliver = None

    def __init__(self):
        super().__init__()
        make = type(self).connect()
        self.store, connect = make
        self.boxes = {"INBOX": Box()}
        self.serial = 0
        self.clients = [Told(connect(), qresync=number == 0) for number in range(CLIENTS)]
        for client in self.clients:
            assert self.say(client, b"ENABLE QRESYNC" if client.qresync else b"NOOP").startswith(b"OK")

    def teardown(self):
        for client in self.clients:
            client.connection.transport.loseConnection()
        self.store.stop()

    def say(self, client, command, name=""):
        answer = client.connection.send(b"x " + command + b"\r\n")
        tagged = client.hear(answer, name)
        assert tagged, answer
        return tagged

    def free(self, number):
        """A client that may speak."""
        client = self.clients[number]
        if client.idling:
            self.done(client)
        return client

    def done(self, client):
        client.idling = False
        assert client.hear(client.connection.send(b"DONE\r\n")).startswith(b"OK")
        self.same(client)

    def same(self, client):
        """The client knows all there is."""
        if client.box is None:
            return
        self.learn_uids(client)
        assert client.uids == sorted(client.box.messages)
        for uid, flags in client.flags.items():
            assert flags == client.box.messages[uid].flags, uid

    def learn_uids(self, client):
        while None in client.uids:  # the answer may tell of a further message
            assert self.say(client, b"UID FETCH 1:* FLAGS", "UID FETCH").startswith(b"OK")

    def chosen(self, client, picks, *, uid):
        """Name messages as the client may; give what it names, and the UIDs that are meant and still there."""
        places = sorted({pick % len(client.uids) for pick in picks})
        if None in client.uids:
            self.learn_uids(client)
            places = [place for place in places if place < len(client.uids)]
        if not places:
            return b"", []
        uids = [client.uids[place] for place in places]
        numbers = uids if uid else [place + 1 for place in places]
        there = [each for each in uids if each in client.box.messages]
        return ",".join(map(str, numbers)).encode(), there

    def subject(self):
        self.serial += 1
        return f"message {self.serial}"

    @rule(number=which, name=names, flags=flag_sets)
    def append(self, number, name, flags):
        client, subject = self.free(number), self.subject()
        content = f"Subject: {subject}\r\n\r\n".encode()
        command = b"APPEND %b (%b) {%d+}\r\n%b" % (name.encode(), " ".join(flags).encode(), len(content), content)
        answer = self.say(client, command)
        if name not in self.boxes:
            assert answer.startswith(b"NO [TRYCREATE]")
            return
        uid = self.boxes[name].add(subject, flags)
        assert re.match(rb"OK \[APPENDUID \d+ %d\]" % uid, answer), answer

    @rule(name=names)
    def delivery(self, name):
        subject = self.subject()
        outcomes = []
        self.store.deliver(
            [
                LocalDelivery(
                    delivery_id=f"spool-{self.serial}",
                    account_id=1,
                    email="alice@example.test",
                    quota_octets=0,
                    mailbox=name,
                    content=f"Subject: {subject}\r\n\r\n".encode(),
                    link=False,
                    received=1_700_000_000,
                )
            ],
            outcomes.extend,
        )
        (outcome,) = outcomes
        assert outcome.error is None
        box = self.boxes.get(name, self.boxes["INBOX"])
        assert box.add(subject, ()) == outcome.uid

    @rule(number=which, name=names)
    def create(self, number, name):
        answer = self.say(self.free(number), b"CREATE " + name.encode())
        assert answer.startswith(b"NO [ALREADYEXISTS]" if name in self.boxes else b"OK")
        self.boxes.setdefault(name, Box())

    @rule(number=which, old=st.sampled_from(("A", "B")), new=st.sampled_from(("A", "B")))
    def rename(self, number, old, new):
        answer = self.say(self.free(number), b"RENAME %b %b" % (old.encode(), new.encode()))
        if old not in self.boxes or new in self.boxes:
            assert answer.startswith(b"NO"), answer
            return
        assert answer.startswith(b"OK")
        self.boxes[new] = self.boxes.pop(old)

    @rule(number=which, name=names, read_only=ways)
    def select(self, number, name, read_only):
        client = self.free(number)
        self.leave(client)
        client.uids, client.flags, client.modseq = [], {}, 0
        box = self.boxes.get(name)
        command = b"EXAMINE " if read_only else b"SELECT "
        resync = b""
        if box is not None and box in client.left:
            uidvalidity, modseq, uids, flags = client.left[box]
            client.uids, client.flags = list(uids), dict(flags)
            resync = b" (QRESYNC (%d %d))" % (uidvalidity, modseq)
        # Numbers of before count until the answer has told what went.
        client.uids += [None] * 1000
        answer = client.connection.send(b"x " + command + name.encode() + resync + b"\r\n")
        if box is None:
            assert b"x NO [NONEXISTENT]" in answer
            client.box = None
            client.uids = []
            return
        assert b"EXISTS" in answer, (resync, answer)
        exists = int(re.search(rb"\* (\d+) EXISTS", answer)[1])
        assert exists == len(box.messages)
        client.uids = client.uids[:-1000]
        self.reselected(client, answer, exists)
        client.box, client.read_only = box, read_only
        client.left[box] = (int(re.search(rb"UIDVALIDITY (\d+)", answer)[1]), client.modseq, client.uids, client.flags)
        self.same(client)

    def reselected(self, client, answer, exists):
        """Take in a SELECT: first what vanished, then how many there are, then what changed."""
        lines = answer.split(b"\r\n")
        for line in lines:
            if line.startswith(b"* VANISHED"):
                client.hear(line, "SELECT")
        client.uids += [None] * (exists - len(client.uids))
        for line in lines:
            if b" FETCH " in line or b"HIGHESTMODSEQ" in line:
                client.hear(line, "SELECT")
        assert len(client.uids) == exists

    def leave(self, client):
        if client.box is not None and client.qresync:
            self.say(client, b"NOOP")
            self.same(client)
            uidvalidity = client.left[client.box][0]
            client.left[client.box] = (uidvalidity, client.modseq, list(client.uids), dict(client.flags))
        elif client.box is not None:
            client.left.pop(client.box, None)

    @precondition(lambda self: any(client.box for client in self.clients))
    @rule(number=which, expunge=ways)
    def close(self, number, expunge):
        client = self.free(number)
        if client.box is None:
            return
        self.leave(client)
        answer = self.say(client, b"CLOSE" if expunge else b"UNSELECT")
        assert answer.startswith(b"OK")
        if expunge and not client.read_only:
            self.remove(client.box, list(client.box.messages))
        client.box = None
        client.uids, client.flags = [], {}

    def remove(self, box, uids):
        for uid in uids:
            if "\\Deleted" in box.messages[uid].flags:
                del box.messages[uid]

    @rule(number=which, picks=picks, mode=st.sampled_from(("", "+", "-")), flags=flag_sets, uid=ways, silent=ways)
    def store_flags(self, number, picks, mode, flags, uid, silent):
        client = self.free(number)
        if client.box is None or not client.uids:
            return
        named, there = self.chosen(client, picks, uid=uid)
        if not named:
            return
        command = "UID STORE" if uid else "STORE"
        words = f"{command} {named.decode()} {mode}FLAGS{'.SILENT' if silent else ''} ({' '.join(flags)})"
        before = dict(client.flags)
        answer = self.say(client, words.encode(), command)
        if client.read_only:
            assert answer.startswith(b"NO"), answer
            return
        for each in there:
            message = client.box.messages[each]
            message.flags = {"": flags, "+": message.flags | flags, "-": message.flags - flags}[mode]
            if silent and each in before and client.flags.get(each) == before[each]:
                client.flags[each] = message.flags  # what it asked for is what it knows
            client.flags.setdefault(each, message.flags)

    @rule(number=which, picks=picks, every=ways)
    def expunge(self, number, picks, every):
        client = self.free(number)
        if client.box is None or not client.uids:
            return
        named, there = self.chosen(client, picks, uid=True)
        if not named:
            return
        answer = self.say(client, b"EXPUNGE" if every else b"UID EXPUNGE " + named)
        if client.read_only:
            assert answer.startswith(b"NO"), answer
            return
        assert answer.startswith(b"OK"), answer
        self.remove(client.box, list(client.box.messages) if every else there)
        self.same(client)

    @rule(number=which, picks=picks, name=names, uid=ways, move=ways)
    def copy(self, number, picks, name, uid, move):
        client = self.free(number)
        if client.box is None or not client.uids:
            return
        named, there = self.chosen(client, picks, uid=uid)
        if not named:
            return
        verb = ("UID " if uid else "") + ("MOVE" if move else "COPY")
        sent = client.connection.send(f"x {verb} {named.decode()} {name}\r\n".encode())
        answer = client.hear(sent, verb)
        target = self.boxes.get(name)
        if move and client.read_only:
            assert answer.startswith(b"NO [READ-ONLY]"), answer
            return
        if target is None:
            assert answer.startswith(b"NO [TRYCREATE]"), answer
            return
        if not there:
            return
        assert b" [COPYUID " in sent, sent
        first = target.uidnext
        for each in there:
            message = client.box.messages[each]
            target.add(message.subject, message.flags)
            if move:
                del client.box.messages[each]
        told = re.search(rb"COPYUID \d+ ([0-9:,]+) ([0-9:,]+)\]", sent)
        assert told[2] in {b"%d" % first, b"%d:%d" % (first, first + len(there) - 1)}, sent

    @rule(number=which)
    def noop(self, number):
        client = self.free(number)
        self.say(client, b"NOOP")
        self.same(client)

    @rule(number=which, uid=ways)
    def fetch(self, number, uid):
        client = self.free(number)
        if client.box is None or not client.uids:
            return
        command = "UID FETCH" if uid else "FETCH"
        self.say(client, f"{command} 1:* (UID FLAGS)".encode(), command)
        for each in client.uids:
            if each in client.box.messages:
                assert client.flags[each] == client.box.messages[each].flags

    @rule(number=which, flag=st.sampled_from(FLAGS[:3]), uid=ways)
    def search(self, number, flag, uid):
        client = self.free(number)
        if client.box is None:
            return
        self.learn_uids(client)
        command = "UID SEARCH" if uid else "SEARCH"
        known = list(client.uids)
        sent = client.connection.send(f"x {command} {flag[1:].upper()}\r\n".encode())
        found = [int(each) for each in re.search(rb"\* SEARCH([0-9 ]*)", sent)[1].split()]
        if not uid:
            found = [known[place - 1] for place in found]
        assert client.hear(sent, command).startswith(b"OK")
        box = client.box.messages
        assert found == [each for each in known if each in box and flag in box[each].flags]

    @rule(number=which)
    def idle(self, number):
        client = self.free(number)
        answer = client.connection.send(b"x IDLE\r\n")
        assert answer.startswith(b"+ idling\r\n")
        client.hear(answer)
        client.idling = True

    @invariant()
    def who_idles_knows_all(self):
        for client in self.clients:
            if client.idling:
                client.hear(client.connection.received())
                if client.box is not None:
                    assert len(client.uids) == len(client.box.messages)


@pytest.mark.parametrize("kind", ["memory", "maildir"])
def test_clients_never_disagree_with_what_there_is(make_server, kind):
    class OnStore(Machine):
        connect = staticmethod(lambda: make_server(kind))

    run_state_machine_as_test(
        OnStore,
        settings=settings(
            max_examples=60,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        ),
    )
