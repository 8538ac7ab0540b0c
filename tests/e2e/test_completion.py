"""Real shells complete our commands."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from demo_server import MadeServer

from mailsuite.cli.main import COMMANDS

PACKAGES = {"bash": "bash", "zsh": "zsh", "fish": "fish"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with two accounts and a program of the name that shells know."""
    folder = tmp_path_factory.mktemp("completion")
    made = MadeServer(folder / "srv")
    for name in ("anna", "annika", "bob"):
        made.command("user", "add", f"{name}@example.test", "--password", "correct horse 1")
    (folder / "bin").mkdir()
    program = folder / "bin" / "mailsuite"
    code = "from mailsuite.cli.main import main; main(prog_name='mailsuite')"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -c {shlex.quote(code)} "$@"\n')
    program.chmod(0o755)
    made.environment |= {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "MAILSUITE_CONFIG": str(made.folder / "mailsuite.toml"),
    }
    return made


def _run(server, shell, script):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed; Debian package {PACKAGES[shell]}")
    options = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *options, "-c", script], env=server.environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def _bash(server, *words):
    """Do what bash does when the tab key is pressed behind the words."""
    listed = " ".join(shlex.quote(word) for word in words)
    return _run(
        server,
        "bash",
        f"""
        source <(mailsuite completion bash)
        registered=$(complete -p mailsuite)
        set -- ${{registered##*-F }}
        COMP_WORDS=({listed}) COMP_CWORD={len(words) - 1}
        $1 mailsuite
        printf '%s\\n' "${{COMPREPLY[@]}}"
        """,
    )


def test_bash_completes_commands(server):
    assert _bash(server, "mailsuite", "") == list(COMMANDS)
    assert _bash(server, "mailsuite", "us") == ["user"]
    assert sorted(_bash(server, "mailsuite", "user", "re")) == ["remove", "rename"]


def test_bash_completes_options(server):
    assert _bash(server, "mailsuite", "user", "add", "--password-") == ["--password-stdin", "--password-hash"]
    assert _bash(server, "mailsuite", "--v") == ["--version"]


def test_bash_completes_accounts_and_domains(server):
    assert _bash(server, "mailsuite", "user", "info", "an") == ["anna@example.test", "annika@example.test"]
    assert _bash(server, "mailsuite", "user", "list", "--domain", "ex") == ["example.test"]
    assert _bash(server, "mailsuite", "user", "add", "an") == [""]
    config = str(server.folder / "mailsuite.toml")
    assert _bash(server, "mailsuite", "-c", config, "mailbox", "list", "bo") == ["bob@example.test"]
    assert _bash(server, "mailsuite", "-c", "/nowhere", "mailbox", "list", "bo") == [""]


def test_fish_completes_with_explanations(server):
    script = "mailsuite completion fish | source; complete --do-complete 'mailsuite user inf'"
    assert _run(server, "fish", script) == ["info\tShow one account."]


def test_zsh_takes_the_script(server):
    script = "autoload -U compinit; compinit -u; source <(mailsuite completion zsh); print -- $_comps[mailsuite]"
    assert _run(server, "zsh", script) == ["_mailsuite_completion"]


def test_a_shell_that_is_not_known_is_wrong_use(server):
    server.command("completion", "tcsh", expect=2)


@pytest.mark.parametrize(
    "words", ["mailsuite ", "mailsuite user ", "mailsuite queue ", "mailsuite demo --", "mailsuite init -"]
)
def test_completing_a_word_imports_nothing_heavy(words):
    code = (
        "import sys\nfrom mailsuite.cli.main import main\n"
        "try:\n    main(prog_name='mailsuite')\nexcept SystemExit:\n    pass\n"
        "heavy = {'twisted', 'sqlalchemy', 'alembic', 'rich', 'cryptography', 'passlib', 'zope.interface'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or None)"
    )
    environment = {
        **os.environ,
        "_MAILSUITE_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("plain,")
