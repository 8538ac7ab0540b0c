"""
Content transfer encodings and charsets, decoded whatever the damage.

RFC 2045 section 6, RFC 2978. Charsets are looked up in a list of our own: Python's codecs contain some that are no
charsets, some that take quadratic time, and UTF-7, which smuggles half surrogates that no UTF-8 can hold.
"""

import binascii
import codecs
import functools

_CHARSETS = frozenset(
    (  # noqa: SIM905 - ninety names, a line each, say no more
        "ascii utf_8 utf_16 utf_16_le utf_16_be utf_32 utf_32_le utf_32_be "
        "iso8859_1 iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 "
        "iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16 "
        "cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 "
        "cp437 cp720 cp737 cp775 cp850 cp852 cp855 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874 "
        "koi8_r koi8_u koi8_t kz1048 ptcp154 tis_620 mac_roman mac_cyrillic mac_greek mac_latin2 mac_turkish "
        "gb2312 gbk gb18030 hz big5 big5hkscs cp950 cp949 cp932 euc_jp euc_kr johab shift_jis shift_jisx0213 "
        "euc_jisx0213 shift_jis_2004 euc_jis_2004 iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_3 iso2022_jp_ext "
        "iso2022_jp_2004 iso2022_kr"
    ).split()
)
_OTHER_NAMES = {
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "x_sjis": "shift_jis",
    "x_gbk": "gbk",
    "ks_c_5601_1987": "cp949",
    "x_unknown": "cp1252",
    "utf8mb4": "utf_8",
    "ansi_x3.4_1968": "ascii",
}
_CHARSET_NAME_MAX = 40
_BASE64_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
NOT_BASE64 = bytes(octet for octet in range(256) if octet not in _BASE64_ALPHABET + b"=")
"""What has no meaning in base64: line ends, spaces, and damage."""


@functools.lru_cache(maxsize=256)
def python_codec(charset: str) -> str | None:
    """Name the codec of a charset; None when it is unknown or not allowed."""
    if not charset or len(charset) > _CHARSET_NAME_MAX or not charset.isascii():
        return None
    name = charset.strip().strip("'\"").lower().replace("-", "_").replace(" ", "_")
    name = _OTHER_NAMES.get(name, name)
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    plain = found.replace("-", "_")
    return found if plain in _CHARSETS else None


def to_text(octets: bytes, charset: str = "") -> str:
    """Decode text: as UTF-8 if it is that, else as declared, else as windows-1252, which never fails here."""
    codec = python_codec(charset) if charset else None
    if codec is None or codec in {"ascii", "utf-8"}:
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return octets.decode("cp1252" if codec != "utf-8" else "utf-8", "replace")
    try:
        return octets.decode(codec)
    except UnicodeError:
        pass
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode(codec, "replace")


def decode_base64(octets: bytes) -> bytes:
    """
    Decode base64 and keep what can be kept: foreign octets are passed over, a cut end gives what is whole.

    Padding ends a run; what follows is decoded as another one, as two encoded texts one after the other give.
    """
    try:
        return binascii.a2b_base64(octets, strict_mode=True)
    except binascii.Error:
        pass
    decoded = []
    for letters in octets.translate(None, NOT_BASE64).split(b"="):
        rest = len(letters) % 4
        whole = letters[:-1] if rest == 1 else letters + b"=" * (-rest % 4)
        if whole:
            decoded.append(binascii.a2b_base64(whole))
    return b"".join(decoded)


def decode_quoted_printable(octets: bytes) -> bytes:
    """Decode quoted-printable; an ``=`` that is followed by no two hex digits stands for itself."""
    return binascii.a2b_qp(octets)


def decode_transfer(octets: bytes, encoding: str) -> bytes:
    """Undo a content transfer encoding (lower case); an unknown one leaves the octets as they are."""
    if encoding == "base64":
        return decode_base64(octets)
    if encoding == "quoted-printable":
        return decode_quoted_printable(octets)
    return octets
