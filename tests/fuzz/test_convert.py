"""Whatever stands in another server's file, converting it gives a configuration that we take, or one reason."""

import tomllib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.config import ConfigError, parse_config
from mailsuite.config.convert import FORMATS, convert_text, write_toml
from mailsuite.config.convert.detect import detect_format

EXAMPLES = {path.name: path.read_text("utf-8") for path in (Path(__file__).parents[1] / "data" / "convert").iterdir()}
PIECES = st.text(max_size=12) | st.sampled_from(
    ["\n", '"', "'", "[", "{", ": ", "=", "&a ", "*a", "\\", "#", "0", "-1"]
)
PATH = "/srv/mail/mailsuite.toml"


def faults(text, name):
    """Convert; give the faults of the old file, after a look at the new one."""
    try:
        conversion = convert_text(text, "old", format_name=name, target=PATH)
    except ConfigError as error:
        return error.faults
    config = parse_config(tomllib.loads(write_toml(conversion, "old")), PATH, {})
    assert {item.key for item in config.effective} >= {line.key for line in conversion.lines}
    return ()


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(FORMATS)), text=st.text(max_size=80))
def test_any_text(name, text):
    assert len(faults(text, name)) <= 1


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(EXAMPLES)), data=st.data())
def test_an_example_with_a_piece_replaced(name, data):
    text = EXAMPLES[name]
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(begin + 20, len(text))))
    assert len(faults(text[:begin] + data.draw(PIECES) + text[end:], detect_format(name, ""))) <= 1
