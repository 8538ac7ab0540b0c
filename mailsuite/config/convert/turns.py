"""What can be done with a key of another server; the tables in `mapping` are made of these."""

import os
import urllib.parse
from collections.abc import Callable, Iterator, Mapping

from mailsuite.address import normalize_domain
from mailsuite.config.convert import kinds
from mailsuite.config.convert.outcomes import Command, Given, Listen, Outcome, Remark, Setting, Turn
from mailsuite.config.publish import dkim_key_path
from mailsuite.errors import MailError
from mailsuite.sasl import MECHANISMS

DATABASE_NAME = "mailsuite.db"
KNOWN_SECRETS = frozenset(
    {"change-in-production", "secret-key", "your-secure-random-api-key-here", "your-secure-api-key"}
)
"""Secrets that stand in the examples of other servers, so that everybody knows them."""


def to(kind: Callable[[object], object], *keys: str) -> Turn:
    """Give the value to keys of ours."""

    def turn(given: Given) -> Iterator[Outcome]:
        value = kind(given.entry.value)
        return (Setting(key, value) for key in keys)

    return turn


def file_to(key: str) -> Turn:
    """Give a file name to a key of ours."""

    def turn(given: Given) -> Iterator[Outcome]:
        yield Setting(key, kinds.path(given.entry.value, given.folder))

    return turn


def port(service: str) -> Turn:
    """Let a service listen on this port."""

    def turn(given: Given) -> Iterator[Outcome]:
        yield Listen(service, kinds.port(given.entry.value))

    return turn


def address_and_port(service: str) -> Turn:
    """Let a service listen on this ``address:port``."""

    def turn(given: Given) -> Iterator[Outcome]:
        host, colon, number = kinds.text(given.entry.value).rpartition(":")
        if not colon:
            raise ValueError("expected address:port")
        yield Listen(service, kinds.port(number), kinds.address(host or "*"))

    return turn


def remark(text: str) -> Turn:
    """Say what there is instead."""

    def turn(_given: Given) -> Iterator[Outcome]:
        yield Remark(text)

    return turn


def by_truth(yes: Turn, no: Turn) -> Turn:
    """Do one or the other, as a switch says."""

    def turn(given: Given) -> Iterator[Outcome]:
        return (yes if kinds.boolean(given.entry.value) else no)(given)

    return turn


def where_tls_is_on(turn: Turn) -> Turn:
    """Do this unless ``enable_tls`` beside it says that there is no TLS."""

    def guarded(given: Given) -> Iterator[Outcome]:
        switch = given.beside("enable_tls")
        if switch is None or kinds.boolean(switch):
            return turn(given)
        return iter([Remark("not in use there, since enable_tls is false")])

    return guarded


def together(*turns: Turn) -> Turn:
    """Do several things with one key."""

    def turn(given: Given) -> Iterator[Outcome]:
        for one in turns:
            yield from one(given)

    return turn


def secret(text: str) -> Turn:
    """Say what there is instead of a secret, and refuse one that everybody knows unless for development."""

    def turn(given: Given) -> Iterator[Outcome]:
        known = str(given.entry.value) in KNOWN_SECRETS
        if known and not given.development:
            yield Remark(f"refused: the value is that of the example, which everybody knows; {text}")
        else:
            yield Remark(text)

    return turn


# what takes more than a table


def domains(given: Given) -> Iterator[Outcome]:
    """Add each domain by a command: ours are kept in the database."""
    found = kinds.words(given.entry.value)
    yield Remark("domains are kept in the database; the commands below add them")
    for word in found:
        try:
            yield Command(("mailsuite", "domain", "add", normalize_domain(word)))
        except MailError:
            yield Remark("one of them is no domain name; add it by hand with: mailsuite domain add DOMAIN")


def captured_domains(given: Given) -> Iterator[Outcome]:
    """Add each domain by a command, and keep mail for every name in it."""
    for outcome in domains(given):
        yield outcome
        if isinstance(outcome, Command):
            yield Command(("mailsuite", "domain", "set", outcome.words[-1], "--capture", "on"))


def database_file(given: Given) -> Iterator[Outcome]:
    """Keep our accounts beside the old database; that one has other tables and stays as it is."""
    old = kinds.path(given.entry.value, given.folder)
    yield Setting("database.url", f"sqlite:///{os.path.join(os.path.dirname(old), DATABASE_NAME)}")


