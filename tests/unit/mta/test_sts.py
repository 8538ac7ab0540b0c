import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsuite.errors import ProtocolError
from mailsuite.mta.sts import MX_MAX, Mode, STSPolicy, encode_policy, parse_policy, parse_record


@pytest.mark.parametrize(
    ("records", "policy_id"),
    [
        ([b"v=STSv1; id=20160831085700Z;"], "20160831085700Z"),
        ([b"v=STSv1;id=1"], "1"),
        ([b"v=STSv1 ;\tid=1 ; "], "1"),
        ([b"v=STSv1; id=1; x-y_z.1=a:b,c;"], "1"),
        ([b"v=STSv1; a=1; id=2; id=3"], "2"),
        ([b"v=spf1 -all", b"v=STSv1; id=1", b"v=STSv2; id=2"], "1"),
        ([b"v=STSv1; id=" + b"x" * 32], "x" * 32),
        ([], None),
        ([b"v=spf1 -all"], None),
        ([b"v=STSv1; id=1", b"v=STSv1; id=1"], None),
        ([b"v=STSv1; id=1", b"v=STSv1;"], None),
        ([b"v=STSv1"], None),
        ([b"v=STSv1;"], None),
        ([b"v=STSv1; id="], None),
        ([b"v=STSv1; id=a b"], None),
        ([b"v=STSv1; id=a-b"], None),
        ([b"v=STSv1; id=" + b"x" * 33], None),
        ([b"v=STSv1; id=1; novalue"], None),
        ([b"v=STSv1; id=1;;"], None),
        ([b"v=STSv1; id=1; a=b=c"], None),
        ([b"v=STSv1; id=1; a=\xc3\xa9"], None),
        ([b"v=STSv1; " + b"n" * 33 + b"=1; id=1"], None),
        ([b"v=stsv1; id=1"], None),
        ([b" v=STSv1; id=1"], None),
        ([b"v=STSv1; x=1"], None),
        ([b"v=STSv1; ID=1"], None),
    ],
)
def test_a_record_names_a_policy_or_there_is_none(records, policy_id):
    assert parse_record(records) == policy_id


GOOD = b"""version: STSv1
mode: enforce
mx: mail.example.com
mx: *.example.net
mx: backupmx.example.com
max_age: 604800
"""


@pytest.mark.parametrize(
    "octets",
    [
        GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.removesuffix(b"\n"),
        GOOD.replace(b": ", b":"),
        GOOD.replace(b": ", b": \t ").replace(b"\n", b" \t\n"),
        GOOD.replace(b"mail.example.com", b"Mail.Example.COM."),
        b"max_age: 604800\nmode: enforce\nx-new: \xc3\xa9 b c\n" + GOOD,
        GOOD + b"mode: none\nmax_age: 1\nversion: STSv2\n",
        GOOD + b"mx-other: not a host!\n",
    ],
)
def test_a_policy_is_read(octets):
    policy = parse_policy(octets)
    assert policy.mode is Mode.ENFORCE
    assert policy.max_age_seconds == 604800
    assert policy.mx == ("mail.example.com", "*.example.net", "backupmx.example.com")
    assert policy.text[0].rstrip().startswith(("version", "max_age"))


def test_a_policy_of_none_needs_no_host():
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 0").mode is Mode.NONE


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\n",
        GOOD + b"\n",
        b"\xff",
        GOOD.replace(b"STSv1", b"STSv2"),
        GOOD.replace(b"version: STSv1\n", b""),
        GOOD.replace(b"enforce", b"Enforce"),
        GOOD.replace(b"mode: enforce\n", b""),
        GOOD.replace(b"604800", b"31557601"),
        GOOD.replace(b"604800", b"-1"),
        GOOD.replace(b"604800", b"6048x"),
        GOOD.replace(b"604800", "٣".encode()),
        GOOD.replace(b"604800", b"12345678901"),
        GOOD.replace(b"max_age: 604800\n", b""),
        GOOD.replace(b"mx:", b"my:"),
        GOOD.replace(b"mail.example.com", b"mail..example.com"),
        GOOD.replace(b"mail.example.com", b"*"),
        GOOD.replace(b"mail.example.com", b"m*.example.com"),
        GOOD.replace(b"mail.example.com", b"*.*.example.com"),
        GOOD.replace(b"mail.example.com", b"[192.0.2.1]"),
        GOOD.replace(b"mail.example.com", "mäil.example.com".encode()),
        GOOD.replace(b"mail.example.com", b"two words"),
        GOOD.replace(b"mode: enforce", b"mode enforce"),
        GOOD.replace(b"mode: enforce", b" mode: enforce"),
        GOOD.replace(b"mode: enforce", b"mode : enforce"),
        GOOD.replace(b"\n", b"\r"),
        GOOD.replace(b"mode: enforce\n", b"mode: enforce\x00\n"),
        b"<html>404</html>",
        GOOD + b"mx: a.test\n" * (MX_MAX + 1),
    ],
)
def test_what_is_malformed_is_refused(octets):
    with pytest.raises(ProtocolError):
        parse_policy(octets)


def test_no_cut_of_a_policy_is_taken_for_more_than_it_says():
    for end in range(len(GOOD) - 1):
        try:
            policy = parse_policy(GOOD[:end])
        except ProtocolError:
            continue
        assert policy.mx == ("mail.example.com", "*.example.net", "backupmx.example.com")
        assert GOOD[:end].endswith(str(policy.max_age_seconds).encode())


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("mail.example.com", True),
        ("backupmx.example.com", True),
        ("x.mail.example.com", False),
        ("example.com", False),
        ("mx.example.net", True),
        ("a.mx.example.net", False),
        ("example.net", False),
        (".example.net", True),  # no host has this name
        ("*.example.net", True),
        ("net", False),
        ("", False),
        ("[192.0.2.1]", False),
    ],
)
def test_a_host_is_allowed_by_name_or_by_one_label(host, allowed):
    assert parse_policy(GOOD).allows(host) is allowed


LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
NAMES = st.builds(
    lambda star, labels: star + ".".join(labels), st.sampled_from(["", "*."]), st.lists(LABELS, min_size=1, max_size=4)
)


@given(st.sampled_from(Mode), st.integers(0, 31_557_600), st.lists(NAMES, min_size=1, max_size=10))
def test_a_policy_that_is_written_is_read_back(mode, age, mx):
    policy = STSPolicy(mode=mode, max_age_seconds=age, mx=tuple(mx))
    found = parse_policy(encode_policy(policy))
    assert (found.mode, found.max_age_seconds, found.mx) == (mode, age, tuple(mx))


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_policy_or_refused(octets):
    with contextlib.suppress(ProtocolError):
        parse_policy(octets)
    parse_record([octets])
