r"""
Flags as numbers, letters and sets.

A message's flags are one number: five bits for the system flags (RFC 3501 section 2.3.2) and, above them, the number of
a set of keywords. Equal flags are the same frozenset, so that whoever keeps a mailbox in memory keeps few sets.
"""

import re
from collections.abc import Iterable

from mailsuite.errors import Kind, MailError

ANSWERED, FLAGGED, DELETED, SEEN, DRAFT = 1, 2, 4, 8, 16
SYSTEM_MASK = 31
SET_SHIFT = 5
KEYWORD_MAX_OCTETS = 50
LETTERED_KEYWORDS = 26

_SYSTEM = {"\\Answered": ANSWERED, "\\Flagged": FLAGGED, "\\Deleted": DELETED, "\\Seen": SEEN, "\\Draft": DRAFT}
_SYSTEM_LOWER = {name.lower(): name for name in _SYSTEM}
_LETTERS = {"D": DRAFT, "F": FLAGGED, "R": ANSWERED, "S": SEEN, "T": DELETED}
_KEYWORD = re.compile(r"[^\x00-\x20\x7f-\U0010ffff(){%*\"\\\]]+")


def check_flags(flags: Iterable[str]) -> frozenset[str]:
    r"""
    Give flags their one form; ``\Recent``, which nobody can set, is left out.

    Raises:
        MailError: INVALID, for what is no flag or no keyword.
    """
    checked = set()
    for flag in flags:
        lower = flag.lower()
        if lower == "\\recent":
            continue
        if lower in _SYSTEM_LOWER:
            checked.add(_SYSTEM_LOWER[lower])
        elif _KEYWORD.fullmatch(flag) and len(flag) <= KEYWORD_MAX_OCTETS:
            checked.add(flag)
        else:
            raise MailError(Kind.INVALID, "that flag cannot be stored")
    return frozenset(checked)


def split_flags(flags: Iterable[str]) -> tuple[int, frozenset[str]]:
    """Part flags into the bits of the system flags and the keywords."""
    bits = 0
    keywords = set()
    for flag in flags:
        bit = _SYSTEM.get(flag)
        if bit is None:
            keywords.add(flag)
        else:
            bits |= bit
    return bits, frozenset(keywords)


class FlagSets:
    """
    What the numbers of one account mean.

    Args:
        keyword_sets: number and keywords of each set; 0, the empty set, need not be among them.
    """

    def __init__(self, keyword_sets: Iterable[tuple[int, str]] = ()) -> None:
        self.sets: dict[int, frozenset[str]] = {}
        self.numbers: dict[frozenset[str], int] = {}
        self.add(0, frozenset())
        for number, text in keyword_sets:
            self.add(number, frozenset(text.split()))

    def add(self, number: int, keywords: frozenset[str]) -> None:
        """Learn a set of keywords."""
        self.numbers[keywords] = number
        for bits in range(SYSTEM_MASK + 1):
            names = {name for name, bit in _SYSTEM.items() if bits & bit}
            self.sets[number << SET_SHIFT | bits] = keywords | names

    def keywords(self, value: int) -> frozenset[str]:
        """Give the keywords among a message's flags."""
        return self.sets[value & ~SYSTEM_MASK]


def bits_of_letters(letters: str) -> int:
    """Read the system flags from the letters of a file name."""
    bits = 0
    for letter in letters:
        bits |= _LETTERS.get(letter, 0)
    return bits


def letters_of_bits(bits: int) -> str:
    """Write system flags as the letters of a file name, in the order that Maildir asks for."""
    return "".join([letter for letter, bit in _LETTERS.items() if bits & bit])


def keyword_letters(numbers: Iterable[int]) -> str:
    """Write the numbers of keywords as letters; those from 26 have none."""
    return "".join(sorted(chr(ord("a") + number) for number in numbers if 0 <= number < LETTERED_KEYWORDS))


def keyword_numbers(letters: str) -> list[int]:
    """Read keyword numbers from the letters of a file name."""
    return [ord(letter) - ord("a") for letter in letters if "a" <= letter <= "z"]
