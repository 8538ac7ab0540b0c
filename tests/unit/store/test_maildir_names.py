"""Names on disk: what they look like, that they can be read back, and that nothing leads outside."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsuite.errors import Kind, MailError
from mailsuite.store import Layout, maildir


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("INBOX", "INBOX"),
        ("Sent", "Sent"),
        ("Work/2024", "Work.2024"),
        ("a.b/c", "a&AC4-b.c"),
        ("Entwürfe", "Entw&APw-rfe"),
        ("Tom & Jerry", "Tom &- Jerry"),
        ("台北/日本語", "&U,BTFw-.&ZeVnLIqe-"),  # RFC 3501 section 5.1.3, as levels
        ("...x", "&AC4ALgAu-x"),
    ],
)
def test_mailbox_folders(name, folder):
    assert maildir.encode_name(name) == folder
    assert maildir.decode_name(folder) == name


@pytest.mark.parametrize(
    "folder", ["", ".", "a..b", "&", "&A", "&AGE-", "&AC8-", "a/b", "&AAA-", "&2AA-", "x\n", "é", "inbox", "&*-"]
)
def test_folders_that_are_no_mailbox(folder):
    assert maildir.decode_name(folder) is None


@settings(deadline=None, max_examples=200)
@given(st.text(min_size=1, max_size=40))
def test_every_name_is_refused_or_read_back(name):
    try:
        checked = maildir.check_name(name)
    except MailError:
        return  # refused
    folder = maildir.encode_name(checked)
    assert folder.isascii()
    assert "/" not in folder
    assert "\0" not in folder
    assert not folder.startswith(".")
    assert maildir.decode_name(folder) == checked


@pytest.mark.parametrize(
    ("layout", "email", "path", "sent"),
    [
        (Layout.DOMAIN, "user@example.com", "/r/example.com/user", "/r/example.com/user/.Sent"),
        (Layout.DOMAIN, "John.Doe@example.com", "/r/example.com/john&AC4-doe", "/r/example.com/john&AC4-doe/.Sent"),
        (Layout.DOMAIN, "../../x@example.com", None, None),
        (Layout.USERID, "user@example.com", "/r/user_7", "/r/user_7/Sent"),
        (Layout.ADDRESS, "user@example.com", "/r/user@example.com", "/r/user@example.com/.Sent"),
    ],
)
def test_layouts(layout, email, path, sent):
    home = maildir.home_of("/r", layout, 7, email)
    if path is None:
        assert home.path == "/r/example.com/&AC4ALgAvAC4ALgAv-x"
        return
    assert home.path == path
    assert home.folder("Sent") == sent
    assert home.folder("INBOX") == (f"{path}/INBOX" if layout is Layout.USERID else path)


@pytest.mark.parametrize(
    "email", ["@example.com", "user@", "user@..", "user@.", "user@a/b", "user", "x" * 250 + "@example.com"]
)
def test_addresses_that_cannot_be_paths_are_invalid(email):
    with pytest.raises(MailError) as caught:
        maildir.home_of("/r", Layout.DOMAIN, 7, email)
    assert caught.value.kind is Kind.INVALID


def test_file_names():
    name = maildir.file_name("D.spool-1-0", 321, 17)
    assert name == "D.spool-1-0,S=321,U=17"
    for shown in (name, f"{name}:2,FS", f"{name}:2,"):
        assert maildir.token_of(shown) == "D.spool-1-0"
        assert maildir.uid_of(shown) == 17
        assert maildir.size_of(shown) == 321
    assert maildir.letters_of(f"{name}:2,FSa") == "FSa"


@pytest.mark.parametrize("name", ["1700000000.M1P2Q3.host", "1700000000.host,W=12", "msg", "a,b,c"])
def test_names_of_other_programs_are_their_own_token(name):
    assert maildir.token_of(f"{name}:2,S") == name
    assert maildir.uid_of(name) == 0
    assert maildir.size_of(name) == -1


def test_delivery_tokens_are_stable_and_safe():
    assert maildir.delivery_token("abc-1-0") == "D.abc-1-0"
    hostile = maildir.delivery_token("../x/:2,S\0")
    assert hostile == maildir.delivery_token("../x/:2,S\0")
    assert len({maildir.delivery_token(text) for text in ("a/b", "a:b", "a b", "x" * 101)}) == 4
    assert not set(hostile) & set("/:\0,")
