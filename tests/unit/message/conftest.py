import mmap

import pytest


class CountingContent:
    """Counts the octets that are searched and copied."""

    def __init__(self, content):
        self.content = content
        self.searched = 0
        self.copied = 0
        self.calls = 0

    def __len__(self):
        return len(self.content)

    def __getitem__(self, part):
        found = self.content[part]
        self.copied += len(found)
        self.calls += 1
        return found

    def find(self, wanted, start, end):
        found = self.content.find(wanted, start, end)
        stop = min(end, len(self.content))
        self.searched += max((found if found >= 0 else stop) - start, 0)
        self.calls += 1
        return found


@pytest.fixture
def counting():
    return CountingContent


@pytest.fixture
def mapped():
    """Give the same octets as a memory map."""
    maps = []

    def make(content):
        found = mmap.mmap(-1, max(len(content), 1))
        found[: len(content)] = content
        maps.append(found)
        return found

    yield make
    for found in maps:
        found.close()
