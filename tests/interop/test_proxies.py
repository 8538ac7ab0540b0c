"""Behind HAProxy, and with clients that write PROXY headers themselves: the server sees who the client is."""

import imaplib
import re
import smtplib
import socket
import subprocess
from pathlib import Path

import pytest
from demo_server import CONDITION_SECONDS, Login, MadeServer, eventually
from free_ports import free_port

pytestmark = pytest.mark.interop

PROXY, CLIENT = "127.0.0.2", "127.0.0.9"
ANN = Login("ann@example.test", "correct horse 1")
SERVICES = ("smtp", "submission", "imap", "imaps", "pop3s")
LETTER = "From: far@elsewhere.test\r\nSubject: hello\r\n\r\nhello\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One that believes a proxy at 127.0.0.2 and nobody else."""
    made = MadeServer(
        tmp_path_factory.mktemp("behind") / "srv",
        "",
        environment={
            "MAILSUITE_SERVER__PROXY_PEERS": f'["{PROXY}", "unix"]',
            "MAILSUITE_SERVER__PROXY_SERVICES": '["smtp", "submission", "imap", "imaps", "pop3s"]',
        },
    ).start()
    made.command("user", "add", ANN.email, "--password", ANN.password)
    yield made
    assert made.stop() == 0, "".join(made.output[-50:])


