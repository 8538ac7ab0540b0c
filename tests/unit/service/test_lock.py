import threading

import pytest

from mailsuite.errors import Kind, MailError
from mailsuite.service import lock as lock_module
from mailsuite.service.lock import RunLock
from mailsuite.service.roles import ALL_ROLES, Role


def _refused(lock):
    with pytest.raises(MailError) as caught:
        lock.acquire()
    return caught.value


def test_two_servers_never_run_on_one_folder(tmp_path):
    first = RunLock(str(tmp_path / "run"))
    first.acquire()
    error = _refused(RunLock(str(tmp_path / "run")))
    assert error.kind is Kind.CONFLICT
    assert str(tmp_path) in str(error)
    first.release()
    second = RunLock(str(tmp_path / "run"))
    second.acquire()
    second.release()


def test_different_roles_run_side_by_side(tmp_path):
    imap = RunLock(str(tmp_path), {Role.IMAP})
    pop3 = RunLock(str(tmp_path), {Role.POP3})
    imap.acquire()
    pop3.acquire()
    _refused(RunLock(str(tmp_path), {Role.IMAP}))
    _refused(RunLock(str(tmp_path), ALL_ROLES))
    imap.release()
    pop3.release()


def test_a_refused_server_keeps_no_lock(tmp_path):
    imap = RunLock(str(tmp_path), {Role.IMAP})
    imap.acquire()
    _refused(RunLock(str(tmp_path), ALL_ROLES))
    smtp = RunLock(str(tmp_path), {Role.SMTP})
    smtp.acquire()
    smtp.release()
    imap.release()


def test_a_file_that_was_left_behind_does_not_block(tmp_path):
    (tmp_path / "smtp.lock").write_text("1\n")
    lock = RunLock(str(tmp_path))
    lock.acquire()
    lock.release()
    lock.release()


def test_a_server_waits_for_the_workers_of_one_that_was_killed(tmp_path):
    orphan = RunLock(str(tmp_path), {Role.SMTP}, worker="worker-1")
    orphan.acquire()
    ending = threading.Timer(0.2, orphan.release)
    ending.start()
    lock = RunLock(str(tmp_path))
    lock.acquire()
    assert ending.finished.is_set()
    ending.join()
    worker = RunLock(str(tmp_path), {Role.SMTP}, worker="worker-1")
    worker.acquire()  # a server has the locks of its workers only while it looks
    worker.release()
    lock.release()


def test_a_server_does_not_wait_for_ever_and_not_for_workers_of_other_roles(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "ORPHANS_SECONDS", 0.0)
    orphan = RunLock(str(tmp_path), {Role.SMTP}, worker="worker-0")
    orphan.acquire()
    error = _refused(RunLock(str(tmp_path)))
    assert error.kind is Kind.CONFLICT
    imap = RunLock(str(tmp_path), {Role.IMAP})
    imap.acquire()
    imap.release()
    orphan.release()
    lock = RunLock(str(tmp_path))
    lock.acquire()
    lock.release()
