"""A search through messages that take long leaves the lane to others in between."""

import time


def test_a_slow_search_gives_up_the_lane_and_still_finds_all(bench, monkeypatch):
    bench.append(*(b"Subject: %d\r\n\r\nx" % number for number in range(20)))
    box = bench.box()
    jobs = []
    run = box._run
    monkeypatch.setattr(type(box), "_run", lambda _, job: (jobs.append(job), run(job))[1])

    def slow(read, size):
        time.sleep(0.02)
        return int(read(9, size).split(b"\r")[0]) % 2 == 0

    found = bench.go(box.search_text(list(range(20, 0, -1)), slow))
    assert list(found) == list(range(1, 21, 2))
    assert len(jobs) >= 5
