"""The commands about certificates, and what the running server shows afterwards."""

import hashlib
import json
import smtplib
import socket
import ssl

import pytest
from demo_server import MadeServer


@pytest.fixture
def made(tmp_path):
    server = MadeServer(tmp_path / "srv")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()


def _served(server):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", server.port("imaps")), 10) as plain,
        context.wrap_socket(plain) as tls,
    ):
        return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()


def test_a_new_self_signed_pair_is_served_without_restart(made):
    made.start()
    before = _served(made)
    assert "--force" in made.command("cert", "self-signed", expect=1).stderr
    assert _served(made) == before
    made.command("cert", "self-signed", "--force", "--hostname", "localhost", "--days", "40")
    facts = json.loads(made.command("cert", "show", "--json").stdout)
    assert facts["names"][0] == "localhost"
    assert facts["days_left"] in {39, 40}
    wanted = facts["sha256"].replace(":", "").lower()
    # Each worker takes it by itself: so many connections in a row meet all of them.
    made.eventually(lambda: {_served(made) for _ in range(8)}, lambda now: now == {wanted})
    with smtplib.SMTP("localhost", made.port("submission")) as client:
        client.starttls(context=made.context)
    assert made.stop() == 0


def test_check_says_what_is_wrong_by_words_and_exit_status(made):
    assert "self-signed and otherwise in order" in made.command("cert", "check").stderr
    report = json.loads(made.command("cert", "check", "--json", "--name", "imap.example.test", expect=1).stdout)
    assert report["self_signed"]
    (fault,) = report["faults"]
    assert "not for imap.example.test" in fault
    made.command("cert", "self-signed", "--force", "--days", "3")
    done = made.command("cert", "check")
    assert "warning: the certificate expires in" in done.stderr
    assert "certificate: the certificate expires in" in made.command("check").stderr
    made.command("cert", "self-signed", "--force", "--hostname", "other.test")
    (line,) = made.command("cert", "check", expect=1).stderr.splitlines()
    assert "not for mx.example.test: it has other.test" in line
    made.command("cert", "check", "--ca", str(made.folder / "none.pem"), expect=1)
    made.command("cert", "check", "--ca", str(made.certificate), "--name", "other.test", expect=1)
    made.certificate.write_text("nonsense")
    for command in ("check", "show"):
        (line,) = made.command("cert", command, expect=1).stderr.splitlines()
        assert "PEM certificate" in line


def test_a_pair_is_made_in_any_folder_without_a_server(made, tmp_path):
    made.folder = tmp_path / "nowhere"
    folder = tmp_path / "tls"
    made.command("cert", "self-signed", "--hostname", "mail.example.test", "--dir", str(folder))
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "cert.pem": 0o600,
        "key.pem": 0o600,
    }
    context = ssl.create_default_context(cafile=folder / "cert.pem")
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    made.command("cert", "self-signed", "--hostname", "mail.example.test", "--dir", str(folder), expect=1)
    made.command("cert", "self-signed", "--dir", str(folder), expect=2)
    made.command("cert", "self-signed", "--hostname", "bad name", "--dir", str(folder), expect=1)
