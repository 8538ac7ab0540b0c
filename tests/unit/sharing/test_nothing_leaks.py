"""
Whatever three accounts do with their mailboxes and grant each other, in whatever order, nobody hears anything of what
is another's and not granted: no name, no count, no octet, no flag, no annotation, not that it is there.

Each message, and each annotation, holds a word of its own, which can be recognised on anybody's wire; a model knows
where it lies, and who may know what. Whoever may not look something up gets, octet for octet, the answer that a name
which never was gets.
"""

import itertools
import re
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from shared_mail import NAMES, House

from mailsuite.interfaces import ALL_RIGHTS, rights_text
from mailsuite.store import maildir

PEOPLE = list(NAMES.values())
PERSON = st.sampled_from(PEOPLE)
LETTERS = "lrswipkxtea"
RIGHTS = st.one_of(
    st.sampled_from(["", "l", "lr", "lrs", "lrswite", "i", "lk", "lx", LETTERS]),
    st.lists(st.sampled_from(LETTERS), max_size=6, unique=True).map("".join),
)
LEAVES = ["INBOX", "one", "one/two", "three"]
LEAF = st.sampled_from(LEAVES)
ENTRIES = ["/private/comment", "/shared/comment"]
NEVER = "Users/{owner}@example.test/never-was"
PROBES = [
    b"SELECT %b",
    b"EXAMINE %b",
    b"STATUS %b (MESSAGES UNSEEN UIDNEXT UIDVALIDITY SIZE HIGHESTMODSEQ MAILBOXID)",
    b"GETACL %b",
    b"MYRIGHTS %b",
    b"LISTRIGHTS %b carol@example.test",
    b"SETACL %b carol@example.test lr",
    b"DELETEACL %b carol@example.test",
    b"GETQUOTAROOT %b",
    b"GETQUOTA %b",
    b"SETQUOTA %b (STORAGE 1)",
    b"DELETE %b",
    b"RENAME %b Users/alice@example.test/elsewhere",
    b"RENAME %b mine",
    b"APPEND %b {4+}\r\nx: y",
    b'LIST "" %b',
    b'LIST (SUBSCRIBED) "" %b RETURN (MYRIGHTS STATUS (MESSAGES))',
    b'LSUB "" %b',
    b"GETMETADATA (DEPTH infinity) %b (/private /shared)",
    b'SETMETADATA %b (/shared/comment "x")',
    b'LIST "" %b RETURN (METADATA (/shared/comment))',
    b"APPEND %b CATENATE (TEXT {4+}\r\nx: y)",
    b"APPEND %b CATENATE (URL /none/;UID=1)",
    b"NOTIFY SET STATUS (mailboxes %b (MessageNew MessageExpunge))",
]


