import pytest

from mailsuite.manhole.completion import complete
from mailsuite.manhole.ops import Ops


class Thing:
    answer = 42
    answers = ()
    _hidden = 0

    def ask(self):
        raise AssertionError("completion calls nothing")

    @property
    def trap(self):
        raise RuntimeError("no")


NAMES = {"ops": Ops(None), "thing": Thing(), "third": 3}


@pytest.mark.parametrize(
    ("text", "insert", "candidates"),
    [
        ("ops.tr", "ace(", ["trace("]),
        ("x = await ops.sess", "ions(", ["sessions("]),
        ("print(thing.ans", "wer", ["answer", "answers"]),
        ("thing.answer", "", ["answer", "answers"]),
        ("th", "i", ["thing", "third"]),
        ("thing._hid", "den", ["_hidden"]),
        ("thing.", "", ["answer", "answers", "ask(", "trap"]),
        ("thing.trap.", "", []),
        ("thing.nothing.", "", []),
        ("unknown.", "", []),
        ("isins", "tance(", ["isinstance("]),
        ("lam", "bda ", ["lambda "]),
        ("'text", "", []),
        ("", "", []),
        ("f(1).", "", []),
        ("1.", "", []),
    ],
)
def test_names_and_attributes_are_completed(text, insert, candidates):
    names = NAMES
    if text == "'text":
        names = {}
    found = complete(names, text)
    assert (found.insert, list(found.candidates)) == (insert, candidates)


def test_every_question_of_ops_is_offered():
    assert list(complete(NAMES, "ops.").candidates) == [
        "accounts(",
        "domains(",
        "end_session(",
        "queue(",
        "reload(",
        "sessions(",
        "stalls(",
        "status(",
        "trace(",
    ]
