"""The files of etc/ for systemd and containers: what they name exists, and their commands do their work."""

import configparser
import fnmatch
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from demo_server import COMMAND, MadeServer

from mailsuite.cli.main import main
from mailsuite.config import load_config
from mailsuite.config.ports import PORTS

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "etc" / "systemd"
DOCKER = ROOT / "etc" / "docker"
SERVED = {name: port.number for name, port in PORTS.items() if port.present and port.enabled and name != "manhole"}
TWISTD = [sys.executable, "-P", "-c", "from twisted.scripts.twistd import run; run()"]
EXPOSURE_MAX = 20  # tenths; systemd calls everything below 20 OK


def check_command(words):
    """Parse a command line of ours, without running it."""
    command, words = main, list(words)
    context = click.Context(main, info_name="mailsuite")
    while isinstance(command, click.Group):
        _, _, order = command.make_parser(context).parse_args(words)
        assert order is not None
        words = [*context.args] if context.args else command.make_parser(context).parse_args(words)[1]
        command, words = command.get_command(context, words[0]), words[1:]
        assert command is not None
    command.make_parser(click.Context(command)).parse_args(words)


class Unit(configparser.RawConfigParser):
    """A unit file, whose keys may stand several times."""

    def __init__(self, path):
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",), interpolation=None)
        self.optionxform = str
        text = path.read_text()
        self.read_string(text)
        self.all = {}
        for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
            self.all.setdefault(key, []).append(value)


# systemd


