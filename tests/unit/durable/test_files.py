import errno
import os
import stat

import pytest

from mailsuite.durable import Disk, boot_id
from mailsuite.durable import files as files_module
from mailsuite.durable.files import SYNC_TOGETHER
from mailsuite.testing.faults import FaultyDisk


@pytest.fixture
def disk():
    return FaultyDisk()


def operations(disk):
    return [call.operation for call in disk.trace]


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_files_and_folders_are_their_owners_alone(tmp_path, disk):
    disk.make_folders(str(tmp_path / "a" / "b"))
    disk.write_file(str(tmp_path / "a" / "b" / "c"), [b"x"], sync=False)
    assert mode_of(tmp_path / "a") == mode_of(tmp_path / "a" / "b") == 0o700
    assert mode_of(tmp_path / "a" / "b" / "c") == 0o600


def test_a_symbolic_link_is_not_opened(tmp_path, disk):
    (tmp_path / "real").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError) as caught:
        disk.open(str(tmp_path / "link"), os.O_RDONLY)
    assert caught.value.errno == errno.ELOOP


def test_descriptors_are_not_inherited(tmp_path, disk):
    path = str(tmp_path / "x")
    descriptor = disk.open(path, os.O_RDWR | os.O_CREAT)
    assert not os.get_inheritable(descriptor)
    disk.close(descriptor, path)


def test_write_goes_on_until_all_is_written(tmp_path, disk, monkeypatch):
    path = str(tmp_path / "x")
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:3]))
    disk.write_file(path, [b"0123456789", memoryview(b"abc")], sync=True)
    assert disk.read_file(path) == b"0123456789abc"


def test_write_file_syncs_only_when_asked(tmp_path, disk):
    path = str(tmp_path / "x")
    assert disk.write_file(path, [b"ab", b"c"], sync=False) == 3
    assert operations(disk) == ["open", "write", "write", "close"]
    disk.reset()
    disk.write_file(path, [b"z"], sync=True)
    assert operations(disk) == ["open", "write", "fsync", "close"]
    assert disk.read_file(path) == b"z", "what was there is gone"


def test_replace_file_syncs_the_octets_before_the_name_and_the_name_at_the_end(tmp_path, disk):
    path = str(tmp_path / "x")
    disk.replace_file(path, b"new")
    assert operations(disk) == ["open", "write", "fsync", "close", "rename", "open", "fsync", "close"]
    assert disk.read_file(path) == b"new"
    assert os.listdir(tmp_path) == ["x"]


def test_replace_file_leaves_the_old_or_the_new_content_wherever_it_fails(tmp_path):
    path = str(tmp_path / "x")
    for number in range(1, 9):
        Disk().replace_file(path, b"old")
        disk = FaultyDisk(fail_at=number)
        with pytest.raises(OSError):
            disk.replace_file(path, b"new")
        assert Disk().read_file(path) == (b"old" if number <= 5 else b"new"), number


def test_make_folders_syncs_each_name_and_makes_none_twice(tmp_path, disk):
    path = str(tmp_path / "a" / "b")
    disk.make_folders(path)
    assert operations(disk) == ["mkdir", "open", "fsync", "close"] * 2
    disk.reset()
    disk.make_folders(path)
    assert operations(disk) == []


def test_make_folders_below_a_symbolic_link(tmp_path, disk):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    disk.make_folders(str(tmp_path / "link" / "a"))
    assert (tmp_path / "real" / "a").is_dir()


def test_mkdir_of_a_folder_that_is_there_is_fine(tmp_path, disk):
    disk.mkdir(str(tmp_path))


def test_link_gives_a_second_name_and_takes_none_away(tmp_path, disk):
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    disk.write_file(old, [b"x"], sync=False)
    disk.link(old, new)
    assert os.stat(new).st_nlink == 2
    with pytest.raises(FileExistsError):
        disk.link(old, new)


def test_rename_replaces(tmp_path, disk):
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    disk.write_file(old, [b"x"], sync=False)
    disk.write_file(new, [b"y"], sync=False)
    disk.rename(old, new)
    assert disk.read_file(new) == b"x"


def test_remove_says_whether_it_was_there(tmp_path, disk):
    path = str(tmp_path / "x")
    assert not disk.remove(path)
    disk.write_file(path, [b"x"], sync=False)
    assert disk.remove(path)
    with pytest.raises(FileNotFoundError):
        disk.unlink(path)


def test_pread_gives_fewer_octets_only_at_the_end(tmp_path, disk, monkeypatch):
    path = str(tmp_path / "x")
    disk.write_file(path, [b"0123456789"], sync=False)
    real = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, length, offset: real(descriptor, min(length, 2), offset))
    with disk.opened(path) as descriptor:
        assert disk.pread(descriptor, 5, 3, path) == b"34567"
        assert disk.pread(descriptor, 50, 8, path) == b"89"
        assert disk.pread(descriptor, 5, 50, path) == b""


def test_read_file_up_to_a_limit(tmp_path, disk):
    path = str(tmp_path / "x")
    disk.write_file(path, [b"0123456789"], sync=False)
    assert disk.read_file(path) == b"0123456789"
    assert disk.read_file(path, 4) == b"0123"
    assert disk.read_file(path, 40) == b"0123456789"


def test_stat_listdir_rmdir_utime_and_room(tmp_path, disk):
    folder = str(tmp_path / "a")
    disk.mkdir(folder)
    path = os.path.join(folder, "x")
    disk.write_file(path, [b"xyz"], sync=False)
    disk.utime(path, 1000.5)
    assert disk.stat(path).st_size == 3
    assert disk.stat(path).st_mtime == 1000.5
    assert disk.listdir(folder) == ["x"]
    with pytest.raises(OSError):
        disk.rmdir(folder)
    disk.unlink(path)
    disk.rmdir(folder)
    assert 0 < disk.free_octets(str(tmp_path)) < 2**63


