"""Keep a log line one line, whatever a peer sent."""

import re

_DANGEROUS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one octet


def escape(text: str) -> str:
    r"""Write control characters, line separators, bidi marks and lone surrogates as ``\x1b``, ``\u202e``."""
    if text.isprintable():  # nothing of the above is; nearly every text
        return text
    return _DANGEROUS.sub(_escaped, text)
