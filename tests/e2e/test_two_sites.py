"""Two sites and their neighbours exchange mail through the DNS, and what goes wrong on the way."""

import contextlib
import email
import http.server
import smtplib
import ssl
import subprocess
import tempfile
import threading

import pytest
from certificates import issue
from demo_server import COMMAND, DemoServer, Login
from dns_server import DNSServer
from far_hosts import FarHost
from free_ports import free_offset

ALPHA, BETA, DOWN, GREY, CLOSING, SLOW, WEB, REFUSING = (f"127.0.0.{number}" for number in range(21, 29))
ANN, BOB = Login("ann@alpha.test", "ann-password"), Login("bob@beta.test", "bob-password")
ZONE = f"""
$TTL 60
alpha.test. IN SOA ns.alpha.test. hostmaster.alpha.test. 1 3600 600 86400 60
alpha.test. IN MX 10 mx.alpha.test.
mx.alpha.test. IN A {ALPHA}
beta.test. IN MX 10 down.beta.test.
beta.test. IN MX 20 mx.beta.test.
down.beta.test. IN A {DOWN}
mx.beta.test. IN A {BETA}
_mta-sts.beta.test. IN TXT "v=STSv1; id=1;"
mta-sts.beta.test. IN A {WEB}
gamma.test. IN MX 10 mx.gamma.test.
mx.gamma.test. IN A {BETA}
_mta-sts.gamma.test. IN TXT "v=STSv1; id=1;"
mta-sts.gamma.test. IN A {WEB}
grey.test. IN MX 10 mx.grey.test.
mx.grey.test. IN A {GREY}
closing.test. IN MX 10 mx.closing.test.
mx.closing.test. IN A {CLOSING}
slow.test. IN A {SLOW}
refusing.test. IN MX 10 mx.refusing.test.
mx.refusing.test. IN A {REFUSING}
null.test. IN MX 0 .
"""
SETTINGS = """
[queue]
retry_first_seconds = 0.5
pause_first_seconds = 0.5
retry_factor = 1.0
poll_seconds = 0.1
smtp_port = {port}
sts_port = {sts_port}
sts_networks = ["127.0.0.0/8"]
ca_file = "ca.pem"
own_addresses = ["{address}"]
"""


