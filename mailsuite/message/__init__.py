"""
Messages as octets: header sections, MIME parts, dates, encodings, and what IMAP wants to know of them.

Everything here is pure and linear in the size of what it is given: RFC 5322, RFC 2045 to RFC 2047, RFC 2231.
"""
