import contextlib
import datetime as dt
import os
import ssl
import stat

import attrs
import pytest
from cryptography import x509
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from mailsuite.config.settings import TLSSettings
from mailsuite.config.tls import ReloadingTLS, load_options, make_self_signed, write_self_signed
from mailsuite.durable import Disk

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def settings(tmp_path):
    return TLSSettings(certificate=str(tmp_path / "tls" / "cert.pem"), private_key=str(tmp_path / "tls" / "key.pem"))


def _write(settings, hostname="mx.example"):
    write_self_signed(settings, hostname, Disk(), NOW)


def _subject(context_factory):
    connection = SSL.Connection(context_factory.getContext(), None)
    certificate = connection.get_certificate(as_cryptography=True)
    return certificate.subject.rfc4514_string().removeprefix("CN=")


def test_a_self_signed_certificate_names_host_localhost_and_loopback():
    pem, _ = make_self_signed("mx.example", NOW)
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mx.example", "localhost"]
    assert "127.0.0.1" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def test_the_key_is_readable_by_its_owner_alone(settings):
    _write(settings)
    assert stat.S_IMODE(os.stat(settings.private_key).st_mode) == 0o600


def test_a_key_of_another_certificate_is_refused(settings, tmp_path):
    _write(settings)
    other = attrs.evolve(settings, certificate=str(tmp_path / "other.pem"), private_key=str(tmp_path / "other.key"))
    _write(other)
    with pytest.raises(ValueError, match="does not belong"):
        load_options(attrs.evolve(settings, private_key=other.private_key))


def test_a_file_without_a_certificate_is_refused(settings):
    _write(settings)
    Disk().replace_file(settings.certificate, b"nothing\n")
    with pytest.raises(ValueError, match="not a PEM"):
        load_options(settings)


def test_the_whole_chain_is_sent(settings):
    _write(settings)
    pem = Disk().read_file(settings.certificate)
    Disk().replace_file(settings.certificate, pem + make_self_signed("ca.example", NOW)[0])
    assert len(load_options(settings).extraCertChain) == 1


def test_it_provides_what_startTLS_asks_for(settings):
    assert verifyObject(IOpenSSLServerConnectionCreator, ReloadingTLS(settings, Clock()))


def test_no_certificate_yet_is_not_an_error_until_it_is_needed(settings):
    tls = ReloadingTLS(settings, Clock())
    assert not tls.available
    with pytest.raises(ValueError, match="no certificate"):
        tls.getContext()


def test_a_certificate_that_appears_is_found_after_a_second(settings):
    clock = Clock()
    tls = ReloadingTLS(settings, clock)
    assert not tls.available
    _write(settings)
    assert not tls.available
    clock.advance(1)
    assert tls.available


def test_a_changed_certificate_is_served_without_restart(settings):
    clock = Clock()
    _write(settings, "old.example")
    tls = ReloadingTLS(settings, clock)
    assert _subject(tls) == "old.example"
    _write(settings, "new.example")
    assert _subject(tls) == "old.example", "the files are looked at once a second"
    clock.advance(1)
    assert _subject(tls) == "new.example"


def test_a_broken_new_certificate_leaves_the_old_one_in_force(settings):
    clock = Clock()
    _write(settings, "old.example")
    tls = ReloadingTLS(settings, clock)
    assert _subject(tls) == "old.example"
    Disk().replace_file(settings.certificate, b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    clock.advance(1)
    assert _subject(tls) == "old.example"
    _write(settings, "new.example")
    clock.advance(1)
    assert _subject(tls) == "new.example"


def test_what_is_given_on_to_another_process_is_what_is_in_force(settings):
    clock = Clock()
    tls = ReloadingTLS(settings, clock)
    assert (tls.available, tls.pair) == (False, None)
    for hostname in ("old.example", "new.example"):
        _write(settings, hostname)
        clock.advance(1)
        assert tls.available
        assert _subject(ReloadingTLS(settings, Clock(), tls.pair)) == hostname
    Disk().replace_file(settings.certificate, b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    clock.advance(1)
    assert tls.available
    assert _subject(ReloadingTLS(settings, Clock(), tls.pair)) == "new.example"


def test_what_changed_before_it_was_given_on_is_noticed_by_who_gets_it(settings):
    _write(settings, "old.example")
    tls = ReloadingTLS(settings, Clock())
    assert tls.available
    _write(settings, "new.example")
    assert _subject(ReloadingTLS(settings, Clock(), tls.pair)) == "new.example"


def test_what_is_given_on_is_not_read_again(settings):
    _write(settings)
    tls = ReloadingTLS(settings, Clock())
    assert tls.available
    with capturedLogs() as events:
        assert ReloadingTLS(settings, Clock(), tls.pair).available
    assert events == []


def test_a_removed_certificate_leaves_the_old_one_in_force(settings):
    clock = Clock()
    _write(settings, "old.example")
    tls = ReloadingTLS(settings, clock)
    assert _subject(tls) == "old.example"
    os.unlink(settings.certificate)
    clock.advance(1)
    assert _subject(tls) == "old.example"


def test_a_key_that_everybody_can_read_is_refused(settings):
    _write(settings)
    os.chmod(settings.private_key, 0o644)
    with pytest.raises(ValueError, match="chmod"):
        load_options(settings)


def test_a_renewal_by_certbot_is_followed_through_its_links(tmp_path):
    live = tmp_path / "live" / "mx.example"
    live.mkdir(parents=True)
    settings = TLSSettings(certificate=str(live / "fullchain.pem"), private_key=str(live / "privkey.pem"))

    def renew(number, hostname):
        archived = tmp_path / "archive" / "mx.example"
        names = {name: archived / f"{name}{number}.pem" for name in ("fullchain", "privkey")}
        _write(TLSSettings(certificate=str(names["fullchain"]), private_key=str(names["privkey"])), hostname)
        for name, target in names.items():
            (live / f"{name}.pem").unlink(missing_ok=True)
            (live / f"{name}.pem").symlink_to(os.path.relpath(target, live))

    clock = Clock()
    renew(1, "old.example")
    tls = ReloadingTLS(settings, clock)
    assert _subject(tls) == "old.example"
    renew(2, "new.example")
    clock.advance(1)
    assert _subject(tls) == "new.example"


def _handshake(tls, maximum):
    """Shake hands in memory; give the version that was agreed on."""
    server = SSL.Connection(tls.getContext(), None)
    server.set_accept_state()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = maximum
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)
    for _ in range(10):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            return client.version()
        server.bio_write(outgoing.read())
        with contextlib.suppress(SSL.WantReadError):
            server.do_handshake()
        with contextlib.suppress(SSL.WantReadError):
            incoming.write(server.bio_read(65536))
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize(
    ("minimum", "maximum", "agreed"),
    [
        ("1.2", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ("1.2", ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        ("1.3", ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
def test_the_newest_common_version_is_spoken(settings, minimum, maximum, agreed):
    _write(settings)
    assert _handshake(ReloadingTLS(attrs.evolve(settings, min_version=minimum), Clock()), maximum) == agreed


def test_a_version_below_the_minimum_is_refused(settings):
    _write(settings)
    with pytest.raises(SSL.Error):
        _handshake(ReloadingTLS(attrs.evolve(settings, min_version="1.3"), Clock()), ssl.TLSVersion.TLSv1_2)
