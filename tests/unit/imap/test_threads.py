"""Conversations: links by Message-ID, gathering by subject, and how long that takes."""

from itertools import pairwise

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.imap.subjects import base_subject
from mailsuite.imap.threads import (
    REFERENCES_MAX,
    Forest,
    ThreadAlgorithm,
    ThreadData,
    make_forest,
    write_forest,
)
from mailsuite.message.header import parse_fields

ORDEREDSUBJECT, REFERENCES = ThreadAlgorithm.ORDEREDSUBJECT, ThreadAlgorithm.REFERENCES


@attrs.frozen
class Mail:
    """What a test says of a message: ids are letters."""

    subject: str = ""
    own: str = ""
    references: str = ""
    date: int = 0
    in_reply_to: str = ""

    @property
    def header(self):
        def ids(letters):
            return " ".join(f"<{letter}@x.test>" for letter in letters)

        lines = [f"Subject: {self.subject}", f"Message-ID: {ids(self.own)}", f"References: {ids(self.references)}"]
        return "\r\n".join([*lines, f"In-Reply-To: {ids(self.in_reply_to)}", ""]).encode()


def run(work):
    """Give the result, and how often the work could have rested."""
    rests = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, rests
        rests += 1


def threads_of(algorithm, *mails):
    data = ThreadData()
    for mail in mails:
        data.add(parse_fields(mail.header), mail.date, algorithm)
    forest, _ = run(make_forest(algorithm, data))
    return b"".join(write_forest(forest, range(1, len(mails) + 1))).decode()


def by_references(*mails):
    return threads_of(REFERENCES, *mails)


def forest_of(count, roots, children):
    younger = {one: other for siblings in children.values() for one, other in pairwise(siblings)}
    return Forest(count, roots, {node: siblings[0] for node, siblings in children.items()}, younger)


@pytest.mark.parametrize(
    ("forest", "text"),
    [
        (forest_of(0, [], {}), b""),
        (forest_of(1, [0], {}), b"(1)"),
        (forest_of(3, [0, 1, 2], {}), b"(1)(2)(3)"),
        (forest_of(3, [0], {0: [1], 1: [2]}), b"(1 2 3)"),
        (forest_of(3, [0], {0: [1, 2]}), b"(1 (2)(3))"),
        (forest_of(2, [7], {7: [0, 1]}), b"((1)(2))"),
        (forest_of(9, [0, 1], {1: [2], 2: [3, 4], 3: [5], 4: [6], 6: [7, 8]}), b"(1)(2 3 (4 6)(5 7 (8)(9)))"),
        (forest_of(4, [9, 0], {9: [1, 2], 1: [3]}), b"((2 4)(3))(1)"),
    ],
)
def test_how_conversations_are_written(forest, text):
    """RFC 5256 section 4."""
    assert b"".join(write_forest(forest, range(1, 10))) == text


def test_by_subject_there_are_no_grandchildren():
    mails = [
        Mail("b", date=5),
        Mail("a", date=3),
        Mail("Re: b", date=1),
        Mail("B", date=6),
        Mail("re: A", date=9),
        Mail("c", date=9),
        Mail("", date=2),
        Mail("Re:", date=2),
    ]
    assert threads_of(ORDEREDSUBJECT, *mails) == "(3 (1)(4))(7 8)(2 5)(6)"