class Proxy:
    """A HAProxy before each service of a server."""

    def __init__(self, program: str, server: MadeServer, folder: Path, how: str) -> None:
        self.ports = {service: free_port() for service in SERVICES}
        self.control = folder / "stats.sock"
        lines = ["global", f"  stats socket {self.control} mode 600", "defaults", "  mode tcp"]
        lines += ["  timeout connect 5s", "  timeout client 1m", "  timeout server 1m"]
        for service, port in self.ports.items():
            lines += [f"listen {service}", f"  bind 127.0.0.1:{port}", f"  bind [::1]:{port} v6only"]
            if not service.endswith("s"):
                lines += ["  option tcp-check", r"  tcp-check expect rstring ^(220|\*\sOK)"]
            lines += [f"  server s 127.0.0.1:{server.port(service)} {how} source {PROXY}"]
        (folder / "haproxy.cfg").write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [program, "-db", "-f", str(folder / "haproxy.cfg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(self.states, lambda states: len(states) == len(SERVICES))

    def states(self) -> dict[str, str]:
        """Ask what the health checks found."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(self.control))
                client.sendall(b"show stat\n")
                text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
        except OSError:
            return {}
        header, *rows = [line.split(",") for line in text.strip().splitlines()]
        place = header.index("check_status")
        return {row[0]: row[place] for row in rows if row[1] == "s"}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(params=["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn"])
def proxy(request, program, server, tmp_path):
    running = Proxy(program("haproxy", "haproxy"), server, tmp_path, request.param)
    yield running
    running.stop()


def last_received(server) -> str:
    """Read the topmost Received field of the newest message."""
    with server.imap(ANN) as client:
        _, (count,) = client.select("INBOX", readonly=True)
        _, data = client.fetch(count, "(BODY.PEEK[HEADER.FIELDS (RECEIVED)])")
        return data[0][1].decode()


def test_mail_through_haproxy_with_starttls_has_the_clients_address(server, proxy):
    before = server.count(ANN)
    with smtplib.SMTP(
        "127.0.0.1", proxy.ports["smtp"], source_address=(CLIENT, 0), timeout=CONDITION_SECONDS
    ) as client:
        client.starttls(context=server.context)
        client.sendmail("far@elsewhere.test", [ANN.email], LETTER)
    server.eventually(lambda: server.count(ANN), lambda count: count == before + 1)
    assert f"([{CLIENT}])" in last_received(server)
    assert "TLSv1" in last_received(server)


def test_mail_from_an_ipv6_client_has_its_address(server, proxy):
    before = server.count(ANN)
    try:
        client = smtplib.SMTP("::1", proxy.ports["smtp"], timeout=CONDITION_SECONDS)
    except OSError as error:
        pytest.skip(f"no IPv6: {error}")
    with client:
        client.sendmail("far@elsewhere.test", [ANN.email], LETTER)
    server.eventually(lambda: server.count(ANN), lambda count: count == before + 1)
    assert "([IPv6:::1])" in last_received(server)


@pytest.mark.parametrize("service", ["imap", "imaps"])
def test_a_login_through_haproxy_works_and_a_refused_one_shows_the_client_in_the_log(server, proxy, service):
    def connect():
        if service == "imaps":
            client = Sourced(CLIENT, "localhost", proxy.ports[service], ssl_context=server.context)
        else:
            client = SourcedPlain(CLIENT, "localhost", proxy.ports[service])
            client.starttls(server.context)
        return client

    client = connect()
    client.login(ANN.email, ANN.password)
    assert client.select("INBOX", readonly=True)[0] == "OK"
    client.logout()
    client = connect()
    before = len(server.output)
    with pytest.raises(imaplib.IMAP4.error):
        client.login(ANN.email, "wrong")
    client.logout()
    (line,) = server.eventually(
        lambda: [line for line in server.output[before:] if "imap.login.refused" in line], lambda lines: len(lines) == 1
    )
    assert f"peer={CLIENT}]" in line


class SourcedPlain(imaplib.IMAP4):
    """Connects from an address of choice."""

    def __init__(self, source, *arguments, **options):
        self.source = source
        super().__init__(*arguments, timeout=CONDITION_SECONDS, **options)

    def _create_socket(self, timeout):
        return socket.create_connection(("127.0.0.1", self.port), timeout, (self.source, 0))


class Sourced(SourcedPlain, imaplib.IMAP4_SSL):
    """Likewise, inside TLS."""

    def _create_socket(self, timeout):
        return self.ssl_context.wrap_socket(SourcedPlain._create_socket(self, timeout), server_hostname=self.host)


@pytest.mark.parametrize("how", ["send-proxy", "send-proxy-v2"])
def test_health_checks_of_haproxy_are_answered(server, program, tmp_path, how):
    running = Proxy(
        program("haproxy", "haproxy"), server, tmp_path, f"{how} check check-send-proxy inter 100ms fall 1 rise 1"
    )
    try:
        wanted = {"smtp": "L7OK", "submission": "L7OK", "imap": "L7OK", "imaps": "L4OK", "pop3s": "L4OK"}
        server.eventually(running.states, lambda states: states == wanted)
    finally:
        running.stop()


@pytest.mark.parametrize("version", ["1", "2"])
def test_swaks_poses_as_a_proxy(server, program, run, version):
    before = server.count(ANN)
    arguments = [program("swaks", "swaks"), "--server", "127.0.0.1", "--port", str(server.port("smtp")), "--tls"]
    arguments += ["--to", ANN.email, "--from", "far@elsewhere.test", "--proxy-version", version]
    arguments += ["--proxy-family", "TCP4" if version == "1" else "AF_INET", "--proxy-source", "198.51.100.7"]
    arguments += ["--proxy-source-port", "4711", "--proxy-dest", "203.0.113.25", "--proxy-dest-port", "25"]
    arguments += [] if version == "1" else ["--proxy-command", "PROXY", "--proxy-protocol", "STREAM"]
    refused = run([*arguments, "--local-interface", CLIENT], expect=None)
    assert refused.returncode != 0
    assert "<** 500" in refused.stdout  # to everybody else a header is no command
    assert server.count(ANN) == before
    run([*arguments, "--local-interface", PROXY])
    server.eventually(lambda: server.count(ANN), lambda count: count == before + 1)
    assert "([198.51.100.7])" in last_received(server)


def test_curl_poses_as_a_proxy_before_tls(server, program, run):
    arguments = [program("curl", "curl"), "--silent", "--show-error", "--cacert", str(server.certificate)]
    arguments += ["--user", f"{ANN.email}:{ANN.password}", "--haproxy-protocol"]
    url = f"imaps://localhost:{server.port('imaps')}/"
    assert "INBOX" in run([*arguments, "--interface", PROXY, url]).stdout
    assert run([*arguments, "--interface", CLIENT, url], expect=None).returncode != 0


@pytest.mark.parametrize("octets", [b"EHLO x\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x0c"])
def test_a_proxy_that_sends_no_header_is_closed_without_a_word(server, octets):
    before = len(server.output)
    with socket.create_connection(("127.0.0.1", server.port("smtp")), 10, (PROXY, 0)) as client:
        client.sendall(octets)
        with pytest.raises(ConnectionResetError):
            assert client.recv(100) != b""
    server.eventually(lambda: re.findall(rf"service\.proxy\.refused.*{PROXY}.*", "".join(server.output[before:])), bool)


def test_a_service_that_is_not_listed_is_served_without_header(server):
    with socket.create_connection(("127.0.0.1", server.port("pop3")), 10, (PROXY, 0)) as client:
        assert client.recv(100).startswith(b"+OK")
