"""Lists of users that other programs left, and every way in which a line can be wrong."""

import sqlite3

import pytest

from mailsuite.directory.rosters import read_roster


def read(text, domain=""):
    return read_roster(text.encode(), "", domain)


def faults(roster):
    return [(fault.line, fault.detail) for fault in roster.faults]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_csv_with_every_column(mark):
    text = (
        "Email,Password,Quota,Admin,Enabled,Aliases,ID\r\n"
        'a@x.test,"secret; ""one"" ",500M,yes,,sales@x.test info@x.test,7\r\n'
        "\r\n"
        "b@x.test,,0,no,false,,\r\n"
    )
    roster = read(
        "\ufeff" + (text.replace('"secret; ""one"" "', "secret one") if mark != "," else text).replace(",", mark)
    )
    assert faults(roster) == []
    first, second = roster.entries
    assert (first.line, first.email, first.quota_octets, first.admin, first.enabled) == (
        2,
        "a@x.test",
        500 * 2**20,
        True,
        True,
    )
    assert first.password == ('secret; "one" ' if mark == "," else "secret one")
    assert (list(first.aliases), first.account_id) == (["sales@x.test", "info@x.test"], 7)
    assert (second.line, second.password, second.enabled, second.account_id) == (4, None, False, 0)


def test_csv_of_user_names_and_hashes_as_a_database_prints_it():
    roster = read("username,email,password_hash,created_at\njohn,john@x.test,$2y$1,now\n")
    assert [(entry.email, entry.password_hash) for entry in roster.entries] == [("john@x.test", "$2y$1")]
    assert roster.unused == ["created_at"]
    roster = read("username;domain;password\njohn;x.test;$argon2id$1\njane;;clear text\n", "y.test")
    assert [(entry.email, entry.password, entry.password_hash) for entry in roster.entries] == [
        ("john@x.test", None, "$argon2id$1"),
        ("jane@y.test", "clear text", None),
    ]


def test_dovecots_passwd_file():
    text = (
        "# users\n\n"
        "a@x.test:{SHA512-CRYPT}$6$salt$hash:1000:1000::/home/a::userdb_quota_rule=*:storage=2G allow_nets=::1\n"
        "b@x.test:{PLAIN}clear text::::::userdb_quota_rule=*:bytes=4096\n"
        "c@x.test:!:::\n"
        "d@x.test:{SSHA}abc::::::quota_rule=*:storage=10\n"
    )
    entries = read(text).entries
    assert [
        (entry.line, entry.email, entry.password, entry.password_hash, entry.quota_octets) for entry in entries
    ] == [
        (3, "a@x.test", None, "{SHA512-CRYPT}$6$salt$hash", 2 * 2**30),
        (4, "b@x.test", "clear text", None, 4096),
        (5, "c@x.test", None, None, 0),
        (6, "d@x.test", None, "{SSHA}abc", 10 * 2**10),
    ]


def test_htpasswd_needs_the_domain_to_be_told():
    text = "john:$apr1$abc$def\njane@y.test:{SHA}abc=\n"
    assert faults(read(text)) == [(1, "john has no domain: give it with --domain")]
    assert [entry.email for entry in read(text, "x.test").entries] == ["john@x.test", "jane@y.test"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("email,password\na@x.test\nb@x.test,1,2\n", [(2, "1 values where"), (3, "3 values where")]),
        ("email,quota,admin\na@x.test,much,no\nb@x.test,1,perhaps\n", [(2, "'much' is no size"), (3, "'perhaps'")]),
        ("email,address\na@x.test,b@x.test\n", [(1, "two columns mean the same")]),
        ('email,password\na@x.test,"open\n', [(2, "that is no CSV")]),
        ("email,id\na@x.test,-4\n", [(2, "'-4' is no number")]),
        ("what is this\n:hash\n", [(1, "expected address:hash"), (2, "expected address:hash")]),
    ],
)
def test_every_fault_is_told_with_its_line(text, told):
    found = faults(read(text))
    assert [line for line, _ in found] == [line for line, _ in told]
    assert all(words in detail for (_, detail), (_, words) in zip(found, told, strict=True))


def test_text_that_is_no_text():
    assert faults(read_roster(b"email,password\na@x.test,\xff\n", "")) == [(2, "that is not UTF-8 text")]
    assert read("").entries == []


def database(path, script, rows=()):
    base = sqlite3.connect(path)
    base.executescript(script)
    for statement, values in rows:
        base.execute(statement, values)
    base.commit()
    base.close()
    return read_roster(path.read_bytes()[:16], str(path))


def test_a_database_of_addresses_and_hashes(tmp_path):
    roster = database(
        tmp_path / "users?#.db",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE, password_hash TEXT, created_at TEXT);"
        "INSERT INTO users VALUES (3, 'admin@delfour.co', '$argon2id$x', 'now'), (4, 'b@delfour.co', NULL, 'now');",
    )
    assert [(entry.line, entry.email, entry.password_hash, entry.account_id) for entry in roster.entries] == [
        (1, "admin@delfour.co", "$argon2id$x", 3),
        (2, "b@delfour.co", None, 4),
    ]
    assert (roster.faults, list(roster.unused)) == ([], ["created_at"])


def test_a_database_of_user_names_and_numbers_of_domains(tmp_path):
    roster = database(
        tmp_path / "users.db",
        "CREATE TABLE domains (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE accounts (username TEXT, domain_id INTEGER, password BLOB, is_active INTEGER);"
        "INSERT INTO domains VALUES (1, 'example.com'), (2, 'example.org');"
        "INSERT INTO accounts VALUES ('john', 2, x'2436246e', 0), ('jane', 1, '$6$n', 1);",
    )
    assert [(entry.email, entry.password_hash, entry.enabled) for entry in roster.entries] == [
        ("john@example.org", "$6$n", False),
        ("jane@example.com", "$6$n", True),
    ]


def test_a_database_without_users_and_a_broken_one(tmp_path):
    roster = database(tmp_path / "other.db", "CREATE TABLE mail (id INTEGER PRIMARY KEY, subject TEXT);")
    assert faults(roster) == [(0, "no table in it has users with passwords: export them as CSV")]
    path = tmp_path / "broken.db"
    path.write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert faults(read_roster(path.read_bytes()[:16], str(path)))[0][1].startswith("it cannot be read: ")