@pytest.mark.parametrize(
    ("mails", "text"),
    [
        ([], ""),
        ([Mail(own="a")], "(1)"),
        ([Mail(own="a"), Mail(own="b", references="a")], "(1 2)"),
        ([Mail(own="b", references="a"), Mail(own="a")], "(2 1)"),
        ([Mail(own="a"), Mail(own="b", in_reply_to="a")], "(1 2)"),
        ([Mail(own="a"), Mail(own="z"), Mail(own="b", references="a", in_reply_to="z")], "(1 3)(2)"),
        ([Mail(own="a"), Mail(own="b", in_reply_to="az")], "(1 2)"),
        ([Mail(own="a"), Mail(own="b", references="a"), Mail(own="c", references="ab")], "(1 2 3)"),
        ([Mail(own="a"), Mail(own="b", references="a"), Mail(own="c", references="a")], "(1 (2)(3))"),
        # What is not there joins what answers it, and is left out where that is one.
        ([Mail(own="b", references="a"), Mail(own="c", references="a")], "((1)(2))"),
        ([Mail(own="b", references="a")], "(1)"),
        ([Mail(own="a"), Mail(own="c", references="ab"), Mail(own="d", references="ab")], "(1 (2)(3))"),
        ([Mail(own="d", references="ab"), Mail(own="e", references="ac")], "((1)(2))"),
        ([Mail(own="d", references="abc"), Mail(own="e", references="abc")], "((1)(2))"),
        # Circles are not closed.
        ([Mail(own="a", references="b"), Mail(own="b", references="a")], "(2 1)"),
        ([Mail(own="a", references="a")], "(1)"),
        ([Mail(own="a", references="bcb")], "(1)"),
        ([Mail(own="a", references="c"), Mail(own="b", references="a"), Mail(own="c", references="b")], "(3 1 2)"),
        # Of messages with the same id the first one has it.
        ([Mail(own="a"), Mail(own="a"), Mail(own="b", references="a")], "(1 3)(2)"),
        ([Mail(), Mail(own="b")], "(1)(2)"),
        # The last reference is what a message answers, whatever others guessed; none at all also counts.
        ([Mail(own="a"), Mail(own="c", references="ab"), Mail(own="z"), Mail(own="b", references="z")], "(1)(3 4 2)"),
        ([Mail(own="a"), Mail(own="c", references="ab"), Mail(own="b")], "(1)(3 2)"),
        # Siblings are in order of date, the top by that of their first one.
        ([Mail(own="a", date=9), Mail(own="b", references="a", date=5), Mail(own="c", references="a", date=4),
          Mail(own="d", date=3)], "(4)(1 (3)(2))"),
        ([Mail(own="b", references="a", date=9), Mail(own="c", references="a", date=2), Mail(own="d", date=5)],
         "((2)(1))(3)"),
    ],
)  # fmt: skip
def test_links_by_message_id(mails, text):
    """RFC 5256 section 3, REFERENCES, steps (1) to (4) and (6)."""
    assert by_references(*mails) == text


@pytest.mark.parametrize(
    ("mails", "text"),
    [
        ([Mail("x"), Mail("Re: x")], "(1 2)"),
        ([Mail("Re: x"), Mail("x")], "(2 1)"),
        ([Mail("x"), Mail("x")], "((1)(2))"),
        ([Mail("Re: x"), Mail("Re: X")], "((1)(2))"),
        ([Mail("x"), Mail("y")], "(1)(2)"),
        ([Mail(""), Mail("Re:")], "(1)(2)"),
        ([Mail("x"), Mail("x"), Mail("x")], "((1)(2)(3))"),
        ([Mail("x"), Mail("Re: x"), Mail("x")], "((1 2)(3))"),
        ([Mail("Re: x"), Mail("Re: x"), Mail("x")], "(3 (1)(2))"),
        # A place without a message is above all others with its subject.
        ([Mail("x", "b", "a"), Mail("x", "c", "a"), Mail("x")], "((1)(2)(3))"),
        ([Mail("x"), Mail("Re: x", "b", "a"), Mail("Re: x", "c", "a")], "((1)(2)(3))"),
        ([Mail("x", "b", "a"), Mail("", "c", "a"), Mail("x", "e", "d"), Mail("", "f", "d")], "((1)(2)(3)(4))"),
        # The subject is that of the first message, and of what stands at the top.
        ([Mail("x", "a"), Mail("y", "b", "a"), Mail("y")], "(1 2)(3)"),
        ([Mail("y", "b", "a", date=2), Mail("x", "c", "a", date=1), Mail("x", date=3), Mail("y", date=4)],
         "((2)(1)(3))(4)"),
    ],
)  # fmt: skip
def test_conversations_with_the_same_subject_become_one(mails, text):
    """RFC 5256 section 3, REFERENCES, step (5)."""
    assert by_references(*mails) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'<"a"@x.test>', b"<a@x.test>"),
        (b'<"a\\b"@x.test>', b"<ab@x.test>"),
        (b"< a@x.test >", b"<a@x.test>"),
        (b"your message of today <a@x.test> (a comment)", b"<a@x.test>"),
        (b"<no-id> <a@x.test>", b"<a@x.test>"),
        (b"<a@x.test><b@x.test>", b"<a@x.test>"),
        (b"<a b@x.test> <a@x.test>", b"<a@x.test>"),
    ],
)
def test_an_id_is_the_same_however_it_is_written(one, other):
    data = ThreadData()
    for value in (one, other):
        data.add([(b"in-reply-to", b"In-Reply-To: " + value)], 0, REFERENCES)
    assert data.references(0) == data.references(1)
    assert len(data.references(0)) == 1


