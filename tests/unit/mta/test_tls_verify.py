import contextlib
import hashlib
import sys
from pathlib import Path

import pytest
from cryptography import x509
from OpenSSL import SSL, crypto

from mailsuite.interfaces import TLSARecord
from mailsuite.mta.dane import TLSASet, public_key, usable
from mailsuite.mta.tls_verify import (
    EXPIRED,
    HOST_MISMATCH,
    NOT_TRUSTED,
    VALIDATION_FAILURE,
    Authorities,
    AuthorityVerifier,
    DANEVerifier,
)

sys.path.insert(0, str(Path(__file__).parents[2]))
from certificates import DAY, issue, new_key

NAME = "mx.d.test"


@pytest.fixture(scope="module")
def root():
    return issue("root", ca=True)


@pytest.fixture(scope="module")
def middle(root):
    return issue("middle", root, ca=True)


@pytest.fixture(scope="module")
def leaf(middle):
    return issue("leaf", middle, names=[NAME])


@pytest.fixture
def authorities(tmp_path, root):
    path = tmp_path / "ca.pem"
    path.write_bytes(root.pem)
    return Authorities(str(path))


def shake(creator, context):
    """Run a handshake in memory; say whether both sides took it, and which name the client asked for."""
    asked = []
    context.set_tlsext_servername_callback(lambda connection: asked.append(connection.get_servername()))
    client, server = creator.clientConnectionForTLS(None), SSL.Connection(context, None)
    client.set_connect_state()
    server.set_accept_state()
    done = set()
    for _ in range(20):
        for one, other in ((client, server), (server, client)):
            try:
                one.do_handshake()
                done.add(one)
            except SSL.WantReadError:
                pass
            except SSL.Error:
                return False, asked
            with contextlib.suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
        if len(done) == 2:
            return True, asked
    raise AssertionError("the handshake does not end")


def verify(creator, identity, chain=None):
    passed, asked = shake(creator, identity.context(chain))
    assert asked == [NAME.encode()]
    assert passed is (not creator.failure)
    return creator.failure


# authorities


def test_a_certificate_of_an_authority_for_the_name_is_good(authorities, leaf, root):
    assert verify(AuthorityVerifier(authorities, NAME), leaf) == ""
    wild = issue("wild", root, names=["*.d.test"])
    assert verify(AuthorityVerifier(authorities, NAME), wild) == ""


def bad(root, middle):
    """Certificates with what is wrong with each."""
    return [
        (issue("other", middle, names=["other.test"]), HOST_MISMATCH),
        (issue(NAME, middle), HOST_MISMATCH),  # a common name is no name: RFC 9525 section 2
        (issue("wider", middle, names=["*.test"]), HOST_MISMATCH),
        (issue("old", middle, names=[NAME], since=-9 * DAY, until=-DAY), EXPIRED),
        (issue("new", middle, names=[NAME], since=DAY), EXPIRED),
        (issue("self", names=[NAME]), NOT_TRUSTED),
        (issue("stranger", issue("unknown", ca=True), names=[NAME]), NOT_TRUSTED),
        (issue("forged", middle, names=[NAME], sign_with=new_key("thief")), VALIDATION_FAILURE),
        (issue("below", issue("no-ca", middle), names=[NAME]), VALIDATION_FAILURE),
    ]


def test_a_certificate_for_thousands_of_names_is_for_nobody(authorities, middle):
    for count, failure in ((150, ""), (5000, HOST_MISMATCH)):
        many = issue("many", middle, names=[NAME, *(f"{n:x}.d.test" for n in range(count))])
        assert verify(AuthorityVerifier(authorities, NAME), many) == failure


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("observe", [False, True])
def test_what_is_wrong_with_a_certificate_has_a_name(authorities, root, middle, number, observe):
    identity, failure = bad(root, middle)[number]
    creator = AuthorityVerifier(authorities, NAME, observe=observe)
    passed, _ = shake(creator, identity.context())
    assert creator.failure == failure
    assert passed is observe