class Accounts(RuleBasedStateMachine):
    """Three accounts with one client each, and what each may do by a model of its own."""

    kind = "memory"

    def __init__(self):
        super().__init__()
        self.root = tempfile.mkdtemp()
        self.house = House(self.kind, self.root, lanes=1)
        self.granted = {}  # owner, mailbox -> guest -> letters
        for owner in PEOPLE:
            for leaf in ("INBOX", "Trash"):
                self.granted[owner, leaf] = {}
        self.numbers = itertools.count(1)
        self.places = {}  # number of a word -> owner and mailbox of each message with it
        self.notes = {}  # owner, mailbox and entry -> number of the word in the annotation
        self.clients = {name: self.house.connect(name) for name in PEOPLE}
        self.selected = dict.fromkeys(PEOPLE)

    def teardown(self):
        self.house.close()
        shutil.rmtree(self.root)

    # what the model knows

    def rights(self, guest, owner, mailbox):
        if guest == owner:
            return set(LETTERS)
        known = self.granted.get((owner, mailbox), {})
        return set(known.get(guest, "")) | set(known.get("anyone", ""))

    def nearest(self, owner, mailbox):
        for parent in reversed(maildir.parent_names(mailbox)):
            if (owner, parent) in self.granted:
                return parent
        return None

    def may_know(self, guest, owner):
        """Names of an owner's mailboxes that a guest may know, also as parts of longer names."""
        return {
            mailbox
            for (whose, mailbox), _ in self.granted.items()
            if whose == owner and self.rights(guest, owner, mailbox) & set("lrikxa")
        }

    def word(self, owner, mailbox):
        """Make a word that is nowhere else; where its message lies is followed."""
        number = next(self.numbers)
        self.places[number] = {(owner, mailbox)}
        return b"secret-%d-" % number

    def client(self, name):
        if not self.clients[name].connected:
            self.clients[name] = self.house.connect(name)
            self.selected[name] = None
        return self.clients[name]

    def run(self, guest, command):
        """Run a command, and look whether anything came that should not have."""
        client = self.client(guest)
        lines, status = client.run(command)
        self.check(guest, b"\r\n".join([*lines, status]), command)
        if not client.connected:
            self.selected[guest] = None
        return lines, status

    def check(self, guest, octets, command=b""):
        octets = octets.replace(command, b"")
        for number in re.findall(rb"secret-(\d+)-", octets):
            held = self.places[int(number)]
            assert any("r" in self.rights(guest, *place) for place in held), (guest, command, octets, held)
        for number in re.findall(rb"note-(\d+)-", octets):
            (held,) = [place for place, noted in self.notes.items() if noted == int(number)]
            assert self.may_see(guest, *held), (guest, command, octets, held)
        for owner, name in re.findall(rb"Users/(\w+)@example\.test/([\w/-]+)", octets):
            known = self.may_know(guest, owner.decode())
            assert any(each == name.decode() or each.startswith(f"{name.decode()}/") for each in known), (
                guest, command, octets,
            )  # fmt: skip

    def may_see(self, guest, owner, mailbox, entry):
        rights = self.rights(guest, owner, mailbox)
        return guest == owner or (entry == "/shared/comment" and "l" in rights and bool(rights & set("rswip")))

    # what people do

    @rule(owner=PERSON, leaf=LEAF)
    def make(self, owner, leaf):
        name = f"{leaf}" if leaf != "INBOX" else "INBOX/sub"
        if (owner, name) not in self.granted:
            for each in [*maildir.parent_names(name), name]:
                if (owner, each) not in self.granted:
                    above = self.nearest(owner, each)
                    self.granted[owner, each] = dict(self.granted[owner, above]) if above else {}
            assert self.run(owner, b"CREATE " + name.encode())[1].startswith(b"OK")

    @rule(owner=PERSON, leaf=LEAF, seen=st.booleans())
    def deliver(self, owner, leaf, seen):
        if (owner, leaf) in self.granted:
            word = self.word(owner, leaf)
            content = b"Subject: %b\r\nMessage-ID: <%b@x>\r\n\r\nbody %b\r\n" % (word, word, word)
            self.house.put(owner, leaf, content, ["\\Seen"] if seen else [word.decode()])
            self.hear()

    @rule(owner=PERSON, leaf=LEAF, guest=st.sampled_from([*PEOPLE, "anyone"]), rights=RIGHTS)
    def grant(self, owner, leaf, guest, rights):
        if (owner, leaf) in self.granted and guest != owner:
            identifier = guest if guest == "anyone" else f"{guest}@example.test"
            command = f'SETACL {leaf} {identifier} "{rights}"'
            self.granted[owner, leaf][guest] = rights
            assert self.run(owner, command.encode())[1].startswith(b"OK")
            self.hear()

    @rule(owner=PERSON, leaf=LEAF, guest=PERSON)
    def take_away(self, owner, leaf, guest):
        if (owner, leaf) in self.granted and guest != owner:
            self.granted[owner, leaf].pop(guest, None)
            assert self.run(owner, f"DELETEACL {leaf} {guest}@example.test".encode())[1].startswith(b"OK")
            self.hear()

    @rule(owner=PERSON, leaf=st.sampled_from(LEAVES[1:]))
    def delete(self, owner, leaf):
        if (owner, leaf) in self.granted:
            del self.granted[owner, leaf]
            self.notes = {place: number for place, number in self.notes.items() if place[:2] != (owner, leaf)}
            for places in self.places.values():
                places.discard((owner, leaf))
            assert self.run(owner, b"DELETE " + leaf.encode())[1].startswith(b"OK")
            self.hear()

    @rule(owner=PERSON, old=st.sampled_from(LEAVES[1:]), new=st.sampled_from(LEAVES[1:]))
    def rename(self, owner, old, new):
        moving = [name for (whose, name) in self.granted if whose == owner and (name + "/").startswith(old + "/")]
        _, status = self.run(owner, f"RENAME {old} {new}".encode())
        if status.startswith(b"OK"):
            for parent in maildir.parent_names(new):
                if (owner, parent) not in self.granted:
                    self.granted[owner, parent] = {}
            for name in moving:
                self.granted[owner, new + name[len(old) :]] = self.granted.pop((owner, name))
            self.notes = {
                (whose, new + name[len(old) :] if whose == owner and name in moving else name, entry): number
                for (whose, name, entry), number in self.notes.items()
            }
            for number, places in self.places.items():
                self.places[number] = {
                    (whose, new + name[len(old) :]) if whose == owner and name in moving else (whose, name)
                    for whose, name in places
                }
            self.hear()

    @rule(guest=PERSON, owner=PERSON, leaf=LEAF, entry=st.sampled_from(ENTRIES), rights=st.none() | RIGHTS)
    def annotate_what_is_shared(self, guest, owner, leaf, entry, rights):
        """Let somebody try to see and set annotations where their owner has made some."""
        if guest != owner and (owner, leaf) in self.granted:
            for each in ENTRIES:
                self.annotate(owner, owner, leaf, each)
            if rights is not None:
                self.grant(owner, leaf, guest, rights)
        self.annotate(guest, owner, leaf, entry)

    def annotate(self, guest, owner, leaf, entry):
        """Set an annotation, if that may be done, and see what is there then."""
        name = (leaf if guest == owner else f"Users/{owner}@example.test/{leaf}").encode()
        number = next(self.numbers)
        _, status = self.run(guest, b'SETMETADATA %b (%b "note-%d-")' % (name, entry.encode(), number))
        there = (owner, leaf) in self.granted
        may_see = there and self.may_see(guest, owner, leaf, entry)
        allowed = may_see and "w" in self.rights(guest, owner, leaf)
        assert status.startswith(b"OK") == allowed, (status, allowed)
        if allowed:
            self.notes[owner, leaf, entry] = number
            self.hear()
        lines, status = self.run(guest, b"GETMETADATA (DEPTH infinity) %b (/private /shared)" % name)
        assert status.startswith(b"OK") == (there and self.may_see(guest, owner, leaf, "/shared/comment"))
        if status.startswith(b"OK"):
            known = {number for place, number in self.notes.items() if self.may_see(guest, *place)}
            shown = {int(number) for line in lines for number in re.findall(rb"note-(\d+)-", line)}
            assert shown == known & {self.notes.get((owner, leaf, each)) for each in ENTRIES}

    @rule(guest=PERSON, owner=PERSON, leaf=LEAF)
    def look(self, guest, owner, leaf):
        """Read everything there is to read in a mailbox, if it may be read."""
        if guest == owner:
            return
        name = f"Users/{owner}@example.test/{leaf}".encode()
        _, status = self.run(guest, b"SELECT " + name)
        allowed = (owner, leaf) in self.granted and "r" in self.rights(guest, owner, leaf)
        assert status.startswith(b"OK") == allowed, (status, allowed)
        self.selected[guest] = (owner, leaf) if allowed else None
        self.read(guest)

    @rule(guest=PERSON)
    def read(self, guest):
        selected = self.selected[guest]
        if selected is None:
            return
        gone = selected not in self.granted or "r" not in self.rights(guest, *selected)
        if not self.clients[guest].connected:  # NOTIFY lets it be told without a command
            assert gone
            self.selected[guest] = None
            return
        lines, _ = self.run(guest, b"FETCH 1:* (FLAGS BODY.PEEK[] ENVELOPE)")
        if gone:
            assert not [line for line in lines if b"FETCH" in line]
            assert not self.clients[guest].connected
            return
        for command in (b"SEARCH BODY secret", b"FETCH 1:* (FLAGS UID)", b"STORE 1:* +FLAGS (\\Seen)", b"NOOP"):
            before = self.house.state(*selected)
            _, status = self.run(guest, command)
            if command.startswith(b"STORE") and "s" not in self.rights(guest, *selected):
                assert not before or status.startswith(b"NO"), status
                assert self.house.state(*selected) == before

    @rule(guest=PERSON, owner=PERSON, leaf=LEAF, left=RIGHTS, idles=st.booleans())
    def lose(self, guest, owner, leaf, left, idles):
        """Have a mailbox open while its owner takes the rights away."""
        if guest == owner or (owner, leaf) not in self.granted:
            return
        self.grant(owner, leaf, guest, "lrsw")
        self.deliver(owner, leaf, seen=False)
        self.look(guest, owner, leaf)
        if idles and self.selected[guest] is not None:
            assert self.clients[guest].send(b"i IDLE\r\n").startswith(b"+")
        self.grant(owner, leaf, guest, left)
        self.deliver(owner, leaf, seen=False)
        if idles and self.selected[guest] is not None:
            may_read = "r" in self.rights(guest, owner, leaf)
            assert self.clients[guest].connected == may_read
            if may_read:
                assert self.clients[guest].send(b"DONE\r\n").startswith(b"i OK")
            else:
                self.selected[guest] = None
        self.read(guest)

    @rule(guest=PERSON, owner=PERSON, leaf=LEAF, probe=st.sampled_from(PROBES))
    def probe(self, guest, owner, leaf, probe):
        """Ask for something that may not be known: it is as if it had never been."""
        rights = self.rights(guest, owner, leaf)
        if guest == owner or rights & set("lrikxa"):
            return
        never = NEVER.format(owner=owner).encode()
        name = f"Users/{owner}@example.test/{leaf}".encode()
        if probe.startswith((b"LIST", b"LSUB")) and any(
            each.startswith(f"{leaf}/") for each in self.may_know(guest, owner)
        ):
            return  # it shows as a part of the name of one below that may be known
        self.run(guest, b"EXAMINE INBOX")
        self.run(guest, b"UNSELECT")
        self.selected[guest] = None
        there, absent = self.run(guest, probe % name), self.run(guest, probe % never)
        assert there == absent, (probe, there, absent)

    @rule(guest=PERSON, owner=PERSON, leaf=LEAF, uid=st.integers(1, 3), move=st.booleans())
    def copy_there(self, guest, owner, leaf, uid, move):
        """Put one's own mail there, if that may be done."""
        if guest == owner:
            return
        self.run(guest, b"SELECT INBOX")
        self.selected[guest] = None
        name = f"Users/{owner}@example.test/{leaf}".encode()
        allowed = (owner, leaf) in self.granted and "i" in self.rights(guest, owner, leaf)
        before = self.house.state(owner, leaf) if (owner, leaf) in self.granted else {}
        self.run(guest, (b"UID MOVE %d %b" if move else b"UID COPY %d %b") % (uid, name))
        after = self.house.state(owner, leaf) if (owner, leaf) in self.granted else {}
        if not allowed:
            assert before == after
        if len(after) > len(before):
            content = self.house.contents(owner, leaf)[-1]
            self.places[int(re.search(rb"secret-(\d+)-", content)[1])].add((owner, leaf))
            self.hear()

    # what idles, and what everybody is told

    def hear(self):
        for name, client in self.clients.items():
            client.settle()
            self.check(name, client.received())

    @invariant()
    def lists_show_what_may_be_looked_up_and_nothing_else(self):
        for guest in PEOPLE:
            command = b'LIST "" Users/* RETURN (MYRIGHTS)'
            lines, _ = self.run(guest, command)
            if not self.clients[guest].connected:  # its mailbox was gone, so it was told farewell instead
                lines, _ = self.run(guest, command)
            shown = {
                (owner.decode(), name.decode()): rights.decode()
                for owner, name, rights in (
                    re.fullmatch(rb"\* MYRIGHTS Users/(\w+)@example\.test/(\S+) (\w+)", line).groups()
                    for line in lines
                    if line.startswith(b"* MYRIGHTS")
                )
            }
            expected = {
                (owner, name): self.shown(self.rights(guest, owner, name))
                for (owner, name) in self.granted
                if owner != guest and "l" in self.rights(guest, owner, name)
            }
            assert shown == expected, (guest, shown, expected)

    @staticmethod
    def shown(rights):
        letters = "".join(letter for letter in LETTERS if letter in rights)
        return letters + ("c" if rights & set("kx") else "") + ("d" if rights & set("te") else "")


class AccountsOnDisk(Accounts):
    kind = "maildir"


@pytest.mark.parametrize("machine", [Accounts, AccountsOnDisk])
def test_nothing_of_anybody_is_seen_without_a_right(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40 if machine is Accounts else 8,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_letters_are_those_of_the_standard():
    assert rights_text(ALL_RIGHTS) == LETTERS