def test_ids_are_told_apart_by_case_and_by_host():
    data = ThreadData()
    data.add([(b"references", b"References: <a@x.test> <A@x.test> <a@X.test> <a@x.test>")], 0, REFERENCES)
    assert list(data.references(0)) == [0, 1, 2, 0]


def test_references_without_end_are_cut_to_the_last():
    data = ThreadData()
    ids = b" ".join(b"<%d@x.test>" % number for number in range(5000))
    data.add([(b"references", b"References: " + ids)], 0, REFERENCES)
    assert len(data.references(0)) == data.id_count == REFERENCES_MAX


# the steps of the RFC as they stand there, with objects, whatever they cost


class Node:
    def __init__(self, number=None, mail=None):
        self.number, self.mail = number, mail
        self.parent, self.children = None, []

    def put_below(self, parent):
        if self.parent is not None:
            self.parent.children.remove(self)
        self.parent = parent
        if parent is not None:
            parent.children.append(self)

    def is_below(self, other):
        node = self
        while node is not None and node is not other:
            node = node.parent
        return node is other

    @property
    def order(self):
        if self.mail is None:
            return min(child.order for child in self.children)
        return self.mail.date, self.number

    @property
    def subject(self):
        first = self if self.mail is not None else min(self.children, key=lambda child: child.order)
        base, is_reply = base_subject(first.mail.subject)
        return base.upper(), is_reply

    def written(self):
        text = "" if self.number is None else str(self.number)
        children = sorted(self.children, key=lambda child: child.order)
        if len(children) == 1:
            return f"{text} {children[0].written()}" if text else children[0].written()
        below = "".join(f"({child.written()})" for child in children)
        return f"{text} {below}" if text and below else text + below


def linked(mails):
    nodes, every = {}, []
    for number, mail in enumerate(mails, 1):
        references = [nodes.setdefault(letter, Node()) for letter in mail.references or mail.in_reply_to[:1]]
        for upper, lower in pairwise(references):
            if lower.parent is None and not upper.is_below(lower):
                lower.put_below(upper)
        node = nodes.setdefault(mail.own, Node()) if mail.own else Node()
        if node.mail is not None:
            node = Node()
        every.append(node)
        node.number, node.mail = number, mail
        node.put_below(None)
        if references and not references[-1].is_below(node):
            node.put_below(references[-1])
    return {id(node): node for node in [*nodes.values(), *every]}.values()


def pruned(node, root):
    for child in list(node.children):
        pruned(child, root)
    if node.mail is None and node is not root and (node.parent is not root or len(node.children) < 2):
        for child in list(node.children):
            child.put_below(node.parent)
        node.put_below(None)


