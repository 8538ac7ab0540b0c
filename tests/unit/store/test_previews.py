"""What messages begin with: made on the store's thread, kept in the index."""

import time


def test_previews_that_take_long_give_up_the_lane_and_are_all_made(bench, monkeypatch):
    bench.append(*(b"Subject: x\r\n\r\n%d" % number for number in range(20)))
    box = bench.box()
    jobs = []
    run = box._run
    monkeypatch.setattr(type(box), "_run", lambda _, job: (jobs.append(job), run(job))[1])

    def slow(content):
        time.sleep(0.02)
        return content.rpartition(b"\n")[2].decode()

    monkeypatch.setattr("mailsuite.store.reading.make_preview", slow)
    wanted = {uid: b"%d" % (uid - 1) for uid in range(1, 21)}
    assert bench.go(box.previews(list(range(20, 0, -1)), make=True)) == wanted
    assert len(jobs) >= 5
    assert bench.go(box.previews(list(range(1, 21)), make=False)) == wanted


def test_an_index_of_the_version_before_previews_makes_them(bench):
    bench.append(b"Subject: x\r\n\r\nwords")
    for statement in (
        "DROP TABLE preview",
        "DROP TABLE annotation",
        "DROP TABLE annotation_unwritten",
        "DROP TABLE acl",
        "DROP TABLE acl_unwritten",
        "PRAGMA user_version=3",
    ):
        bench.index.connection.execute(statement)
    bench.reopen()
    box = bench.box()
    assert bench.go(box.previews([1], make=False)) == {}
    assert bench.go(box.previews([1], make=True)) == {1: b"words"}
    assert bench.go(box.previews([1], make=False)) == {1: b"words"}
