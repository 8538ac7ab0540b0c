"""From dnspython's records to ours."""

from collections.abc import Callable, Mapping
from typing import Any

from dns.name import Name
from dns.rdata import Rdata

from mailsuite.interfaces.dns import MXRecord, SOARecord, TLSARecord


def name_text(name: Name) -> str:
    """
    Write a name: lower case, without the final dot, ``.`` for the root.

    Octets that no host name has are escaped, so that such a name never looks like another one.
    """
    return name.to_text(omit_final_dot=True).lower()


_MAKERS: Mapping[str, Callable[[Any], object]] = {  # Any: the attributes of each class of dnspython
    "A": lambda record: record.address,
    "AAAA": lambda record: record.address,
    "CNAME": lambda record: name_text(record.target),
    "MX": lambda record: MXRecord(record.preference, name_text(record.exchange)),
    "PTR": lambda record: name_text(record.target),
    "SOA": lambda record: SOARecord(name_text(record.mname), name_text(record.rname), record.serial),
    "TLSA": lambda record: TLSARecord(record.usage, record.selector, record.mtype, record.cert),
    "TXT": lambda record: b"".join(record.strings),
}


def make_record(rdtype: str, record: Rdata) -> object:
    """
    Make the value for one record of a type of `mailsuite.interfaces.dns.RECORD_TYPES`.

    Raises:
        KeyError: the type is none of them.
    """
    return _MAKERS[rdtype](record)