def gathered(root):
    table = {}
    top = sorted(root.children, key=lambda child: child.order)
    kept = [(node, *node.subject) for node in top]
    for node, base, is_reply in kept:
        other = table.get(base)
        if not base:
            continue
        if other is None or (other.mail is not None and (node.mail is None or (other.subject[1] and not is_reply))):
            table[base] = node
    for node, base, is_reply in kept:
        other = table.get(base)
        if not base or other is node or node.parent is not root:
            continue
        if node.mail is None and other.mail is None:
            for child in list(node.children):
                child.put_below(other)
            node.put_below(None)
        elif other.mail is None or (is_reply and not base_subject(other.mail.subject)[1]):
            node.put_below(other)
        else:
            dummy = table[base] = Node()
            dummy.put_below(root)
            node.put_below(dummy)
            other.put_below(dummy)


def by_the_book(mails):
    root = Node()
    for node in linked(mails):
        if node.parent is None:
            node.put_below(root)
    pruned(root, root)
    gathered(root)
    return "".join(f"({node.written()})" for node in sorted(root.children, key=lambda child: child.order))


letters = st.sampled_from("abcdef")
mailboxes = st.lists(
    st.builds(
        Mail,
        st.sampled_from(["x", "Re: x", "y", "re: y", "z (fwd)", "", "Re:"]),
        st.one_of(st.just(""), letters, letters),
        st.text("abcdef", max_size=4),
        st.integers(0, 3),
        st.text("abcdef", max_size=1),
    ),
    max_size=9,
)


@settings(deadline=None, max_examples=1000)
@given(mailboxes)
def test_every_mailbox_is_what_the_steps_make_of_it(mails):
    assert by_references(*mails) == by_the_book(mails)


# cost


def data_of(count, own, references):
    """Make the data of messages whose ids are numbers, an hour apart."""
    data = ThreadData()
    for number in range(count):
        ids = " ".join(f"<{each}@x.test>" for each in references(number))
        fields = [
            (b"message-id", f"Message-ID: <{own(number)}@x.test>".encode()),
            (b"references", f"References: {ids}".encode()),
        ]
        data.add(fields, number * 3600, REFERENCES)
    return data


@pytest.mark.parametrize("step", [1, -1])
def test_a_conversation_of_any_depth_is_linked_and_written(step):
    """One answers the other, 50,000 times, the oldest first or last: with quadratic work this would take minutes."""
    count = 50_000
    data = data_of(
        count,
        lambda number: number if step > 0 else count - 1 - number,
        lambda number: [data_parent] if (data_parent := (number if step > 0 else count - 1 - number) - 1) >= 0 else [],
    )
    forest, rests = run(make_forest(REFERENCES, data))
    assert len(forest.roots) == 1
    assert rests > count // 1000
    assert len(b"".join(write_forest(forest, range(count))).split()) == count


def test_a_conversation_of_pairs_in_pairs_is_written_without_recursion():
    count = 60_001
    data = data_of(count, lambda number: number, lambda number: [(number - 1) // 2 * 2] if number > 2 else [0][:number])
    forest, _ = run(make_forest(REFERENCES, data))
    text = b"".join(write_forest(forest, range(count)))
    assert text.count(b"(") == text.count(b")") == count


def test_work_that_is_long_by_somebodys_will_can_rest():
    """Links that are broken and made anew, deep below others: between two rests there is never much."""
    half = 2000
    count = 2 * half
    data = data_of(
        count,
        lambda number: half + number if number < half else number - half,
        lambda number: [number - 1, number][-number - 1 :] if number < half else [half - 1 - number % 7],
    )
    forest, rests = run(make_forest(REFERENCES, data))
    assert rests > 100
    shown = b"".join(write_forest(forest, range(count))).translate(bytes.maketrans(b"()", b"  ")).split()
    assert sorted(map(int, shown)) == list(range(count))