def test_stat_looks_at_the_link_and_not_behind_it(tmp_path, disk):
    (tmp_path / "link").symlink_to("nowhere")
    assert stat.S_ISLNK(disk.stat(str(tmp_path / "link")).st_mode)


def test_sync_file_system(tmp_path, disk):
    (tmp_path / "link").symlink_to(tmp_path)
    disk.sync_file_system(str(tmp_path / "link"))
    assert operations(disk) == ["open", "syncfs", "close"]


def test_sync_file_system_says_when_the_system_cannot(tmp_path, disk, monkeypatch):
    monkeypatch.setattr(files_module, "_SYNCFS", None)
    with pytest.raises(OSError) as caught:
        disk.sync_file_system(str(tmp_path))
    assert caught.value.errno == errno.ENOSYS


def test_sync_file_system_reports_the_kernels_error(tmp_path, disk, monkeypatch):
    monkeypatch.setattr(files_module, "_SYNCFS", lambda descriptor: -1)
    monkeypatch.setattr(files_module.ctypes, "get_errno", lambda: errno.EIO)
    with pytest.raises(OSError) as caught:
        disk.sync_file_system(str(tmp_path))
    assert caught.value.errno == errno.EIO


CALLS = {
    "open": lambda disk, folder: disk.open(f"{folder}/x", os.O_RDONLY),
    "write": lambda disk, folder: disk.write(-1, b"x", f"{folder}/x"),
    "fsync": lambda disk, folder: disk.fsync(-1, f"{folder}/x"),
    "rename": lambda disk, folder: disk.rename(f"{folder}/x", f"{folder}/y"),
    "link": lambda disk, folder: disk.link(f"{folder}/x", f"{folder}/y"),
    "unlink": lambda disk, folder: disk.unlink(f"{folder}/x"),
    "mkdir": lambda disk, folder: disk.mkdir(f"{folder}/new"),
    "rmdir": lambda disk, folder: disk.rmdir(f"{folder}/empty"),
    "listdir": lambda disk, folder: disk.listdir(folder),
    "stat": lambda disk, folder: disk.stat(f"{folder}/x"),
    "read": lambda disk, folder: disk.pread(-1, 1, 0, f"{folder}/x"),
    "utime": lambda disk, folder: disk.utime(f"{folder}/x", 1),
}


@pytest.mark.parametrize("operation", CALLS)
def test_every_call_passes_the_seam_before_it_reaches_the_disk(tmp_path, operation):
    (tmp_path / "x").write_bytes(b"kept")
    (tmp_path / "empty").mkdir()
    before = sorted(os.listdir(tmp_path))
    disk = FaultyDisk(fail_at=1, error=errno.ENOSPC)
    with pytest.raises(OSError) as caught:
        CALLS[operation](disk, str(tmp_path))
    assert caught.value.errno == errno.ENOSPC
    assert operations(disk) == [operation]
    assert sorted(os.listdir(tmp_path)) == before
    assert os.stat(tmp_path / "x").st_mtime > 1


def test_close_closes_even_when_it_raises(tmp_path):
    disk = FaultyDisk(fail_at=1, operations={"close"})
    path = str(tmp_path / "x")
    descriptor = disk.open(path, os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError):
        disk.close(descriptor, path)
    with pytest.raises(OSError) as caught:
        os.fstat(descriptor)
    assert caught.value.errno == errno.EBADF


def test_no_descriptor_is_left_open_by_a_failure(tmp_path):
    path = str(tmp_path / "x")
    before = len(os.listdir("/proc/self/fd"))
    for operation in ("write", "fsync", "close"):
        disk = FaultyDisk(fail_at=1, operations={operation})
        with pytest.raises(OSError):
            disk.write_file(path, [b"x"], sync=True)
        if operation != "write":
            with pytest.raises(OSError):
                FaultyDisk(fail_at=1, operations={operation}).sync_folder(str(tmp_path))
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_boot_id_stays_the_same_until_the_machine_restarts(monkeypatch, tmp_path):
    from mailsuite.durable import boot

    assert boot_id() == boot_id()
    monkeypatch.setattr(boot, "_BOOT_ID", tmp_path / "absent")
    assert not boot_id()


@pytest.mark.parametrize("count", [0, 1, 3, SYNC_TOGETHER, SYNC_TOGETHER + 2])
def test_several_files_are_brought_to_disk_together(tmp_path, count):
    paths = [str(tmp_path / str(number)) for number in range(count)]
    for path in paths:
        Disk().write_file(path, [b"x"], sync=False)
    disk = FaultyDisk()
    disk.sync_files(paths)
    assert [call.path for call in disk.trace if call.operation == "fsync"] == paths
    first = operations(disk)[: 2 * min(count, SYNC_TOGETHER)]
    assert first == ["open"] * (len(first) // 2) + ["fsync"] * (len(first) // 2)


@pytest.mark.parametrize("operation", ["open", "fsync"])
@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_file_that_is_not_brought_to_disk_is_told(tmp_path, operation, fail_at):
    paths = [str(tmp_path / str(number)) for number in range(3)]
    for path in paths:
        Disk().write_file(path, [b"x"], sync=False)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Input/output"):
        FaultyDisk(operations={operation}, fail_at=fail_at).sync_files(paths)
    assert len(os.listdir("/proc/self/fd")) == before
