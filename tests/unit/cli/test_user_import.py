"""``mailsuite user import``: everything or nothing, told line by line."""

import json
import os
import pty
import sqlite3
import subprocess
import sys

import bcrypt
import pytest
from passlib.hash import apr_md5_crypt, ldap_salted_sha1, sha256_crypt, sha512_crypt

from mailsuite.directory.accounts import Accounts
from mailsuite.directory.aliases import Aliases
from mailsuite.directory.database import DirectoryDatabase
from mailsuite.directory.passwords import PasswordHashing

SECRET = "correct hörse"
HASHES = {
    "argon2id": PasswordHashing(memory_kib=64, time_cost=1).hash(SECRET),
    "bcrypt": bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$"),
    "sha512": "{SHA512-CRYPT}" + sha512_crypt.using(rounds=1000).hash(SECRET),
    "sha256": sha256_crypt.using(rounds=1000).hash(SECRET),
    "ssha": ldap_salted_sha1.hash(SECRET),
    "apr1": apr_md5_crypt.hash(SECRET),
}
BAD = (
    "email,password,password_hash,quota,aliases\n"
    "a@example.test,correct horse,,,\n"
    "not an address,correct horse,,,\n"
    "b@elsewhere.test,correct horse,,,\n"
    "c@example.test,short,,,\n"
    "d@example.test,,{CRAM-MD5}abc,,\n"
    "A@Example.test,correct horse,,,\n"
    "e@example.test,correct horse,$6$x$y,,\n"
    "f@example.test,correct horse,,lots,\n"
    "g@example.test,correct horse,,,a@example.test\n"
    "h@example.test,correct horse,,,x@elsewhere.test\n"
    "i@example.test,,$5$rounds,,\n"
    "j@example.test,,nonsense,,\n"
)


@pytest.fixture
def database(run):
    base = DirectoryDatabase(f"sqlite:///{run.path.parent}/data/mailsuite.db")
    yield base
    base.close()


def stored(database):
    base = sqlite3.connect(database.path)
    found = dict(base.execute("SELECT email, password_hash FROM users"))
    base.close()
    return found


def write(tmp_path, text):
    path = tmp_path / "list"
    path.write_text(text)
    return str(path)


def test_hashes_of_other_servers_are_taken_and_let_their_owners_in(run, tmp_path, database):
    text = "".join(f"{name}@example.test:{text}:1000:1000::/home/{name}\n" for name, text in HASHES.items())
    assert "6 accounts added" in run("user", "import", write(tmp_path, text)).stderr
    found = stored(database)
    assert found == {f"{name}@example.test": text for name, text in HASHES.items()}
    assert all(PasswordHashing().verify(SECRET.encode(), text) for text in found.values())
    again = run("user", "import", write(tmp_path, text))
    assert "0 accounts added, 6 are there already" in again.stderr
    assert stored(database) == found


def test_passwords_quota_rights_and_aliases_come_along(run, tmp_path, database):
    text = (
        "username,domain,password,quota,admin,enabled,aliases\n"
        f"one,example.test,{SECRET} one,2M,yes,,sales@example.test;info@example.test\n"
        f"two,,{SECRET} two,,,no,sales@example.test\n"
        "three,,,,,,\n"
    )
    done = run("user", "import", write(tmp_path, text), "--domain", "example.test")
    assert "3 accounts added" in done.stderr
    assert "1 of them have no password" in done.stderr
    accounts = {info.username: info for info in Accounts(database).list()}
    assert (accounts["one"].quota_octets, accounts["one"].admin, accounts["one"].enabled) == (2 * 2**20, True, True)
    assert (accounts["two"].admin, accounts["two"].enabled) == (False, False)
    assert not accounts["three"].has_password
    assert {info.source: info.targets for info in Aliases(database).list()} == {
        "info@example.test": ("one@example.test",),
        "sales@example.test": ("one@example.test", "two@example.test"),
    }
    assert PasswordHashing().verify(f"{SECRET} one".encode(), stored(database)["one@example.test"])
    base = sqlite3.connect(database.path)
    schemes = base.execute("SELECT scheme FROM verifiers JOIN credentials c ON c.id = credential_id WHERE user_id = 1")
    assert {scheme for (scheme,) in schemes} == {"scram-sha-1", "scram-sha-256"}
    base.close()