@pytest.fixture
def analyze(tmp_path):
    """Run systemd-analyze on our units, which name programs that are not installed where they expect them."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed; Debian package systemd")
    for path in SYSTEMD.iterdir():
        text = re.sub(r"/opt/mailsuite/bin/\w+", "/bin/true", path.read_text())
        for name in [path.name] if "@" not in path.name else [path.name, path.name.replace("@", "@imap")]:
            (tmp_path / name).write_text(text)

    def run(*arguments):
        done = subprocess.run(
            [program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_systemd_finds_nothing_wrong_with_the_units(analyze):
    units = ["./mailsuite.service", "./mailsuite@imap.service", "./mailsuite.socket"]
    assert analyze("verify", "--man=no", *units) == (0, "")


@pytest.mark.parametrize("unit", ["mailsuite.service", "mailsuite@imap.service"])
def test_systemd_calls_the_services_hardened(analyze, unit):
    status, said = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", unit)
    assert status == 0, said
    assert "Overall exposure level" in said


def _words(line, replaced):
    for old, new in replaced.items():
        line = line.replace(old, new)
    program, *words = shlex.split(line)
    ours = {"/opt/mailsuite/bin/mailsuite": COMMAND, "/opt/mailsuite/bin/twistd": TWISTD}
    return [*ours.get(program, [program]), *words]


@pytest.mark.parametrize(
    ("unit", "instance", "greets"),
    [
        ("mailsuite.service", "", ["smtp", "imap", "pop3"]),
        ("mailsuite@.service", "smtp", ["smtp"]),
        ("mailsuite@.service", "imap", ["imap"]),
        ("mailsuite@.service", "pop3", ["pop3"]),
    ],
)
def test_the_commands_of_the_units_start_reload_and_stop_the_server(tmp_path, unit, instance, greets):
    service = Unit(SYSTEMD / unit)["Service"]
    server = MadeServer(tmp_path / "srv", environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    (tmp_path / "run").mkdir()
    replaced = {"/srv/mail": str(server.folder), "/run/mailsuite": str(tmp_path / "run"), "%i": instance}
    server.arguments = lambda: _words(service["ExecStart"], replaced)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        server.start()
        try:
            assert manager.recv(1000).startswith(b"READY=1")
            for name in greets:
                with socket.create_connection(("127.0.0.1", server.port(name)), 10) as client:
                    assert client.recv(100)
            pidfile = tmp_path / "run" / "mailsuite.pid"
            assert not pidfile.exists() or int(pidfile.read_text()) == server.process.pid
            assert pidfile.exists() is (not instance)
            subprocess.run(_words(service["ExecReload"], {"$MAINPID": str(server.process.pid)}), check=True)
            assert manager.recv(1000).startswith(b"RELOADING=1")
            assert manager.recv(1000).startswith(b"READY=1")
        finally:
            assert server.stop() == 0
        assert manager.recv(1000).startswith(b"STOPPING=1")
    assert service["Type"] == "notify"


def test_the_time_to_stop_is_longer_than_the_drain():
    from mailsuite.service.listeners import DRAIN_SECONDS

    for unit in ("mailsuite.service", "mailsuite@.service"):
        assert int(Unit(SYSTEMD / unit)["Service"]["TimeoutStopSec"]) >= 2 * DRAIN_SECONDS
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert int(compose["services"]["mailsuite"]["stop_grace_period"].removesuffix("s")) >= 2 * DRAIN_SECONDS


def test_the_socket_unit_names_our_ports_in_the_order_of_its_endpoints():
    path = SYSTEMD / "mailsuite.socket"
    ports = [int(value) for value in Unit(path).all["ListenStream"]]
    lines = re.findall(r'^#   (\w+) = \["systemd:domain=INET6:index=(\d+)"\]$', path.read_text(), re.MULTILINE)
    assert {name: ports[int(index)] for name, index in lines} == SERVED
    assert len(ports) == len(lines)


def _allowed_calls(names, analyze):
    """Follow the groups of system calls that systemd knows."""
    allowed = set()
    for name in names:
        if not name.startswith("@"):
            allowed.add(name)
            continue
        status, said = analyze("syscall-filter", "--no-pager", name)
        assert status == 0, said
        inside = [line.strip() for line in said.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
        allowed |= _allowed_calls(inside, analyze)
    return allowed


@pytest.mark.slow
def test_the_server_makes_no_system_call_that_the_units_forbid(tmp_path, analyze):
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; Debian package strace")
    filters = Unit(SYSTEMD / "mailsuite.service").all["SystemCallFilter"]
    assert filters == Unit(SYSTEMD / "mailsuite@.service").all["SystemCallFilter"]
    allowed = _allowed_calls([name for value in filters if value[0] != "~" for name in value.split()], analyze)
    for value in filters:
        if value[0] == "~":
            allowed -= _allowed_calls(value[1:].split(), analyze)
    assert "read" in allowed
    assert "mount" not in allowed
    trace = tmp_path / "trace"
    server = MadeServer(tmp_path / "srv", "", environment={"PYTHONDONTWRITEBYTECODE": "1"})
    command = server.arguments()
    server.arguments = lambda: [strace, "-f", "-qq", "-o", str(trace), "-I", "2", *command]
    server.start()
    login = server.add_account()
    server.send(login, "Subject: hello\r\n\r\nhello\r\n")
    server.eventually(lambda: server.count(login), lambda count: count == 1)
    server.command("stop")
    assert server.process.wait(60) == 0
    calls = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.MULTILINE))
    assert {"accept4", "fsync"} & calls
    if os.geteuid() == 0:
        calls -= {"fchown"}  # of root alone: whoever the server becomes must be able to use its files
    assert calls - allowed == set()
    families = set(re.findall(r"^\d+ +socket\((AF_\w+)", trace.read_text(errors="replace"), re.MULTILINE))
    assert families <= set(Unit(SYSTEMD / "mailsuite.service")["Service"]["RestrictAddressFamilies"].split())


# the page


def test_the_page_opens_the_ports_that_are_served():
    text = (ROOT / "docs" / "deployment.rst").read_text()
    listed = re.findall(r"(?:ufw allow .* port|--dports) ([\d,]+)", text)
    assert len(listed) == 3
    for ports in listed:
        assert {int(port) for port in ports.split(",")} == set(SERVED.values())


def test_the_page_names_files_that_exist_and_the_user_of_the_units():
    text = (ROOT / "docs" / "deployment.rst").read_text()
    named = set(re.findall(r"``(etc/[\w./@-]*[\w-])``", text))
    assert named == {
        *(f"etc/systemd/{path.name}" for path in SYSTEMD.iterdir()),
        "etc/docker",
        "etc/docker/Dockerfile",
        "etc/logrotate.d/mailsuite",
    }
    assert all((ROOT / name).exists() for name in named)
    service = Unit(SYSTEMD / "mailsuite.service")["Service"]
    assert re.search(
        rf"^    useradd .*--home-dir {service['ReadWritePaths']} .* {service['User']}$", text, re.MULTILINE
    )


def test_the_commands_on_the_page_are_ours():
    text = re.sub(r"\\\n +", "", (ROOT / "docs" / "deployment.rst").read_text())
    lines = re.findall(
        r"^ +(?:.*/opt/mailsuite/bin/mailsuite|docker (?:run|compose).* mailsuite) ((?:-c |[a-z]).+)$",
        text,
        re.MULTILINE,
    )
    assert len(lines) > 5
    for line in lines:
        check_command(shlex.split(line))


# logrotate


def test_logrotate_and_the_unit_agree_about_folder_user_and_process_id():
    text = (ROOT / "etc" / "logrotate.d" / "mailsuite").read_text()
    service = Unit(SYSTEMD / "mailsuite.service")["Service"]
    assert service["ReadWritePaths"] in text
    assert f"su {service['User']} {service['Group']}" in text
    assert shlex.split(service["ExecStart"])[-1] in text


# containers


def _dockerfile():
    """Read the instructions of the Dockerfile, as pairs."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


def _named(name):
    return [value for instruction, value in _dockerfile() if instruction == name]


