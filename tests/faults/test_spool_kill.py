"""kill -9 at any moment: what was acknowledged is delivered exactly once to each recipient."""

import collections
import importlib.util
import os
import pathlib
import random
import re
import subprocess
import sys
import time

from store_at_once import ReactorAtOnce

from mailsuite.durable import Disk, InlineGroup, InlineLane
from mailsuite.mta import Spool

CHILD = pathlib.Path(__file__).with_name("spool_child.py")
ROUNDS = 4
ROUND_SECONDS = (0.3, 1.0)
START_SECONDS = 30


def load_child():
    spec = importlib.util.spec_from_file_location("spool_child", CHILD)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_until_killed(folder, prefix, seconds):
    child = subprocess.Popen(
        [sys.executable, str(CHILD), folder, prefix], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        first = child.stdout.readline()
        assert first, child.stderr.read().decode()
        time.sleep(seconds)
    finally:
        child.kill()
    output, errors = child.communicate()
    assert not errors, errors.decode()
    return (first + output).decode().split()


def test_nothing_acknowledged_is_lost_or_delivered_twice(tmp_path):
    child = load_child()
    folder = str(tmp_path)
    acknowledged = []
    for number in range(ROUNDS):
        acknowledged += run_until_killed(folder, f"round{number}", random.uniform(*ROUND_SECONDS))
    store = child.FolderStore(os.path.join(folder, "mail"))
    store.start()
    spool = Spool(
        os.path.join(folder, "spool"),
        disk=Disk(),
        store=store,
        reactor=ReactorAtOnce(),
        group_thread=InlineGroup,
        file_lane=InlineLane(),
        sweeper_thread=False,
    )
    spool.start()
    while spool.sweep():
        pass
    spool.stop()
    store.stop()
    delivered = collections.Counter()
    for name in os.listdir(os.path.join(folder, "mail")):
        if name.endswith(".tmp"):
            continue
        content = Disk().read_file(os.path.join(folder, "mail", name))
        token = re.search(rb"^Subject: (\S+)\r$", content, re.MULTILINE)[1].decode()
        assert content.endswith(b"x\r\n")
        delivered[token, name.rpartition(".")[0].rpartition(".")[2] or name] += 1
    recipients = collections.Counter(token for token, _ in delivered.elements())
    assert len(acknowledged) > ROUNDS
    assert {token for token in acknowledged if recipients[token] != 2} == set()
    assert set(recipients.values()) == {2}, "not even what was not acknowledged reaches only some of its recipients"
    assert os.listdir(os.path.join(folder, "spool", "body")) == []