def test_all_faults_are_told_at_once_and_nothing_is_imported(run, tmp_path, database):
    refused = run("user", "import", write(tmp_path, BAD), status=1)
    lines = refused.stderr.splitlines()
    told = {int(line.split(":")[0].removeprefix("line ")): line for line in lines if line.startswith("line ")}
    assert sorted(told) == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert "elsewhere.test is not one of our domains: add it first" in told[4]
    assert "{CRAM-MD5} cannot be verified here" in told[6] and "user passwd d@example.test" in told[6]
    assert "a@example.test stands in line 2 already" in told[7]
    assert "it is an account" in told[10]
    assert "$5$" in told[12] and "rounds" not in told[12]
    assert "nonsense" not in told[13]
    assert "nothing was imported: 11 lines are wrong" in lines[-1]
    assert stored(database) == {}
    report = json.loads(run("user", "import", write(tmp_path, BAD), "--json", status=1).stdout)
    assert (report["added"], [fault["line"] for fault in report["faults"]]) == ([], sorted(told))
    run("user", "import", write(tmp_path, BAD), "--skip-bad")
    assert list(stored(database)) == ["a@example.test"]


def test_a_dry_run_changes_nothing(run, tmp_path, database):
    path = write(tmp_path, "email,password\na@example.test,correct horse battery\n")
    assert "1 accounts would be added" in run("user", "import", path, "--dry-run").stderr
    report = json.loads(run("user", "import", path, "--dry-run", "--json").stdout)
    assert report == {"dry_run": True, "added": ["a@example.test"], "present": [], "faults": []}
    assert stored(database) == {}


def test_a_list_may_come_on_standard_input(run, database):
    run("user", "import", "-", stdin="email,password\na@example.test,correct horse battery\n")
    assert list(stored(database)) == ["a@example.test"]


def test_the_database_of_another_server_and_its_numbers(run, tmp_path, database):
    path = tmp_path / "users.db"
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, password_hash TEXT)")
    rows = [(41, "b@example.test", HASHES["argon2id"]), (7, "a@example.test", HASHES["argon2id"])]
    base.executemany("INSERT INTO users VALUES (?, ?, ?)", rows)
    base.commit()
    base.close()
    run("user", "add", "first@example.test", "--password", "correct horse")
    run("user", "import", str(path), "--keep-ids")
    assert {info.email: info.account_id for info in Accounts(database).list()} == {
        "first@example.test": 1,
        "a@example.test": 7,
        "b@example.test": 41,
    }
    taken = write(tmp_path, "email,id\nx@example.test,41\ny@example.test,50\nz@example.test,50\n")
    told = run("user", "import", taken, "--keep-ids", status=1).stderr
    assert "another account has the number 41" in told
    assert "50 stands in line 3 already" in told


def test_a_file_that_is_not_there_is_one_line(run, tmp_path):
    told = run("user", "import", str(tmp_path / "nothing"), status=1).stderr
    assert len(told.splitlines()) == 1
    assert "No such file" in told


@pytest.mark.slow
def test_a_thousand_passwords_take_seconds_and_show_how_far_they_are(run, tmp_path, database):
    rows = "".join(f"user{number}@example.test,{SECRET} {number}\n" for number in range(1100))
    path = write(tmp_path, "email,password\n" + rows)
    command = [sys.executable, "-m", "mailsuite.cli.main", "-c", str(run.path), "user", "import", path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr.splitlines() == [
        "passwords hashed: 500 of 1100",
        "passwords hashed: 1000 of 1100",
        "1100 accounts added, 0 are there already",
    ]
    found = stored(database)
    assert len(set(found.values())) == 1100
    assert PasswordHashing().verify(f"{SECRET} 1099".encode(), found["user1099@example.test"])


def test_a_terminal_gets_a_bar(run, tmp_path):
    rows = "".join(f"user{number}@example.test,{SECRET} {number}\n" for number in range(60))
    path = write(tmp_path, "email,password\n" + rows)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mailsuite.cli.main", "-c", str(run.path), "user", "import", path]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 10_000)
        except OSError:
            break
    os.close(ours)
    assert process.wait(60) == 0
    assert "━".encode() in shown
    assert b"60 accounts added" in shown
