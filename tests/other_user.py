"""Run our programs as another user of the machine."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def python_for(user: pwd.struct_passwd) -> tuple[str, dict[str, str]] | None:
    """Find a Python with all we need that another user may run, and the environment it takes."""
    packages = os.pathsep.join([str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))])
    for python in (sys.executable, "/usr/bin/python3"):
        environment = {"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
        try:
            done = subprocess.run(
                [python, "-c", "import mailsuite.service, mailsuite.cli.main"],
                user=user.pw_uid,
                group=user.pw_gid,
                extra_groups=[],
                env=environment,
                cwd="/",
                capture_output=True,
                check=False,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python, environment
    return None