def _ignored(path):
    """Tell whether .dockerignore keeps a file out of the build."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.lstrip("!").removeprefix("**/")
        if not line or line.startswith("#"):
            continue
        if (
            fnmatch.fnmatch(path, pattern)
            or path.startswith(f"{pattern}/")
            or fnmatch.fnmatch(Path(path).name, pattern)
        ):
            ignored = not line.startswith("!")
    return ignored


def _copied():
    """Name what the image takes from the source, and where to."""
    for value in _named("COPY"):
        if not value.startswith("--from="):
            *sources, target = value.split()
            for source in sources:
                yield source, target


def test_everything_that_the_image_copies_is_there_and_not_ignored():
    copied = [source for source, _ in _copied()]
    assert "mailsuite" in copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert not _ignored(source), source
    assert _ignored("tests/conftest.py")
    assert _ignored(".git/config")
    assert _ignored("mailsuite/cli/__pycache__/main.pyc")


def test_the_image_exposes_the_ports_that_are_served():
    (exposed,) = _named("EXPOSE")
    assert {int(port) for port in exposed.split()} == set(SERVED.values())


def test_the_commands_of_the_image_are_ours():
    (entry,) = [json.loads(value) for value in _named("ENTRYPOINT")]
    (command,) = [json.loads(value) for value in _named("CMD")]
    (health,) = _named("HEALTHCHECK")
    assert entry == ["mailsuite"]
    check_command(command)
    program, *words = json.loads(health.partition("CMD ")[2])
    assert program == "mailsuite"
    check_command(words)
    assert _named("USER") == ["mailsuite"]


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml"])
def test_the_commands_in_the_comments_are_ours(file):
    found = re.findall(r"^#     docker (?:run|compose run) --rm .*?mailsuite (.+)$", (DOCKER / file).read_text(), re.M)
    assert found
    for line in found:
        check_command(shlex.split(line))


def test_compose_names_files_ports_and_settings_that_exist(tmp_path):
    compose = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    service = compose["services"]["mailsuite"]
    context = (DOCKER / service["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / service["build"]["dockerfile"]).is_file()
    assert (DOCKER / f"{service['env_file']}.example").is_file()
    assert {tuple(port.split(":")) for port in service["ports"]} == {(str(n), str(n)) for n in SERVED.values()}
    (volume,) = _named("VOLUME")
    assert [mount.partition(":") for mount in service["volumes"]] == [("mail", ":", volume)]
    assert {"mail", "redis"} == set(compose["volumes"])
    lines = (DOCKER / "mailsuite.env.example").read_text().splitlines()
    variables = dict(line.lstrip("#").split("=", 1) for line in lines if re.match(r"#?MAILSUITE_\w+=", line))
    assert f"redis://{'redis'}:" in variables["MAILSUITE_REDIS__URL"]
    assert "redis" in compose["services"]
    (tmp_path / "mailsuite.toml").write_text("")
    assert load_config(str(tmp_path / "mailsuite.toml"), variables).log.format == "json"


@pytest.mark.slow
def test_what_the_image_copies_is_enough_to_install_the_program(tmp_path):
    """Run the step that installs it, on a copy of just those files; what we depend on is here already."""
    for source, target in _copied():
        if target.startswith("/src"):
            to = tmp_path / target.lstrip("/")
            to = to / source if target.endswith("/") else to
            to.parent.mkdir(parents=True, exist_ok=True)
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, to, ignore=ignore) if (ROOT / source).is_dir() else shutil.copy(
                ROOT / source, to
            )
    (step,) = [value for value in _named("RUN") if "pip install" in value]
    for name in ("/opt/mailsuite", "/src"):
        step = step.replace(name, f"{tmp_path}{name}")
    step = step.replace("python3 -m venv", f"{shlex.quote(sys.executable)} -m venv")
    packages = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PYTHONPATH": packages}
    environment = {**os.environ, **offline, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        ["sh", "-c", step], env=environment, capture_output=True, text=True, check=False, timeout=170, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    program = tmp_path / "opt" / "mailsuite" / "bin" / "mailsuite"
    where = "import mailsuite; print(mailsuite.__file__)"
    assert {"mailsuite", "create_user", "mailserver", "mail-user"} <= {path.name for path in program.parent.iterdir()}
    python = program.parent / "python"
    inside = next((tmp_path / "opt" / "mailsuite" / "lib").glob("python3*/site-packages"))
    environment["PYTHONPATH"] = f"{inside}{os.pathsep}{packages}"
    run = {"env": environment, "capture_output": True, "text": True, "check": True, "timeout": 60, "cwd": "/"}
    assert subprocess.run([python, "-c", where], **run).stdout.startswith(str(tmp_path))
    assert subprocess.run([program, "--version"], **run).stdout.startswith("mailsuite")
    subprocess.run([python, "-c", "import twisted.plugins.mailsuite_plugin"], **run)
