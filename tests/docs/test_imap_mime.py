"""The page about broken mail: it names each difference that is meant, and its examples are true."""

import re
from pathlib import Path

import pytest
from interop.mime_rules import RULES

from mailsuite.message.addresses import ADDRESSES_MAX
from mailsuite.message.header import FIELD_MAX_OCTETS, FIELDS_MAX
from mailsuite.message.mime import BOUNDARY_MAX_OCTETS, DEPTH_MAX, PARTS_MAX
from mailsuite.message.parameters import PARAMETERS_MAX
from mailsuite.message.summary import STRING_MAX_OCTETS, summarize

PAGE = (Path(__file__).parents[2] / "docs" / "imap-mime.rst").read_text("utf-8")
EXAMPLES = re.findall(r"^    (\S+: .*?)  =>  (.*)$", PAGE, re.MULTILINE)


def test_each_rule_is_explained_and_nothing_else() -> None:
    assert set(re.findall(r"^\.\. _mime-(.*):$", PAGE, re.MULTILINE)) == {rule.name for rule in RULES}


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 20


@pytest.mark.parametrize(("field", "said"), EXAMPLES)
def test_examples_are_true(field: str, said: str) -> None:
    summary = summarize(f"{field}\r\n\r\ntext\r\n".encode())
    name = field.partition(":")[0]
    if name == "To":
        assert summary.envelope.decode() == f"(NIL NIL NIL NIL NIL {said} NIL NIL NIL NIL)"
    else:
        assert said in summary.bodystructure.decode()


def test_limits_are_those_of_the_code() -> None:
    limits = PAGE[PAGE.index(".. _mime-limits:") :]
    numbers = {int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", limits)}
    assert numbers == {
        DEPTH_MAX,
        PARTS_MAX,
        BOUNDARY_MAX_OCTETS,
        PARAMETERS_MAX,
        FIELDS_MAX,
        FIELD_MAX_OCTETS,
        ADDRESSES_MAX,
        STRING_MAX_OCTETS,
    }