def test_a_chain_that_is_not_sent_is_not_trusted(authorities, leaf):
    assert verify(AuthorityVerifier(authorities, NAME), leaf, chain=()) == NOT_TRUSTED


def test_each_connection_begins_anew(authorities, leaf, root, middle):
    creator = AuthorityVerifier(authorities, NAME)
    assert verify(creator, bad(root, middle)[0][0]) == HOST_MISMATCH
    assert verify(creator, leaf) == ""


def test_a_file_without_authorities_is_refused(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    for name in (path, tmp_path / "none.pem"):
        with pytest.raises(ValueError, match="authorities"):
            Authorities(str(name))


def test_the_systems_authorities_do_not_vouch_for_ours(leaf):
    assert verify(AuthorityVerifier(Authorities(), NAME), leaf) == NOT_TRUSTED


def test_a_certificate_that_cannot_be_read_is_not_good(authorities, leaf, monkeypatch):
    def unreadable(certificate):
        raise RuntimeError("unreadable")

    monkeypatch.setattr(crypto.X509, "to_cryptography", unreadable)
    assert verify(AuthorityVerifier(authorities, NAME), leaf) == VALIDATION_FAILURE


# DANE


def record(usage, selector, matching, identity):
    part = identity.spki if selector else identity.der
    return TLSARecord(usage, selector, matching, {0: bytes, 1: sha256, 2: sha512}[matching](part))


def sha256(octets):
    return hashlib.sha256(octets).digest()


def sha512(octets):
    return hashlib.sha512(octets).digest()


def dane(*records, names=(NAME, "d.test")):
    return DANEVerifier(TLSASet(base=NAME, usable=usable(records), text=()), names)


ALL = [(selector, matching) for selector in (0, 1) for matching in (0, 1, 2)]


@pytest.mark.parametrize(("selector", "matching"), ALL)
def test_an_end_entity_is_known_by_its_record(leaf, selector, matching):
    assert verify(dane(record(3, selector, matching, leaf)), leaf) == ""
    assert verify(dane(record(3, selector, matching, leaf)), leaf, chain=()) == ""


@pytest.mark.parametrize(("selector", "matching"), ALL)
def test_an_end_entity_needs_neither_name_nor_date_nor_authority(selector, matching):
    old = issue("old-self", names=["other.test"], since=-9 * DAY, until=-DAY)
    assert verify(dane(record(3, selector, matching, old)), old) == ""


@pytest.mark.parametrize(("selector", "matching"), ALL)
def test_another_end_entity_is_not_trusted(leaf, middle, selector, matching):
    other = issue("another", middle, names=[NAME])
    assert verify(dane(record(3, selector, matching, other)), leaf) == NOT_TRUSTED
    assert verify(dane(record(3, selector, matching, middle)), leaf) == NOT_TRUSTED


@pytest.mark.parametrize(("selector", "matching"), ALL)
@pytest.mark.parametrize("anchor", ["root", "middle"])
def test_a_trust_anchor_in_the_chain_is_known_by_its_record(request, leaf, selector, matching, anchor):
    anchor = request.getfixturevalue(anchor)
    assert verify(dane(record(2, selector, matching, anchor)), leaf) == ""


def test_a_trust_anchor_that_is_not_in_the_chain_must_be_in_its_record(leaf, middle, root):
    assert verify(dane(record(2, 0, 0, root)), leaf, chain=[middle.certificate]) == ""
    assert verify(dane(record(2, 0, 0, middle)), leaf, chain=[]) == ""
    assert verify(dane(record(2, 0, 1, root)), leaf, chain=[middle.certificate]) == NOT_TRUSTED
    assert verify(dane(record(2, 1, 0, root)), leaf, chain=[middle.certificate]) == NOT_TRUSTED


def test_a_trust_anchor_does_not_vouch_for_another_name(middle):
    other = issue("other-below", middle, names=["other.test"])
    assert verify(dane(record(2, 0, 1, middle)), other) == HOST_MISMATCH
    domain = issue("domain-below", middle, names=["d.test"])
    assert verify(dane(record(2, 0, 1, middle)), domain) == ""
    assert verify(dane(record(2, 0, 1, middle), names=[NAME]), domain) == HOST_MISMATCH


def alternative(*names):
    return x509.SubjectAlternativeName(list(names))


@pytest.mark.parametrize(
    ("common_name", "others", "failure"),
    [
        (NAME, [], ""),
        ("*.d.test", [], ""),
        (NAME, [x509.RFC822Name("postmaster@d.test"), x509.UniformResourceIdentifier("https://d.test/")], ""),
        (NAME, [x509.DNSName("other.test")], HOST_MISMATCH),
        ("other.test", [], HOST_MISMATCH),
        ("m*.d.test", [], HOST_MISMATCH),
        ("The Mail Host", [], HOST_MISMATCH),
        ("mx.d.test ü", [], HOST_MISMATCH),
        ("192.0.2.1", [], HOST_MISMATCH),
    ],
)
def test_below_a_trust_anchor_a_common_name_counts_where_there_is_no_dns_name(middle, common_name, others, failure):
    leaf = issue(common_name, middle, extensions=[alternative(*others)] if others else [])
    assert verify(dane(record(2, 0, 1, middle)), leaf) == failure


def test_below_a_trust_anchor_dates_and_signatures_count(root, middle):
    old = issue("old-below", middle, names=[NAME], since=-9 * DAY, until=-DAY)
    assert verify(dane(record(2, 0, 1, middle)), old) == EXPIRED
    forged = issue("forged-below", middle, names=[NAME], sign_with=new_key("thief"))
    assert verify(dane(record(2, 1, 1, middle)), forged) == VALIDATION_FAILURE
    not_ca = issue("leaf-below-leaf", issue("no-ca-below", middle), names=[NAME])
    assert verify(dane(record(2, 0, 1, root)), not_ca) == VALIDATION_FAILURE
    old_middle = issue("old-middle", root, ca=True, since=-9 * DAY, until=-DAY)
    assert verify(dane(record(2, 0, 1, root)), issue("below-old", old_middle, names=[NAME])) == EXPIRED


def test_what_is_above_a_trust_anchor_does_not_count(root):
    old_root = issue("old-root", ca=True, since=-9 * DAY, until=-DAY)
    anchor = issue("anchor", old_root, ca=True)
    below = issue("below-anchor", anchor, names=[NAME])
    assert verify(dane(record(2, 0, 1, anchor)), below) == ""
    old_anchor = issue("old-anchor", root, ca=True, since=-9 * DAY, until=-DAY)
    assert verify(dane(record(2, 0, 1, old_anchor)), issue("below-old-anchor", old_anchor, names=[NAME])) == ""


def test_a_host_is_no_trust_anchor_of_its_own():
    alone = issue("alone", names=[NAME])
    assert verify(dane(record(2, 0, 1, alone)), alone) == NOT_TRUSTED
    assert verify(dane(record(2, 0, 0, alone)), alone) == NOT_TRUSTED


def test_one_record_that_fits_is_enough(leaf, root):
    stranger = issue("stranger-record", names=[NAME])
    assert verify(dane(record(3, 1, 1, stranger), record(3, 1, 1, leaf)), leaf) == ""
    assert verify(dane(record(3, 1, 1, stranger), record(2, 1, 1, root)), leaf) == ""


def test_a_connection_does_not_remember_the_one_before(leaf, middle):
    creator = dane(record(2, 0, 1, middle))
    assert verify(creator, leaf) == ""
    assert verify(creator, issue("alone-again", names=[NAME])) == NOT_TRUSTED
    assert verify(creator, leaf) == ""


def test_a_record_that_is_no_certificate_is_passed_over(leaf):
    assert verify(dane(TLSARecord(2, 0, 0, b"junk"), record(3, 1, 1, leaf)), leaf) == ""


def test_the_public_key_is_cut_out_octet_for_octet(leaf, root, middle):
    for identity in (leaf, root, middle, issue("long", names=[f"{n}.{'x' * 50}.test" for n in range(100)])):
        assert public_key(identity.der) == identity.spki
