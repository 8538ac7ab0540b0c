"""
Messages as octets: header sections, MIME parts, dates, encodings, and what IMAP wants to know of them.

Everything here is pure and linear in the size of what it is given: RFC 5322, RFC 2045 to RFC 2047, RFC 2231.
"""

from mailsuite.message.addresses import MailboxField, parse_addresses
from mailsuite.message.dates import (
    format_date,
    format_internal_date,
    parse_date,
    parse_imap_day,
    parse_internal_date,
)
from mailsuite.message.encoding import decode_transfer, to_text
from mailsuite.message.header import all_values, first_value, header_extent, parse_fields, unfold
from mailsuite.message.mime import SectionKind, find_part, locate, parse_parts
from mailsuite.message.msgid import make_message_id
from mailsuite.message.newline import find_bare, to_crlf
from mailsuite.message.parameters import parameter_text, parse_parameters
from mailsuite.message.received import count_received, received_field, return_path_field
from mailsuite.message.summary import Summary, nstring, summarize, summarize_with_parts
from mailsuite.message.text import contains, header_contains
from mailsuite.message.words import decode_words, encode_words

__all__ = [
    "MailboxField",
    "SectionKind",
    "Summary",
    "all_values",
    "contains",
    "count_received",
    "decode_transfer",
    "decode_words",
    "encode_words",
    "find_bare",
    "find_part",
    "first_value",
    "format_date",
    "format_internal_date",
    "header_contains",
    "header_extent",
    "locate",
    "make_message_id",
    "nstring",
    "parameter_text",
    "parse_addresses",
    "parse_date",
    "parse_fields",
    "parse_imap_day",
    "parse_internal_date",
    "parse_parameters",
    "parse_parts",
    "received_field",
    "return_path_field",
    "summarize",
    "summarize_with_parts",
    "to_crlf",
    "to_text",
    "unfold",
]