def data_folder(given: Given) -> Iterator[Outcome]:
    """Keep everything else where the old database lies."""
    folder = os.path.dirname(kinds.path(given.entry.value, given.folder))
    yield Setting("server.data_dir", folder or ".")


def database_url(given: Given) -> Iterator[Outcome]:
    """Take an SQLite file; other databases are not there yet."""
    url = kinds.text(given.entry.value)
    if url.startswith("sqlite:///"):
        path = os.path.join(given.folder, url.removeprefix("sqlite:///"))
        yield Setting("database.url", f"sqlite:///{os.path.join(os.path.dirname(path), DATABASE_NAME)}")
    else:
        yield Remark("PostgreSQL is not there yet, so accounts are kept in SQLite; the old database stays as it is")


def redis_address(given: Given) -> Iterator[Outcome]:
    """Make a URL of ``host:port``."""
    word = kinds.text(given.entry.value)
    host, _, number = word.rpartition(":")
    if not host:
        raise ValueError("expected host:port")
    yield Setting("redis.url", f"redis://{host}:{kinds.port(number)}/0")


def redis_url(given: Given) -> Iterator[Outcome]:
    """Take a URL whose scheme we know."""
    url = kinds.text(given.entry.value)
    if urllib.parse.urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("expected redis://host:port/number")
    yield Setting("redis.url", url)


def mechanisms(given: Given) -> Iterator[Outcome]:
    """Offer those that we have."""
    wanted = [word.upper() for word in kinds.words(given.entry.value)]
    ours = [word for word in wanted if word in MECHANISMS]
    if ours:
        yield Setting("auth.mechanisms", ours)
    missing = [word for word in wanted if word not in MECHANISMS]
    if missing:
        yield Remark(
            f"of these there are {' and '.join(MECHANISMS)}, which are safe inside TLS; CRAM-MD5 and its like need "
            "passwords that the server can read, and are left out"
        )


def cleartext(given: Given) -> Iterator[Outcome]:
    """Take logins in the clear only for development; otherwise let there be TLS from the first day."""
    yield Setting("tls.self_signed", value=True)
    if given.development:
        yield Setting("auth.allow_cleartext", value=True)
    else:
        yield Remark("logins need TLS, so a self-signed certificate is made; --profile dev takes logins in the clear")


def certbot(given: Given) -> Iterator[Outcome]:
    """Let certbot fetch certificates, which is where ``init`` looks for them as well."""
    hostname = given.entries.get("server.hostname")
    host = normalize_host("" if hostname is None else hostname.value)
    yield Setting("tls.certificate", f"/etc/letsencrypt/live/{host}/fullchain.pem")
    yield Setting("tls.private_key", f"/etc/letsencrypt/live/{host}/privkey.pem")
    yield Remark("certificates are not fetched by the server itself; certbot does it, see the commands below")
    email = given.beside("email")
    account = ("-m", kinds.text(email)) if email else ()
    yield Command(("certbot", "certonly", "--standalone", "-d", host, *account))


def normalize_host(value: object) -> str:
    """
    Take the name of a host.

    Raises:
        ValueError: it is none.
    """
    try:
        return normalize_domain(kinds.text(value))
    except MailError:
        raise ValueError("expected the name of a host") from None


def dkim_key(given: Given) -> Iterator[Outcome]:
    """Put a signing key where ours lie, under the selector that the DNS has already."""
    path = kinds.path(given.entry.value, given.folder)
    domain, selector = normalize_host(given.beside("name")), kinds.name(given.beside("dkim_selector") or "mail")
    if not selector.replace("-", "").isalnum():
        raise ValueError("expected a selector beside it")
    data = given.entries.get("storage.data_dir")
    target = dkim_key_path("data" if data is None else kinds.path(data.value, given.folder), domain, selector)
    yield Remark("messages are not signed yet; a command below puts the key where it will be looked for")
    yield Command(("install", "-D", "-m", "600", path, target))


def one_of(choices: Mapping[str, object], key: str) -> Turn:
    """Give a key of ours the value that stands for theirs."""

    def turn(given: Given) -> Iterator[Outcome]:
        word = kinds.name(given.entry.value)
        if word not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        yield Setting(key, choices[word])

    return turn


def log_output(given: Given) -> Iterator[Outcome]:
    """Take a file or a stream."""
    word = kinds.text(given.entry.value)
    yield Setting("log.output", word if word in {"stdout", "stderr"} else os.path.join(given.folder, word))
