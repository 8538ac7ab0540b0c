"""Names in one form: RFC 4013."""

import pytest

from mailsuite.sasl.saslprep import prepare_name


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("user@example.test", "user@example.test"),
        ("I\u00adX", "IX"),
        ("\u2168", "IX"),
        ("u\u0308", "\u00fc"),
        ("a\u00a0b", "a b"),
        ("\u00ad", ""),
        ("\U0001f4e7@example.test", "\U0001f4e7@example.test"),  # younger than the tables
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_names_are_prepared(given, prepared):
    assert prepare_name(given) == prepared


@pytest.mark.parametrize(
    "given",
    [
        "a\x07",
        "a\x7f",
        "a\u200e",
        "a\ue000",
        "\ufffe",
        "\ud800",
        "a\ufffd",
        "\u2ff0",
        "\U000e0041",
        "\u0627a",
        "\u06271",
    ],
)
def test_what_is_prohibited_is_refused(given):
    with pytest.raises(ValueError, match=r"prohibited|directions"):
        prepare_name(given)