class Site(DemoServer):
    """A mailsuite for one domain, on an address of its own."""

    def __init__(self, folder, domain, address, offset, settings, environment):
        super().__init__(folder, environment={**environment, "MAILSUITE_QUEUE__MX": "true"})
        self.address, self.offset = address, offset
        done = subprocess.run(
            [*COMMAND, "init", str(folder), "--hostname", f"mx.{domain}", "--domain", domain]
            + ["--port-offset", str(offset), "--listen", address, "--self-signed"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with (folder / "mailsuite.toml").open("a") as stream:
            stream.write(settings)

    def arguments(self):
        return [*self.interpreter, "-c", str(self.folder / "mailsuite.toml"), "serve"]

    def submit(self, login, recipients, text, **options):
        with smtplib.SMTP(self.address, self.port("submission"), timeout=30) as client:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.starttls(context=context)
            client.login(login.email, login.password)
            assert client.sendmail(login.email, recipients, text, **options) == {}

    def messages(self, login):
        return [path.read_bytes() for path in sorted(self.maildir(login).glob("new/*"))]

    def with_subject(self, login, subject):
        found = [email.message_from_bytes(octets) for octets in self.messages(login)]
        return [message for message in found if message["Subject"] == subject]


@contextlib.contextmanager
def policies(port, authority, texts):
    """Serve MTA-STS policies by the name of the host that is asked for."""

    class Policy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            octets = texts[self.headers["Host"].partition(":")[0]].encode("ascii")
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

        def log_message(self, *_):
            pass

    identity = issue("policies", authority, names=list(texts))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server = http.server.ThreadingHTTPServer((WEB, port), Policy)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = f"{folder}/pair.pem"
        with open(path, "wb") as stream:
            stream.write(identity.pem + identity.key_pem)
        context.load_cert_chain(path)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        stack.callback(server.server_close)
        stack.callback(thread.join)
        stack.callback(server.shutdown)
        yield


@pytest.fixture(scope="module")
def sites(tmp_path_factory):

    folder = tmp_path_factory.mktemp("sites")
    offset = free_offset()
    port, sts_port = offset + 25, offset + 443
    authority = issue("authority", ca=True)
    beta_identity = issue("mx.beta.test", authority, names=["mx.beta.test"])
    texts = {
        f"mta-sts.{domain}": f"version: STSv1\nmode: enforce\nmx: mx.{domain}\nmx: down.{domain}\nmax_age: 86400\n"
        for domain in ("beta.test", "gamma.test")
    }
    hosts = {
        "grey": (GREY, {"greylist": True}),
        "closing": (CLOSING, {"closes": 1}),
        "slow": (SLOW, {"slow": True}),
        "refusing": (REFUSING, {"refuses": (b"nobody@refusing.test",)}),
    }
    with contextlib.ExitStack() as stack:
        names = stack.enter_context(DNSServer(folder / "zone", ZONE))
        stack.enter_context(policies(sts_port, authority, texts))
        far = {name: stack.enter_context(FarHost(address, port, **habits)) for name, (address, habits) in hosts.items()}
        made = {}
        for name, address, login in (("alpha", ALPHA, ANN), ("beta", BETA, BOB)):
            settings = SETTINGS.format(port=port, sts_port=sts_port, address=address)
            site = Site(folder / name, f"{name}.test", address, offset, settings, names.environment)
            (site.folder / "ca.pem").write_bytes(authority.pem)
            if name == "beta":
                site.certificate.write_bytes(beta_identity.pem)
                key = next(site.certificate.parent.glob("*key*"))
                key.write_bytes(beta_identity.key_pem)
            stack.callback(site.stop)
            site.start()
            site.command("user", "add", login.email, "--password", login.password)
            made[name] = site
        yield made["alpha"], made["beta"], far


def text(subject, to="bob@beta.test", sender="ann@alpha.test"):
    return f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nhello\r\n"


def test_mail_goes_both_ways_past_a_host_that_is_down_and_as_a_policy_wants_it(sites):
    alpha, beta, _ = sites
    alpha.submit(ANN, [BOB.email], text("there"))
    (message,) = alpha.eventually(lambda: beta.with_subject(BOB, "there"), bool)
    assert message["Return-Path"] == "<ann@alpha.test>"
    assert "with ESMTPS" in message.get_all("Received")[0]
    output = "".join(alpha.output)
    assert "MTA-STS policy of beta.test: enforce" in output
    beta.submit(BOB, [ANN.email], text("back", ANN.email, BOB.email))
    assert alpha.eventually(lambda: alpha.with_subject(ANN, "back"), bool)
    assert len(beta.with_subject(BOB, "there")) == 1


def test_what_requires_tls_goes_where_a_policy_vouches_for_the_host_and_it_promises_the_same(sites):
    alpha, beta, _ = sites
    alpha.submit(ANN, [BOB.email], text("required"), mail_options=["REQUIRETLS"])
    (message,) = alpha.eventually(lambda: beta.with_subject(BOB, "required"), bool)
    assert "with ESMTPS" in message.get_all("Received")[0]


def test_a_host_that_shows_another_name_than_the_policy_wants_gets_nothing(sites):
    alpha, beta, _ = sites
    alpha.submit(ANN, ["someone@gamma.test"], text("secret", "someone@gamma.test"))

    def shown():
        return [row for row in alpha.command("queue", "list").stdout.splitlines() if "gamma.test" in row]

    (row,) = alpha.eventually(shown, lambda rows: rows and "4.7" in rows[0])
    assert "4.7.5" in row
    assert beta.with_subject(BOB, "secret") == []


def test_who_is_greylisted_comes_back(sites):
    alpha, _, far = sites
    alpha.submit(ANN, ["x@grey.test", "y@grey.test"], text("grey", "x@grey.test"))
    taken = alpha.eventually(lambda: list(far["grey"].taken), lambda found: sum(len(t.recipients) for t in found) == 2)
    assert sorted(recipient for message in taken for recipient in message.recipients) == [
        b"x@grey.test",
        b"y@grey.test",
    ]


def test_a_host_that_closes_instead_of_answering_gets_it_again_until_it_answers(sites):
    alpha, _, far = sites
    alpha.submit(ANN, ["x@closing.test"], text("closing", "x@closing.test"))
    (message,) = alpha.eventually(lambda: list(far["closing"].taken), bool)
    assert message.recipients == (b"x@closing.test",)
    assert far["closing"].closes == 0


def test_a_host_that_is_slow_gets_it_once(sites):
    alpha, _, far = sites
    alpha.submit(ANN, ["x@slow.test"], text("slow", "x@slow.test"))
    alpha.eventually(lambda: list(far["slow"].taken), bool)
    alpha.eventually(lambda: "slow.test" in alpha.command("queue", "list").stdout, lambda waits: not waits)
    assert len(far["slow"].taken) == 1


def test_who_does_not_exist_is_returned_and_the_others_are_delivered(sites):
    alpha, _, far = sites
    recipients = ["nobody@refusing.test", "somebody@refusing.test", "x@null.test", "x@nowhere.test"]
    alpha.submit(ANN, recipients, text("partly", recipients[0]), mail_options=["ENVID=QQ314159", "RET=HDRS"])

    def reports():
        found = [email.message_from_bytes(octets) for octets in alpha.messages(ANN)]
        return [message for message in found if message.get_content_type() == "multipart/report"]

    def fields():
        given = {}
        for report in reports():
            status = report.get_payload(1)
            assert status.get_content_type() == "message/delivery-status"
            first, *blocks = status.get_payload()
            assert first["Original-Envelope-Id"] == "QQ314159"
            assert first["Reporting-MTA"] == "dns; mx.alpha.test"
            for block in blocks:
                given[block["Final-Recipient"].partition(";")[2].strip()] = (block["Action"], block["Status"])
        return given

    assert alpha.eventually(fields, lambda given: len(given) == 3) == {
        "nobody@refusing.test": ("failed", "5.1.1"),
        "x@null.test": ("failed", "5.1.10"),
        "x@nowhere.test": ("failed", "5.1.2"),
    }
    assert {(report["Return-Path"], report["Auto-Submitted"]) for report in reports()} == {("<>", "auto-replied")}
    assert sum(b"550 5.1.1 no such user here" in octets for octets in alpha.messages(ANN)) == 1
    assert [message.recipients for message in far["refusing"].taken] == [(b"somebody@refusing.test",)]
    story = alpha.command("trace", "--recipient", "nobody@refusing.test").stdout
    assert "ann@alpha.test" in story


def test_what_says_that_tls_is_optional_goes_past_a_policy(sites):
    # RFC 8689 section 3; the host that it reaches has no such mailbox, and says so
    alpha, _, _ = sites
    message = "TLS-Required: No\r\n" + text("optional", "other@gamma.test")
    alpha.submit(ANN, ["other@gamma.test"], message)

    def told():
        reports = alpha.with_subject(ANN, "Undelivered mail returned to its sender")
        return [report for report in reports if "<other@gamma.test>" in report.as_string()]

    (report,) = alpha.eventually(told, bool)
    assert "Diagnostic-Code: smtp; 550 5.7.1" in report.as_string()
