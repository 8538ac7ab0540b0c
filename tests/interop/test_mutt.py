"""mutt lists a mailbox and moves messages."""

import shlex
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop


def test_mutt_lists_and_moves(demo, account, program, run, tmp_path: Path) -> None:
    target = account()
    for number in range(3):
        demo.send(target, f"Subject: letter {number}\r\n\r\nbody\r\n")
    demo.eventually(lambda: demo.count(target), lambda count: count == 3)
    user = target.email.replace("@", "%40")
    url = f"imaps://{user}@localhost:{demo.port('imaps')}"
    configuration = tmp_path / "muttrc"
    configuration.write_text(
        f'set imap_user="{target.email}"\nset imap_pass="{target.password}"\n'
        f'set folder="{url}/"\nset spoolfile="{url}/INBOX"\n'
        f'set certificate_file="{demo.certificate}"\nset ssl_verify_host=no\n'
        "set quit=yes\nset delete=yes\nset move=no\nset confirmappend=no\nset confirmcreate=no\nset wait_key=no\n"
    )
    keys = 'push "<tag-pattern>~s letter\\ 1<enter><tag-prefix><save-message>=Archive<enter><sync-mailbox><quit>"'
    mutt = shlex.join([program("mutt", "mutt"), "-n", "-F", str(configuration), "-e", keys])
    shown = run([program("script", "bsdutils"), "-qec", mutt, "/dev/null"]).stdout
    assert "letter 0" in shown
    assert demo.count(target) == 2
    assert demo.count(target, "Archive") == 1
